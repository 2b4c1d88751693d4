"""The one reader of mask files: whatever was saved becomes {0, 1}, and inverted masks are repaired.

402 of HAM10000's masks are palette PNGs with a reversed palette (index 255 is black). Decoded by
their palette they are right; copies re-saved from raw indices are truly inverted. So a mask is
decoded by its palette first, and only then tested.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from ham_keras.errors import HamError

Lesion = npt.NDArray[np.uint8]
Grey = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Mask:
    """A mask as read.

    Attributes:
        lesion: uint8 [H, W] in {0, 1}, after repair; 1 is lesion.
        repaired: the file was inverted, `lesion` is not.
        palette: the file stores indices into a palette.
        levels: how many grey levels the file holds; more than two is not a binary mask.
    """

    lesion: Lesion
    repaired: bool
    palette: bool
    levels: int


def read_mask(path: Path | str) -> Mask:
    """Read a mask file: 1-bit, 8-bit, 16-bit, palette, RGB or RGBA; 0/1, 0/255 or 0/65535.

    Raises:
        HamError: the file is missing, truncated or not an image.
    """
    try:
        with Image.open(io.BytesIO(Path(path).read_bytes())) as image:
            palette = image.mode == "P"
            grey = _grey_levels(image)
    # Pillow tells of broken bytes by several exceptions, SyntaxError among them.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "of no known format" if isinstance(error, UnidentifiedImageError) else error
        raise HamError(f"{path}: not a readable mask ({reason}); fetch it again or leave its image out") from None
    lesion, levels = _binarise(grey)
    repaired = is_inverted(lesion)
    return Mask(1 - lesion if repaired else lesion, repaired, palette, levels)


def is_inverted(lesion: Lesion) -> bool:
    """Tell whether the border of a {0, 1} mask [H, W] is more lesion than its centre.

    Border: the outermost pixels. Centre: the middle half of height and width. On HAM10000 this finds
    all 402 reversed masks and flips none of the other 9,613, lesions that fill the frame included.
    """
    height, width = lesion.shape
    border = np.concatenate([lesion[0], lesion[-1], lesion[1:-1, 0], lesion[1:-1, -1]])
    centre = lesion[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return bool(border.mean() > centre.mean())


def resize_mask(lesion: Lesion, height_px: int, width_px: int) -> Lesion:
    """Resize a {0, 1} mask: a pixel of the result is lesion where at least half of its area is.

    Area averaging keeps the outline to a fraction of a pixel; nearest-neighbour moves it by up to half, which
    costs the trained network accuracy: benchmarks/choices.py.
    """
    if lesion.shape == (height_px, width_px):
        return lesion
    shrinks = height_px <= lesion.shape[0] and width_px <= lesion.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    area = cv2.resize(lesion.astype(np.float32), (width_px, height_px), interpolation=how)
    return (area >= 0.5).astype(np.uint8)


def _grey_levels(image: Image.Image) -> Grey:
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in {"RGBA", "LA", "PA"}:
        alpha = np.asarray(image.getchannel("A"))
        colour = np.asarray(image.convert("RGB").convert("L"))
        # Some editors save the shape in the alpha channel over one flat colour.
        drawn_in_alpha = alpha.min() != alpha.max() and colour.min() == colour.max()
        return alpha if drawn_in_alpha else colour
    if image.mode in {"I", "F"}:
        return np.asarray(image).astype(np.int64)
    if image.mode == "1":
        return np.asarray(image).view(np.uint8)
    if image.mode == "L" or image.mode.startswith("I;16"):
        return np.asarray(image)
    return np.asarray(image.convert("L"))


def _binarise(grey: Grey) -> tuple[Lesion, int]:
    lowest, highest = int(grey.min()), int(grey.max())
    # np.unique sorts, which costs more than decoding the file does; a binary mask needs no sorting.
    two_levels = np.all((grey == lowest) | (grey == highest))
    levels = len({lowest, highest}) if two_levels else len(np.unique(grey))
    # Two levels are the writer's own two, whichever they are; of more, the upper half is lesion. A file of one
    # level is all lesion only where that is the highest a writer uses.
    if levels == 1:
        threshold = 0 if lowest == 1 else 127 if lowest <= 255 else 32767
    else:
        threshold = lowest if levels == 2 else highest // 2
    return (grey > threshold).astype(np.uint8), levels
