"""Read the mask of a record, and check how it aligns with its photograph.

Photographs are rotated as EXIF says, but some annotation tools ignore EXIF. A mask that has the shape of the stored
pixels, and not that of the upright photograph, is rotated too. The shape is no evidence after a rotation by 180 degrees
or a flip, for square photographs, and if it is neither of the two: such masks are read as stored, or as their own EXIF
says, and counted in a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from ham_keras.data.encoded import TURNS, Head, read_head
from ham_keras.data.levels import Lesion
from ham_keras.data.masks import Mask, read_mask, read_stored_mask
from ham_keras.data.records import Record

ASPECT_TOLERANCE = 0.01
Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Alignment:
    """How a mask aligns with its photograph.

    Attributes:
        turn: rotation or flip that the stored mask needs, or None.
        unclear_turn: EXIF rotates or flips photograph and mask differently, and the shapes do not show what is right.
        image_size: of the upright photograph; None if it cannot be read.
        mask_size: of the mask after `turn`; None if it cannot be read.
    """

    turn: Image.Transpose | None
    unclear_turn: bool
    image_size: Size | None
    mask_size: Size | None

    @property
    def other_aspect(self) -> bool:
        """Whether the aspect ratios of mask and photograph differ by more than 1 %."""
        return bool(self.image_size and self.mask_size and not _same_shape(self.image_size, self.mask_size))


def read_truth(record: Record) -> Mask:
    """Read the mask of a record, upright like its photograph, and repaired if `record.mask_inverted`.

    Raises:
        HamError: the mask is missing, truncated, not an image, or of several classes (see `read_mask`).
    """
    values, turn = record.lesion_values, _turn(record)
    return read_mask(record.mask_path, lesion_values=values, inverted=record.mask_inverted, turn=turn)


def read_stored_truth(record: Record) -> Lesion:
    """Read the mask of a record, uint8 {0, 1}, upright but without correcting frame and inversion.

    Raises:
        HamError: see `read_truth`.
    """
    return read_stored_mask(record.mask_path, lesion_values=record.lesion_values, turn=_turn(record)).lesion


def check_alignment(record: Record) -> Alignment:
    """Compare mask and photograph of a record, from the headers of both files."""
    return _align(read_head(record.image_path), read_head(record.mask_path))


def _turn(record: Record) -> Image.Transpose | None:
    photograph = read_head(record.image_path)
    if photograph is None or photograph.orientation == 1:
        return None
    return _align(photograph, read_head(record.mask_path)).turn


def _align(photograph: Head | None, mask: Head | None) -> Alignment:
    if photograph is None or mask is None:
        return Alignment(None, False, photograph.size if photograph else None, mask.size if mask else None)
    stored, upright = photograph.stored_size, photograph.size
    fits_stored, fits_upright = _same_shape(mask.size, stored), _same_shape(mask.size, upright)
    if fits_stored and not fits_upright:
        return Alignment(TURNS[photograph.orientation], False, upright, mask.size[::-1])
    # A mask with the EXIF orientation of the photograph was made from the same file, and is rotated by its own EXIF.
    unclear = photograph.orientation != mask.orientation and fits_stored == fits_upright
    return Alignment(None, unclear, upright, mask.size)


def _same_shape(first: Size, second: Size) -> bool:
    return abs(first[0] * second[1] / (first[1] * second[0]) - 1) <= ASPECT_TOLERANCE
