"""Split records into train, val and test: seeded, by lesion, independent of their order."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.data.records import UNKNOWN, Record
from ham_keras.errors import HamError, SettingError, warn
from ham_keras.files import save_json
from ham_keras.settings import Data

NAMES = ("train", "val", "test")
Split = dict[str, list[str]]


def make_split(
    records: Sequence[Record],
    fractions: Mapping[str, float],
    *,
    seed: int,
    sample: int | None = None,
    group_by: str | None = "lesion_id",
    stratify: bool = False,
) -> Split:
    """Split images into {"train": [id, ...], "val": [...], "test": [...]}, each sorted.

    `fractions` refer to the images that remain after `sample`. All images of a lesion are in one subset; with
    `group_by=None` images are assigned one by one. Lesions are assigned in a seeded order to test, then val, while
    they fit, so the size of these is within one lesion of the fraction. Train gets the others, up to its own
    fraction.

    With `stratify`, the lesions of each diagnosis are assigned by themselves: of each, a subset gets its fraction,
    rounded down or up so that the size of the subset stays right. A lesion counts by the diagnosis of its first image.

    Raises:
        HamError: a subset would be empty, or no image has a diagnosis to stratify by.
    """
    rng = np.random.default_rng(seed)
    ordered = sorted(records, key=lambda record: record.image_id)
    if sample is not None and sample < len(ordered):
        ordered = [ordered[i] for i in sorted(rng.choice(len(ordered), sample, replace=False))]
    groups: dict[str, list[str]] = defaultdict(list)
    for record in ordered:
        groups[record.lesion_id if group_by else record.image_id].append(record.image_id)
    diagnosis_of = {record.image_id: record.diagnosis if stratify else "" for record in ordered}
    strata: dict[str, list[str]] = defaultdict(list)
    for name in sorted(groups):
        strata[diagnosis_of[groups[name][0]]].append(name)
    if stratify and set(strata) == {UNKNOWN}:
        raise SettingError("data.stratify", "no image has a diagnosis; set it to false, or add a table with diagnoses")
    whole = sum(fractions[name] for name in NAMES) > 1 - 1e-9
    split: Split = {name: [] for name in NAMES}
    seen = 0
    for _, names in sorted(strata.items()):
        seen += sum(len(groups[name]) for name in names)
        room = {name: round(fractions[name] * seen) - len(split[name]) for name in NAMES}
        if whole:
            room["train"] = len(ordered)  # no image is lost to rounding
        for index in rng.permutation(len(names)):
            images = groups[names[index]]
            subset = next((name for name in ("test", "val", "train") if len(images) <= room[name]), None)
            if subset is not None:
                split[subset] += images
                room[subset] -= len(images)
    for name in NAMES:
        if not split[name]:
            raise HamError(
                f"data.split.{name}: {fractions[name]:g} of {len(ordered)} images leave this subset empty; "
                f"raise the fraction or use more images"
            )
    return {name: sorted(split[name]) for name in NAMES}


def load_split(path: Path | str) -> Split:
    """Read a split file; ids are returned in the Unicode form of `Record.image_id`.

    Raises:
        HamError: not readable, not a split, an empty subset, or an id in two subsets.
    """
    try:
        split = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HamError(f"{path}: not a readable split file: {error}") from None
    form = '{"train": [id, ...], "val": [...], "test": [...]}'
    if not isinstance(split, dict) or set(split) != set(NAMES):
        found = f"the keys {', '.join(split)}" if isinstance(split, dict) else type(split).__name__
        raise HamError(f"{path}: expected {form}, found {found}")
    for name in NAMES:
        if not isinstance(split[name], list) or not all(isinstance(item, str) for item in split[name]):
            raise HamError(f"{path}: {name}: expected a list of image ids")
        if not split[name]:
            raise HamError(f"{path}: {name}: empty, expected at least one image id")
    split = {name: [unicodedata.normalize("NFC", image_id) for image_id in split[name]] for name in NAMES}
    seen: dict[str, str] = {}
    for name in NAMES:
        for image_id in split[name]:
            if image_id in seen:
                raise HamError(f"{path}: {image_id} is in both {seen[image_id]} and {name}; keep it in one")
            seen[image_id] = name
    return split


def choose_split(settings: Data, path: Path, records: Sequence[Record]) -> Split:
    """The split saved in `path`, created on first use, so that a run always has the same split."""
    if path.exists():
        return load_split(path)
    if settings.split_file is not None:
        split = load_split(settings.split_file)
        leaking = shared_lesions(split, records) if settings.group_by else []
        if leaking:
            warn(
                f"{settings.split_file}: lesions with images in more than one subset: {len(leaking)}, the first: "
                f"{leaking[0]}; scores will be too high"
            )
    else:
        fractions = settings.split.model_dump()
        options: dict[str, Any] = settings.model_dump(include={"sample", "group_by", "stratify"})
        split = make_split(records, fractions, seed=settings.seed, **options)
    save_json(path, split)
    return split


def shared_lesions(split: Split, records: Iterable[Record]) -> list[str]:
    """The lesions, sorted, with images in more than one subset."""
    subset_of = {image_id: name for name in NAMES for image_id in split[name]}
    subsets = {(record.lesion_id, subset_of[record.image_id]) for record in records if record.image_id in subset_of}
    counts = Counter(lesion_id for lesion_id, _ in subsets)
    return sorted(lesion_id for lesion_id, count in counts.items() if count > 1)


def select(records: Iterable[Record], image_ids: Sequence[str], source: str) -> list[Record]:
    """The records of `image_ids`, in that order; error messages begin with `source`.

    Raises:
        HamError: an id has no record.
    """
    by_id = {record.image_id: record for record in records}
    missing = [image_id for image_id in image_ids if image_id not in by_id]
    if missing:
        raise HamError(
            f"{source}: {len(missing)} of {len(image_ids)} ids have no image and mask in the data folder, "
            f"the first: {missing[0]}"
        )
    return [by_id[image_id] for image_id in image_ids]
