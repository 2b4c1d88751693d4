"""Folds of a cross-validation, by lesion, and the split that each is trained with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ham_keras.data.records import Record
from ham_keras.data.splits import Split
from ham_keras.errors import HamError


def make_folds(
    records: Sequence[Record], count: int, *, seed: int, group_by: str | None = "lesion_id"
) -> list[list[str]]:
    """Deal the image ids into `count` folds, each sorted.

    All images of a lesion are in one fold; with `group_by=None` each image is dealt by itself. The lesions of one
    diagnosis after the other are dealt, in a seeded order, each to the fold with the fewest images, so the folds are
    alike in size and in diagnoses.

    Raises:
        HamError: there are fewer lesions than folds.
    """
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.image_id):
        groups[record.lesion_id if group_by else record.image_id].append(record)
    if len(groups) < count:
        raise HamError(f"--folds {count}: only {len(groups)} lesions to deal; use fewer folds")
    names = sorted(groups)
    dealt = [names[place] for place in np.random.default_rng(seed).permutation(len(names))]
    dealt.sort(key=lambda name: groups[name][0].diagnosis)  # stable: the seeded order within a diagnosis
    folds: list[list[str]] = [[] for _ in range(count)]
    for name in dealt:
        min(folds, key=len).extend(record.image_id for record in groups[name])
    return [sorted(fold) for fold in folds]


def fold_split(
    records: Sequence[Record],
    folds: Sequence[Sequence[str]],
    number: int,
    val_share: float,
    *,
    seed: int,
    group_by: str | None = "lesion_id",
) -> Split:
    """The split of one fold: its images are "test", a share of the lesions of the others is "val", the rest "train".

    Raises:
        HamError: "val" or "train" would be empty.
    """
    test = set(folds[number])
    rest = [record for record in records if record.image_id not in test]
    parts = max(2, round(1 / val_share))
    val, *others = make_folds(rest, parts, seed=seed + number, group_by=group_by)
    return {"train": sorted(image_id for fold in others for image_id in fold), "val": val, "test": sorted(test)}
