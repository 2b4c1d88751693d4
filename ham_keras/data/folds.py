"""Folds of a cross-validation, by lesion, and the split of each fold."""

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
    """Assign the image ids to `count` folds, each sorted.

    All images of a lesion are in one fold; with `group_by=None` images are assigned one by one. Lesions are shuffled,
    sorted by diagnosis, and each is assigned to the fold with the fewest images, so folds have about the same size and
    the same diagnoses.

    Raises:
        HamError: there are fewer lesions than folds.
    """
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.image_id):
        groups[record.lesion_id if group_by else record.image_id].append(record)
    if len(groups) < count:
        raise HamError(f"{count} folds: only {len(groups)} lesions; use fewer folds")
    names = sorted(groups)
    order = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    order.sort(key=lambda name: groups[name][0].diagnosis)  # stable: keeps the seeded order within a diagnosis
    folds: list[list[str]] = [[] for _ in range(count)]
    for name in order:
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
    """The split of one fold: its images are "test"; of the other lesions, `val_share` is "val" and the rest "train".

    Raises:
        HamError: "val" or "train" would be empty.
    """
    test = set(folds[number])
    rest = [record for record in records if record.image_id not in test]
    lesions = {record.lesion_id if group_by else record.image_id for record in rest}
    parts = min(max(2, round(1 / val_share)), len(lesions))  # at least one lesion to validate on
    val, *others = make_folds(rest, parts, seed=seed + number, group_by=group_by)
    return {"train": sorted(image_id for fold in others for image_id in fold), "val": val, "test": sorted(test)}
