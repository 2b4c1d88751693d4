"""Warnings about the masks that training or evaluation uses."""

from __future__ import annotations

from collections.abc import Sequence

from ham_keras.data.records import Record
from ham_keras.data.repair import (
    INVERTED_FRACTION,
    MIN_MASKS,
    evenly_spaced,
    inverted_by_both_signs,
    inverted_by_shape,
    map_threads,
    stored_or_none,
)
from ham_keras.data.truth import check_alignment
from ham_keras.errors import shown

SAMPLE_SIZE = 100
# No mask of HAM10000 looks inverted by both signs, 1 to 2 % of its tiles do: benchmarks/inverted_masks.py.
SUSPICIOUS_FRACTION = 0.1


def mask_warnings(records: Sequence[Record]) -> list[str]:
    """One line for each kind of unusual mask, with the number of masks and an example.

    Unreadable files are ignored here; reading them raises an error.
    """
    alignments = map_threads(check_alignment, records)
    kinds = (
        (
            "masks are inverted and repaired on reading (data.repair_masks)",
            [record for record in records if record.mask_inverted],
        ),
        (
            "masks have another aspect ratio than their image and are stretched to it",
            [record for record, found in zip(records, alignments, strict=True) if found.other_aspect],
        ),
        (
            "images are rotated by EXIF, and it is unclear whether their masks are too; these are read as stored",
            [record for record, found in zip(records, alignments, strict=True) if found.unclear_turn],
        ),
        ("masks have none of data.lesion_values and are read as empty", _without_values(records)),
    )
    lines = [
        f"{len(found)} of {len(records)} {what}, the first: {shown(found[0].mask_path)}"
        for what, found in kinds
        if found
    ]
    return lines + _inversion_warnings([record for record in records if not record.mask_inverted])


def _without_values(records: Sequence[Record]) -> list[Record]:
    chosen = [record for record in records if record.lesion_values is not None]
    lesions = map_threads(stored_or_none, chosen)
    return [record for record, lesion in zip(chosen, lesions, strict=True) if lesion is not None and not lesion.any()]


def _inversion_warnings(records: Sequence[Record]) -> list[str]:
    sample = evenly_spaced(records, SAMPLE_SIZE)
    by_shape = [record for record, found in zip(sample, map_threads(inverted_by_shape, sample), strict=True) if found]
    agrees = map_threads(inverted_by_both_signs, by_shape)
    suspects = [record for record, found in zip(by_shape, agrees, strict=True) if found]
    what = "may be inverted"
    if not suspects or len(suspects) < SUSPICIOUS_FRACTION * len(sample):
        if len(sample) < MIN_MASKS or len(by_shape) < INVERTED_FRACTION * len(sample):
            return []
        suspects, what = by_shape, "look inverted by their shape, though not by their photographs"
    return [
        f"{len(suspects)} of {len(sample)} sampled masks {what}, the first: "
        f"{shown(suspects[0].mask_path)}; check them with the audit; data.repair_masks=always repairs them"
    ]
