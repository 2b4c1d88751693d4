"""The mask of a record, as every command reads it, and what its file and its photograph disagree about.

A photograph that EXIF turns is shown upright, but some tools draw on its pixels as they are stored. A mask whose shape
is that of the stored pixels alone is turned with them. After a turn by 180 degrees, a mirroring, or on a square
photograph the shape cannot tell; such masks are read as they are, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from ham_keras.data.encoded import TURNS, Head, read_head
from ham_keras.data.levels import Lesion
from ham_keras.data.masks import Mask, read_mask, read_stored
from ham_keras.data.records import Record

ASPECT_TOLERANCE = 0.01
Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Fit:
    """How a mask lies on its photograph.

    Attributes:
        turn: what turns the stored mask as EXIF turns the photograph, or None.
        unclear_turn: the photograph is turned, and the shapes do not tell whether the mask was drawn before that.
        image_size: of the upright photograph; None where its head cannot be read.
        mask_size: of the mask, turned; None where its head cannot be read.
    """

    turn: Image.Transpose | None
    unclear_turn: bool
    image_size: Size | None
    mask_size: Size | None

    @property
    def other_aspect(self) -> bool:
        """Whether mask and photograph have shapes that differ by more than a hundredth."""
        return bool(self.image_size and self.mask_size and not _same_shape(self.image_size, self.mask_size))


def read_truth(record: Record) -> Mask:
    """The mask of a record, upright like its photograph, repaired where the record says so.

    Raises:
        HamError: the mask is missing, truncated, not an image, or of several classes (see `read_mask`).
    """
    values, turn = record.lesion_values, _turn(record)
    return read_mask(record.mask_path, lesion_values=values, inverted=record.mask_inverted, turn=turn)


def read_stored_truth(record: Record) -> Lesion:
    """The mask of a record as its file has it, uint8 {0, 1}: upright, but with its frame and not repaired.

    Raises:
        HamError: as `read_truth` does.
    """
    return read_stored(record.mask_path, lesion_values=record.lesion_values, turn=_turn(record)).lesion


def fit_mask(record: Record) -> Fit:
    """How the mask of a record lies on its photograph, from the heads of both files."""
    return _fit(read_head(record.image_path), read_head(record.mask_path))


def _turn(record: Record) -> Image.Transpose | None:
    photograph = read_head(record.image_path)
    if photograph is None or photograph.orientation == 1:
        return None
    return _fit(photograph, read_head(record.mask_path)).turn


def _fit(photograph: Head | None, mask: Head | None) -> Fit:
    if photograph is None or mask is None:
        return Fit(None, False, photograph.size if photograph else None, mask.size if mask else None)
    stored, upright = photograph.stored_size, photograph.size
    if _same_shape(stored, upright):
        # A mask that brings an EXIF turn of its own was made from the same file; it is turned by that.
        unclear = photograph.orientation != 1 and mask.orientation == 1
        return Fit(None, unclear, upright, mask.size)
    if _same_shape(mask.size, stored) and not _same_shape(mask.size, upright):
        return Fit(TURNS[photograph.orientation], False, upright, mask.size[::-1])
    return Fit(None, False, upright, mask.size)


def _same_shape(first: Size, second: Size) -> bool:
    return abs(first[0] * second[1] / (first[1] * second[0]) - 1) <= ASPECT_TOLERANCE
