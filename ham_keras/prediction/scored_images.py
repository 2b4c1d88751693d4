"""The images that a run, or the mean of several, is scored on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ham_keras.data.mask_warnings import mask_warnings
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import load_split, select
from ham_keras.errors import HamError, warn
from ham_keras.prediction.ensemble import Ensemble, Member
from ham_keras.runs.named import is_named

BEFORE = {"train": (), "val": ("train",), "test": ("train", "val")}  # what was seen before a side is scored
MASK_KEYS = ("repair_masks", "lesion_values")  # keys of the data section that control how masks are read


def choose_images(ensemble: Ensemble, root: Path, split: str | None, *, own_data: bool) -> list[Record]:
    """The images of `split` of the ensemble's first folder that are in `root`; without a split, all.

    Of the run's own data, that is "test" without a split. Warns of problems of another folder, of unusual masks, and of
    images that a run was trained on.

    Raises:
        HamError: no data folder, an image is missing, or a run was trained on images of the split.
    """
    config = ensemble.config
    if own_data and not root.is_dir():
        raise HamError(f"data.root: {root}: no such data folder; if it has moved, set data.root=FOLDER")
    pairing = find_records(root)
    # Training has already reported those of the run's own data.
    for line in pairing.warnings() if not own_data else ():
        warn(line)
    records = decide_masks(pairing.records, **{key: getattr(config.data, key) for key in MASK_KEYS})
    if split is not None or own_data:
        split, known = split or "test", records
        sides_of_first = load_split(ensemble.split)
        records = select(known, sides_of_first[split], f"{ensemble.split}: {split}")
        # Lesions that the split itself has on both sides; training has already reported them.
        shared = _lesions_of(known, _seen_before(split, sides_of_first))
        for member in ensemble.members if len(ensemble.members) > 1 else ():
            check_unseen(member, split, records, known, shared)
    else:
        sides = [load_split(member.run.split) for member in ensemble.members if not is_named(member.run.folder)]
        warn_about_leakage(records, {image_id for each in sides for image_id in (*each["train"], *each["val"])})
    for line in mask_warnings(records):
        warn(line)
    return records


def check_unseen(
    member: Member, split: str, records: Sequence[Record], known: Sequence[Record], shared: Collection[str] = ()
) -> None:
    """Check that a run was not trained on these images, which are `split` of another run.

    Images of its own `split` are accepted, as are all images to score "train". `known` are all records of the data.
    Other images of the lesions in `shared` may have been trained on.

    Raises:
        HamError: some are images, or of lesions with images, that it was trained or, for "test", validated on.
    """
    seen = seen_records(load_split(member.run.split), split, records, known, shared)
    if seen:
        raise HamError(
            f"{member.run.folder}: was trained or validated on {len(seen)} of these {len(records)} {split} images or "
            f"their lesions, the first: {seen[0].image_id}; train all runs with the same data.split_file"
        )


def seen_records(
    sides: Mapping[str, Sequence[str]],
    split: str,
    records: Sequence[Record],
    known: Sequence[Record],
    shared: Collection[str] = (),
) -> list[Record]:
    """Those of `records` that a run with these sides has seen before it is scored on `split`; see `check_unseen`."""
    used, own = _seen_before(split, sides), set(sides[split])
    lesions = _lesions_of(known, used).difference(shared)
    return [
        record
        for record in records
        if record.image_id not in own and (record.image_id in used or record.lesion_id in lesions)
    ]


def _seen_before(split: str, sides: Mapping[str, Sequence[str]]) -> set[str]:
    """The ids of the images that a run has seen before it is scored on `split`."""
    return {image_id for side in BEFORE[split] for image_id in sides[side]}


def _lesions_of(records: Sequence[Record], image_ids: Collection[str]) -> set[str]:
    return {record.lesion_id for record in records if record.image_id in image_ids}


def warn_about_leakage(records: Sequence[Record], image_ids: set[str]) -> None:
    """Warn about records with these ids, or of lesions that also have images with these ids."""
    lesions = _lesions_of(records, image_ids)
    known = sum(record.lesion_id in lesions for record in records)
    if known:
        warn(
            f"{known} of these {len(records)} images are, by their ids, images or lesions used for training or "
            f"validation; --split test leaves them out"
        )
