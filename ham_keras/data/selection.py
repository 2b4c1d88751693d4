"""The records that a run uses, and their split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ham_keras.data.mask_warnings import mask_warnings
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import choose_split, select
from ham_keras.errors import warn
from ham_keras.settings import Data


def read_records(settings: Data) -> list[Record]:
    """All records of the data folder, with how to read their masks; warns of problems of the folder.

    Raises:
        HamError: see `find_records` and `decide_masks`.
    """
    pairing = find_records(str(settings.root))
    for line in pairing.warnings():
        warn(line)
    return decide_masks(pairing.records, settings.repair_masks, settings.lesion_values)


def draw_by_lesion(records: Sequence[Record], count: int, seed: int) -> list[Record]:
    """Draw whole lesions at random while their images are at most `count` in all; at least one lesion.

    The images keep their order.
    """
    lesions: dict[str, int] = {}
    for record in records:
        lesions[record.lesion_id] = lesions.get(record.lesion_id, 0) + 1
    names, images = sorted(lesions), 0
    chosen: set[str] = set()
    for place in np.random.default_rng(seed).permutation(len(names)):
        if images + lesions[names[place]] <= count or not chosen:
            chosen.add(names[place])
            images += lesions[names[place]]
    return [record for record in records if record.lesion_id in chosen]


def select_subsets(
    settings: Data, split: Path, records: list[Record], subsets: Iterable[str] = ("train", "val", "test")
) -> dict[str, list[Record]]:
    """The records of each subset of the split in file `split`, which is drawn if missing; warns of unusual masks.

    Raises:
        HamError: see `choose_split`; or an id has no record.
    """
    ids = choose_split(settings, split, records)
    selected = {subset: select(records, ids[subset], f"{split}: {subset}") for subset in subsets}
    for line in mask_warnings([record for subset in selected.values() for record in subset]):
        warn(line)
    return selected
