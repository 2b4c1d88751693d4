"""Warnings about the masks that training or evaluation uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ham_keras.data.masks import StoredMask, find_edge_line, is_outline, remove_frame
from ham_keras.data.records import Record
from ham_keras.data.repair import (
    INVERTED_FRACTION,
    MIN_MASKS,
    evenly_spaced,
    inverted_by_both_signs,
    map_threads,
    shape_sign,
)
from ham_keras.data.truth import check_alignment, stored_mask_or_none
from ham_keras.errors import counted_of, shown

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
            "mask{s} {are} inverted and repaired on reading (data.repair_masks)",
            [record for record in records if record.mask_inverted],
        ),
        (
            "mask{s} {have} another aspect ratio than the image and {are} stretched to it",
            [record for record, found in zip(records, alignments, strict=True) if found.other_aspect],
        ),
        (
            "pair{s} {have} an image or a mask rotated by EXIF, and it is unclear whether both are; the mask is "
            "rotated as its own EXIF says, else read as stored",
            [record for record, found in zip(records, alignments, strict=True) if found.unclear_turn],
        ),
        *_value_kinds([record for record in records if record.lesion_values is not None]),
    )
    upright = [record for record in records if not record.mask_inverted]
    samples = evenly_spaced(records, SAMPLE_SIZE), evenly_spaced(upright, SAMPLE_SIZE)
    sampled = list({record.image_id: record for sample in samples for record in sample}.values())
    looks = map_threads(_look, sampled)  # the samples mostly overlap, and each mask is read once
    of = {record.image_id: look for record, look in zip(sampled, looks, strict=True)}
    sampled_kinds = (
        (
            "sampled mask{s} {have} three grey levels, the middle one thin, and {are} read as having soft edges; to "
            "ignore that level, set data.lesion_values",
            [record for record in samples[0] if of[record.image_id].ring],
        ),
        (
            "sampled mask{s} {have} a drawn outline, of which only the line counts as lesion, and no filled area",
            [record for record in samples[0] if of[record.image_id].outline],
        ),
        (
            "sampled mask{s} {have} a line of lesion along an edge, as of a frame, and {are} read as stored",
            [record for record in samples[0] if of[record.image_id].edge_line],
        ),
    )
    return [
        *_lines(kinds, len(records)),
        *_lines(sampled_kinds, len(samples[0])),
        *_inversion_warnings(samples[1], of),
    ]


def _lines(kinds: Iterable[tuple[str, list[Record]]], total: int) -> list[str]:
    return [
        f"{counted_of(len(found), total, what)}, the first: {shown(found[0].mask_path)}"
        for what, found in kinds
        if found
    ]


@dataclass(frozen=True)
class Look:
    """What is unusual about a mask as stored; nothing if it cannot be read. `inverted`: by its shape."""

    ring: bool = False
    outline: bool = False
    edge_line: bool = False
    inverted: bool = False


def _look(record: Record) -> Look:
    stored = stored_mask_or_none(record)
    if stored is None:
        return Look()
    outline, edge_line = is_outline(stored.lesion), find_edge_line(remove_frame(stored.lesion)[0]) is not None
    inverted = bool(shape_sign(stored.lesion)) and not outline and not edge_line
    return Look(stored.ring, outline, edge_line, inverted)


def _value_kinds(chosen: Sequence[Record]) -> Iterator[tuple[str, list[Record]]]:
    found = map_threads(lambda record: _read_values(stored_mask_or_none(record)), chosen)
    for what, is_so in (
        ("mask{s} {have} none of data.lesion_values and {are} read as empty", [empty for empty, _ in found]),
        (
            "mask{s} {have} soft edges or lossy compression, where data.lesion_values selects only some pixels of the "
            "lesion; save them with exact values, or leave data.lesion_values out",
            [blurred for _, blurred in found],
        ),
    ):
        yield what, [record for record, so in zip(chosen, is_so, strict=True) if so]


def _read_values(stored: StoredMask | None) -> tuple[bool, bool]:
    """Whether a mask read with `lesion_values` is empty, and whether its values are blurred."""
    return (False, False) if stored is None else (not stored.lesion.any(), stored.blurred)


def _inversion_warnings(sample: Sequence[Record], looks: Mapping[str, Look]) -> list[str]:
    by_shape = [record for record in sample if looks[record.image_id].inverted]
    agrees = map_threads(inverted_by_both_signs, by_shape)
    suspects = [record for record, found in zip(by_shape, agrees, strict=True) if found]
    what = "sampled mask{s} may be inverted"
    if not suspects or len(suspects) < SUSPICIOUS_FRACTION * len(sample):
        if len(sample) < MIN_MASKS or len(by_shape) < INVERTED_FRACTION * len(sample):
            return []
        suspects, what = by_shape, "sampled mask{s} look inverted by their shape, though not by their photographs"
    return [
        f"{counted_of(len(suspects), len(sample), what)}, the first: "
        f"{shown(suspects[0].mask_path)}; check them with the audit; data.repair_masks=always repairs them"
    ]
