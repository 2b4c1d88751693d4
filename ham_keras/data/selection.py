"""The records that a run works on: those of its data folder, each on its side of the split."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ham_keras.data.oddities import mask_warnings
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import choose_split, select
from ham_keras.errors import warn
from ham_keras.settings import Data


def read_records(settings: Data) -> list[Record]:
    """All records of the data folder, with how their masks are read; warns of what is odd about the folder.

    Raises:
        HamError: as `find_records` and `decide_masks`.
    """
    pairing = find_records(str(settings.root))
    for line in pairing.warnings():
        warn(line)
    return decide_masks(pairing.records, settings.repair_masks, settings.lesion_values)


def select_sides(
    settings: Data, split: Path, records: list[Record], sides: Iterable[str] = ("train", "val", "test")
) -> dict[str, list[Record]]:
    """The records of each side of the split in this file, drawn if it is not there; warns of odd masks among them.

    Raises:
        HamError: as `choose_split`, or an id has no record.
    """
    ids = choose_split(settings, split, records)
    selected = {side: select(records, ids[side], f"{split}: {side}") for side in sides}
    for line in mask_warnings([record for side in selected.values() for record in side]):
        warn(line)
    return selected
