"""The one reader of mask files: whatever was saved becomes {0, 1}.

402 of HAM10000's masks are palette PNGs with a reversed palette (index 255 is black). Decoded by their palette they
are right; copies re-saved from raw indices are truly inverted. A single file cannot tell: `repair.py` decides for a
data folder as a whole, and `truth.py` reads the mask of a record as that says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.data.containers import JPEG, check_whole
from ham_keras.data.encoded import BROKEN, open_image, reason, turn_upright
from ham_keras.data.levels import Lesion, UnclearLevelsError, find_lesion, read_grey
from ham_keras.errors import HamError, shown

FRAME_PX = 3  # the thickest frame that annotation tools leave around a mask
FRAMED_SHARE = 0.9  # a lesion that fills the frame covers more than this of the pixels just inside it


@dataclass(frozen=True)
class Mask:
    """A mask as read.

    Attributes:
        lesion: uint8 [H, W] in {0, 1}, without a frame, after repair; 1 is lesion.
        repaired: the file was inverted, `lesion` is not.
        palette: the file stores indices into a palette.
        levels: how many grey levels the file holds; more than two is a mask with soft edges or of several classes.
        frame_px: how thick a frame around the mask was left out, 0 where there was none.
    """

    lesion: Lesion
    repaired: bool
    palette: bool
    levels: int
    frame_px: int


class MaskLevelsError(HamError):
    """A mask of several classes, and nothing says which of them are lesion."""


@dataclass(frozen=True)
class Stored:
    """A mask as its file has it: `lesion` with a frame and not repaired, the rest as of `Mask`."""

    lesion: Lesion
    palette: bool
    levels: int


def read_mask(
    path: Path | str,
    *,
    lesion_values: Sequence[int] | None = None,
    inverted: bool = False,
    turn: Image.Transpose | None = None,
) -> Mask:
    """Read a mask file: 1-bit, 8-bit, 16-bit, palette, RGB or RGBA; two levels, or soft edges between two.

    Args:
        lesion_values: the values that are lesion, in files of several classes.
        inverted: the file holds the skin; `lesion` is then what it leaves out.
        turn: how to turn what is stored, before anything else is looked at.

    Raises:
        MaskLevelsError: the file holds several classes, and no `lesion_values` are given.
        HamError: the file is missing, truncated or not an image.
    """
    stored = read_stored(path, lesion_values=lesion_values, turn=turn)
    lesion, frame_px = remove_frame(1 - stored.lesion if inverted else stored.lesion)
    return Mask(lesion, inverted, stored.palette, stored.levels, frame_px)


def read_stored(
    path: Path | str, *, lesion_values: Sequence[int] | None = None, turn: Image.Transpose | None = None
) -> Stored:
    """A mask file as it is: what `read_mask` makes its mask of. Raises as that does."""
    try:
        data = Path(path).read_bytes()
        check_whole(data)
        with open_image(data) as image:
            palette = image.mode == "P"
            upright = turn_upright(image, data)
            grey = read_grey(upright if turn is None else upright.transpose(turn), data)
        lesion, levels = find_lesion(grey, lesion_values, lossy=data.startswith(JPEG))
    except UnclearLevelsError as error:
        raise MaskLevelsError(
            f"{shown(path)}: a mask of {error}; expected two, or soft edges between 0 and 255: say which are lesion "
            f"with data.lesion_values=[...]"
        ) from None
    except BROKEN as error:
        raise HamError(
            f"{shown(path)}: not a readable mask ({reason(error)}); fetch it again or leave its image out"
        ) from None
    return Stored(lesion, palette, levels)


def remove_frame(lesion: Lesion) -> tuple[Lesion, int]:
    """A {0, 1} mask [H, W] without the frame of lesion that a tool has drawn around it, and how thick that was.

    A frame: the outermost pixels, up to `FRAME_PX` deep, are all lesion and those just inside are not. They become
    what lies just inside them.
    """
    for frame_px in range(1, FRAME_PX + 1):
        if min(lesion.shape) <= 2 * frame_px + 2 or not _ring(lesion, frame_px - 1).all():
            break
        if _ring(lesion, frame_px).mean() < FRAMED_SHARE:
            inner = lesion[frame_px:-frame_px, frame_px:-frame_px]
            return np.pad(inner, frame_px, mode="edge"), frame_px
    return lesion, 0


def looks_inverted(lesion: Lesion) -> bool:
    """Whether the border of a {0, 1} mask [H, W] is more lesion than its centre, as no mask of a centred lesion is.

    Border: the outermost pixels. Centre: the middle half of height and width. On HAM10000, whose lesions are centred,
    this finds all 402 reversed masks and none of the other 9,613. Where lesions are not centred it is wrong most of
    the time: benchmarks/inverted_masks.py.
    """
    height, width = lesion.shape
    centre = lesion[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return bool(_ring(lesion, 0).mean() > centre.mean())


def resize_mask(lesion: Lesion, height_px: int, width_px: int) -> Lesion:
    """Resize a {0, 1} mask: a pixel of the result is lesion where at least half of its area is.

    Area averaging keeps the outline to a fraction of a pixel; nearest-neighbour moves it by up to half, which
    costs the trained network accuracy: benchmarks/choices.py.
    """
    if lesion.shape == (height_px, width_px):
        return lesion
    return (lesion_fraction(lesion, height_px, width_px) >= 0.5).astype(np.uint8)


def lesion_fraction(lesion: Lesion, height_px: int, width_px: int) -> npt.NDArray[np.float32]:
    """The fraction of each pixel of a resized {0, 1} mask that is lesion, float32 [height_px, width_px] in 0..1."""
    shrinks = height_px <= lesion.shape[0] and width_px <= lesion.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(lesion.astype(np.float32), (width_px, height_px), interpolation=how), np.float32)


def _ring(lesion: Lesion, depth_px: int) -> Lesion:
    """The pixels that lie this far from the edge of the mask."""
    inner = lesion[depth_px : len(lesion) - depth_px, depth_px : lesion.shape[1] - depth_px]
    return np.concatenate([inner[0], inner[-1], inner[1:-1, 0], inner[1:-1, -1]])
