"""Read the mask of a record, and check how it aligns with its photograph.

Photographs are rotated as EXIF says, but some annotation tools ignore EXIF, and others copy it to a mask that is
upright already. Of three ways to read a mask - as its own EXIF says, as stored, or rotated as the photograph - the
first is used that has the shape of the upright photograph. The shape is no evidence after a rotation by 180 degrees or
a flip, for square photographs, and if no way fits: such masks are read as their own EXIF says, and counted in a
warning.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from ham_keras.data.encoded import SIDEWAYS, TURNS, Head, read_head
from ham_keras.data.masks import Mask, StoredMask, read_mask, read_stored_mask
from ham_keras.data.records import Record
from ham_keras.errors import HamError

ASPECT_TOLERANCE = 0.01
Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Alignment:
    """How a mask aligns with its photograph.

    Attributes:
        turn: rotation or flip that the stored pixels of the mask need, or None.
        own_turn: the one that the EXIF of the mask says, or None.
        unclear_turn: EXIF rotates or flips photograph and mask differently, and the shapes do not show what is right.
        image_size: of the upright photograph; None if it cannot be read.
        mask_size: of the mask after `turn`; None if it cannot be read.
    """

    turn: Image.Transpose | None
    own_turn: Image.Transpose | None
    unclear_turn: bool
    image_size: Size | None
    mask_size: Size | None

    @property
    def stored_mask_size(self) -> Size | None:
        """The size of the mask before `turn`."""
        sideways = self.turn in {TURNS[orientation] for orientation in SIDEWAYS}
        return self.mask_size[::-1] if self.mask_size and sideways else self.mask_size

    @property
    def other_aspect(self) -> bool:
        """Whether the aspect ratios of mask and photograph differ by more than 1 %."""
        return bool(self.image_size and self.mask_size and not _same_shape(self.image_size, self.mask_size))


def read_truth(record: Record) -> Mask:
    """Read the mask of a record, upright like its photograph, and repaired if `record.mask_inverted`.

    Raises:
        HamError: the mask is missing, truncated, not an image, or of several classes (see `read_mask`).
    """
    values, turn = record.lesion_values, check_alignment(record).turn
    return read_mask(record.mask_path, lesion_values=values, inverted=record.mask_inverted, turn=turn)


def read_stored_truth(record: Record) -> StoredMask:
    """Read the mask of a record upright, but without correcting frame and inversion.

    Raises:
        HamError: see `read_truth`.
    """
    turn = check_alignment(record).turn
    return read_stored_mask(record.mask_path, lesion_values=record.lesion_values, turn=turn)


def stored_mask_or_none(record: Record) -> StoredMask | None:
    """As `read_stored_truth`; None if the mask cannot be read. Reading it for use raises the error."""
    try:
        return read_stored_truth(record)
    except HamError:
        return None


def check_alignment(record: Record) -> Alignment:
    """Compare mask and photograph of a record, from the headers of both files."""
    return _align(read_head(record.image_path), read_head(record.mask_path))


def _align(photograph: Head | None, mask: Head | None) -> Alignment:
    if photograph is None or mask is None:
        own = TURNS.get(mask.orientation) if mask else None
        return Alignment(own, own, False, photograph.size if photograph else None, mask.size if mask else None)
    orientations = dict.fromkeys((mask.orientation, 1, photograph.orientation))
    sizes = {each: Head(mask.stored_size, each).size for each in orientations}
    fitting = [each for each, size in sizes.items() if _same_shape(size, photograph.size)]
    chosen = next(iter(fitting), mask.orientation)
    # A mask with the EXIF orientation of the photograph was made from the same file.
    unclear = photograph.orientation != mask.orientation and len(fitting) != 1
    return Alignment(TURNS.get(chosen), TURNS.get(mask.orientation), unclear, photograph.size, sizes[chosen])


def _same_shape(first: Size, second: Size) -> bool:
    return abs(first[0] * second[1] / (first[1] * second[0]) - 1) <= ASPECT_TOLERANCE
