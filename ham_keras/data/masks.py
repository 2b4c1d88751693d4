"""Read mask files of any encoding as {0, 1}.

402 masks of HAM10000 are palette PNGs with a reversed palette (index 255 is black). Decoded with the palette they are
correct; copies saved from the raw indices are inverted. This cannot be decided from a single file: `repair.py` decides
for a whole data folder, and `truth.py` reads the mask of a record accordingly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.data.encoded import BROKEN, TURNS, open_complete, read_orientation, reason, turn_stored
from ham_keras.data.levels import (
    MIN_EDGE_PIXELS,
    Lesion,
    UnclearLevelsError,
    find_lesion,
    has_blurred_labels,
    is_coloured,
    is_lossy,
    is_lossy_webp,
    read_grey,
    read_labels,
    select_labels,
)
from ham_keras.errors import HamError, shown

Turn = Image.Transpose | Literal["exif"] | None

FRAME_PX = 3  # the thickest frame of an annotation tool around a mask
# A line along an edge, within this fraction of the shorter side, ends over so much of the edge's length. Of 5,404 masks
# of HAM10000 and ISIC 2018 none has more than 0.08.
LINE_DEPTH_FRACTION, LINE_END_FRACTION = 0.2, 0.4
LINE_END_SIDE_PX = 150  # a line ends within one pixel for each of these pixels of the shorter side
# An outline covers less of its convex hull, and is thinner in relation to the hull's square root. Of the masks of
# HAM10000 and ISIC 2018 none is.
OUTLINE_FRACTION, OUTLINE_THICKNESS = 0.35, 0.1
FILLED_FRACTION = 0.9  # of the pixels just inside the border are lesion if a lesion fills the image


@dataclass(frozen=True)
class Mask:
    """A mask after repair.

    Attributes:
        lesion: uint8 [H, W] in {0, 1}, 1 is lesion; without a frame and not inverted.
        repaired: whether the file is inverted.
        palette: whether the file stores indices into a palette.
        levels: number of grey levels in the file; more than two for soft edges or several classes.
        frame_px: thickness of the frame that was removed, 0 if there was none.
        ring: whether the file has a thin third level, read as a soft edge; it may be a ring to ignore.
        blurred: whether `lesion_values` were selected in a file with soft edges or lossy compression.
    """

    lesion: Lesion
    repaired: bool
    palette: bool
    levels: int
    frame_px: int
    ring: bool
    blurred: bool


class MaskLevelsError(HamError):
    """A mask has several classes, and `lesion_values` does not say which are lesion."""


@dataclass(frozen=True)
class StoredMask:
    """A mask as stored, before frame and inversion are corrected. Attributes as in `Mask`."""

    lesion: Lesion
    palette: bool
    levels: int
    ring: bool
    blurred: bool


def read_mask(
    path: Path | str,
    *,
    lesion_values: Sequence[int] | None = None,
    inverted: bool = False,
    turn: Turn = "exif",
) -> Mask:
    """Read a mask file: 1-bit, 8-bit, 16-bit, palette, RGB or RGBA; two levels, or soft edges between two.

    Args:
        lesion_values: the values that are lesion, in files of several classes; of a palette its indices, see
            `levels.read_labels`.
        inverted: the file marks the skin instead of the lesion.
        turn: the rotation or flip that the stored pixels need; "exif" for the one of the file.

    Raises:
        MaskLevelsError: the file has several classes and `lesion_values` is None.
        HamError: the file is missing, truncated or not an image, or has several pages.
    """
    stored = read_stored_mask(path, lesion_values=lesion_values, turn=turn)
    lesion, frame_px = remove_frame(1 - stored.lesion if inverted else stored.lesion)
    return Mask(lesion, inverted, stored.palette, stored.levels, frame_px, stored.ring, stored.blurred)


def read_stored_mask(
    path: Path | str, *, lesion_values: Sequence[int] | None = None, turn: Turn = "exif"
) -> StoredMask:
    """Read a mask file without correcting frame and inversion. Raises the same errors as `read_mask`."""
    try:
        data = Path(path).read_bytes()
        with open_complete(data) as image:
            palette = image.mode == "P"
            own, lossy = TURNS.get(read_orientation(image, data)), is_lossy(image, data)
            ring = blurred = False
            if lesion_values is None:
                shifted, coloured = is_lossy_webp(image, data), is_coloured(image)
                grey = read_grey(image, data)
                lesion, levels = find_lesion(grey, lossy=lossy, shifted=shifted, coloured=coloured)
                ring = levels == 3 and not lossy and lesion.size >= MIN_EDGE_PIXELS
            else:
                labels = read_labels(image, data)
                blurred = has_blurred_labels(labels, lossy=lossy)
                lesion, levels = select_labels(labels, lesion_values)
            lesion = turn_stored(lesion, image, own, own if turn == "exif" else turn)
    except UnclearLevelsError as error:
        raise MaskLevelsError(
            f"{shown(path)}: a mask of {error}; expected two, or soft edges between 0 and 255; set "
            f"data.lesion_values=[...] to the levels that are lesion"
        ) from None
    except BROKEN as error:
        raise HamError(
            f"{shown(path)}: not a readable mask ({reason(error)}); replace it or remove its image"
        ) from None
    return StoredMask(lesion, palette, levels, ring, blurred)


def remove_frame(lesion: Lesion) -> tuple[Lesion, int]:
    """Remove the frame that an annotation tool drew around a {0, 1} mask [H, W]; returns the mask and its thickness.

    In a frame the outermost pixels, up to `FRAME_PX` deep, are all lesion, and most of those just inside are not. The
    frame is filled with the nearest pixels inside it.
    """
    for frame_px in range(1, FRAME_PX + 1):
        if min(lesion.shape) <= 2 * frame_px + 2 or not _ring(lesion, frame_px - 1).all():
            break
        if _ring(lesion, frame_px).mean() < FILLED_FRACTION:
            inner = lesion[frame_px:-frame_px, frame_px:-frame_px]
            return np.pad(inner, frame_px, mode="edge"), frame_px
    return lesion, 0


def find_edge_line(lesion: Lesion) -> tuple[str, int] | None:
    """The side and the depth in pixels of a line along an edge of a {0, 1} mask [H, W]; None if there is none.

    Such a line is part of a frame that `remove_frame` leaves: thicker, away from the edge, or with a gap.
    """
    shorter_px = min(lesion.shape)
    depth_px, end_px = round(shorter_px * LINE_DEPTH_FRACTION), max(1, round(shorter_px / LINE_END_SIDE_PX))
    for side, seen in ("top", lesion), ("bottom", lesion[::-1]), ("left", lesion.T), ("right", lesion.T[::-1]):
        fraction = seen[: depth_px + end_px].mean(axis=1)
        ends = np.flatnonzero(fraction[:-end_px] - fraction[end_px:] > LINE_END_FRACTION)
        if len(ends):
            return side, int(ends[-1]) + 1
    return None


def is_outline(lesion: Lesion) -> bool:
    """Whether a {0, 1} mask [H, W] is the drawn outline of a lesion, or its inverse, and not a filled area."""
    line = lesion if lesion.mean() <= 0.5 else 1 - lesion
    if not line.any():
        return False
    hull = cv2.contourArea(cv2.convexHull(cv2.findNonZero(line)))
    thickness = 2 * float(cv2.distanceTransform(line, cv2.DIST_L2, cv2.DIST_MASK_3).max())
    return bool(line.sum() < OUTLINE_FRACTION * hull and thickness < OUTLINE_THICKNESS * hull**0.5)


def strip_frame(lesion: Lesion) -> tuple[Lesion, int]:
    """As `remove_frame`, but for a mask [H, W] that may be inverted: also removes a frame of skin around lesion."""
    inside, frame_px = remove_frame(lesion)
    if frame_px:
        return inside, frame_px
    inside, frame_px = remove_frame(1 - lesion)
    if frame_px and _ring(inside, 0).mean() <= 0.5:
        return 1 - inside, frame_px
    return lesion, 0


def leaves_out_the_middle(lesion: Lesion) -> bool:
    """Whether a {0, 1} mask [H, W] is the inverse of a lesion that touches no border and is centred; ignores frames."""
    inside, _ = strip_frame(lesion)
    if not _ring(inside, 0).all() or inside.all():
        return False
    rows, columns = np.nonzero(inside == 0)
    centre = rows.mean() / inside.shape[0], columns.mean() / inside.shape[1]
    return all(0.25 < position < 0.75 for position in centre)


def looks_inverted(lesion: Lesion) -> bool:
    """Whether a {0, 1} mask [H, W] has a larger fraction of lesion at the border than in the centre.

    Border: the outermost pixels. Centre: the middle half of height and width. On HAM10000, whose lesions are centred,
    this finds all 402 reversed masks and none of the other 9,613. For lesions that are not centred it is usually
    wrong: benchmarks/inverted_masks.py.
    """
    height, width = lesion.shape
    centre = lesion[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return bool(_ring(lesion, 0).mean() > centre.mean())


def resize_mask(lesion: Lesion, height_px: int, width_px: int) -> Lesion:
    """Resize a {0, 1} mask. A pixel of the result is lesion if at least half of its area is.

    Area averaging keeps the outline to a fraction of a pixel; nearest-neighbour shifts it by up to half a pixel, which
    reduces the accuracy of the trained network: benchmarks/choices.py.
    """
    if lesion.shape == (height_px, width_px):
        return lesion
    return (lesion_fraction(lesion, height_px, width_px) >= 0.5).astype(np.uint8)


def lesion_fraction(lesion: Lesion, height_px: int, width_px: int) -> npt.NDArray[np.float32]:
    """The fraction of each pixel of a resized {0, 1} mask that is lesion, float32 [height_px, width_px] in 0..1."""
    shrinks = height_px <= lesion.shape[0] and width_px <= lesion.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    fraction = cv2.resize(lesion.astype(np.float32), (width_px, height_px), interpolation=interpolation)
    return np.asarray(fraction, np.float32)


def _ring(lesion: Lesion, depth_px: int) -> Lesion:
    """The pixels at distance `depth_px` from the edge of the mask."""
    inner = lesion[depth_px : len(lesion) - depth_px, depth_px : lesion.shape[1] - depth_px]
    return np.concatenate([inner[0], inner[-1], inner[1:-1, 0], inner[1:-1, -1]])
