"""From what a mask file stores to {0, 1}: which of its grey levels are lesion."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.data.containers import PNG

Lesion = npt.NDArray[np.uint8]
Grey = npt.NDArray[np.integer]

LISTED = 8  # values that an error names
LEAST_REACH = 64  # grey levels between the darkest and the lightest of a mask with soft edges
POLE = 1 / 8  # of that reach: what is as near to the darkest or the lightest level is JPEG's noise around it
FEW_LEVELS = 16
# Of all pixels, those of one level whose eight neighbours have it too. Masks saved as JPEG, at qualities 10 to 100,
# have none of a middle level; near black or white 0.01 % at most, saved twice with a resize between 0.9 %. A level
# with more of them is a class of its own.
FLAT_SHARE, FLAT_NOISE_SHARE = 2e-4, 0.02


class UnclearLevelsError(ValueError):
    """More grey levels than two, and they are not the soft edges of a mask."""


def read_grey(image: Image.Image, data: bytes) -> Grey:
    """The grey levels [H, W] of a mask opened in Pillow from the bytes of its file.

    Colours become grey by their luminance; a palette of colours gives its indices where it has more than two. Where
    the pixels that are not transparent have one colour, the shape is drawn in the alpha channel.
    """
    if image.mode == "P":
        if "transparency" not in image.info and _is_label_palette(image):
            return np.asarray(image)
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif data.startswith(PNG) and data[24] == 16 and not image.mode.startswith("I"):
        return _grey_of_16_bits(data)
    if image.mode in {"LA", "PA", "La"}:
        image = image.convert("RGBA")
    if image.mode in {"RGBA", "RGBa"}:
        image = image.convert("RGBA")
        alpha, colour = np.asarray(image.getchannel("A")), np.asarray(image.convert("RGB").convert("L"))
        return _grey_under_alpha(colour, alpha)
    if image.mode == "F":
        return _whole_numbers(np.asarray(image))
    if image.mode == "I":
        return np.asarray(image).astype(np.int64)
    if image.mode == "1":
        return np.asarray(image).view(np.uint8)
    if image.mode == "L" or image.mode.startswith("I;16"):
        return np.asarray(image)
    return _luminance(image)


def find_lesion(grey: Grey, lesion_values: Sequence[int] | None = None, *, lossy: bool = False) -> tuple[Lesion, int]:
    """Which pixels of grey levels [H, W] are lesion, as uint8 {0, 1}, and how many levels there are.

    Of two levels the higher one is lesion, whichever they are; of a mask with soft edges the upper half is. One level
    is lesion where it is the highest that a writer uses. With `lesion_values` these are lesion and nothing else.
    `lossy`: the file is a JPEG, in which any level may be noise around another.

    Raises:
        UnclearLevelsError: more levels than two, without soft edges, and no `lesion_values`; lists them.
    """
    lowest, highest = int(grey.min()), int(grey.max())
    # np.unique sorts, which costs more than decoding the file does; a binary mask needs no sorting.
    two_levels = bool(np.all((grey == lowest) | (grey == highest)))
    values, counts = (np.unique([lowest, highest]), None) if two_levels else np.unique(grey, return_counts=True)
    levels = len(values)
    if lesion_values is not None:
        return np.isin(grey, lesion_values).astype(np.uint8), levels
    if levels == 1:
        threshold = 0 if lowest == 1 else 127 if lowest <= 255 else 32767
    elif levels == 2:
        threshold = lowest
    elif counts is not None and not _has_soft_edges(grey, values, lossy):
        listed = ", ".join(f"{value} ({count:,})" for value, count in zip(values, counts, strict=True))
        if levels > LISTED:
            listed = ", ".join(f"{values[i]} ({counts[i]:,})" for i in sorted(np.argsort(-counts)[:LISTED])) + ", ..."
        raise UnclearLevelsError(f"{levels} grey levels (pixels): {listed}")
    else:
        threshold = highest // 2
    return (grey > threshold).astype(np.uint8), levels


def _has_soft_edges(grey: Grey, values: Grey, lossy: bool) -> bool:
    """Whether the levels between the lowest and the highest are edges or JPEG's noise, and none a class of its own."""
    lowest, highest = int(values[0]), int(values[-1])
    reach = highest - lowest
    if reach < LEAST_REACH:
        return False
    near_lowest, near_highest = values < lowest + POLE * reach, values > highest - POLE * reach
    if len(values) == 3 and not lossy and (near_lowest | near_highest).all():
        return False  # 0, 1 and 255: a class, and a ring that is to be left out
    exact = grey if grey.dtype in (np.uint8, np.uint16) else grey.astype(np.float32)
    square = np.ones((3, 3), np.uint8)
    flat = grey[cv2.erode(exact, square) == cv2.dilate(exact, square)]
    shares = np.bincount(np.searchsorted(values, flat), minlength=len(values)) / grey.size
    noise = FLAT_SHARE if len(values) <= FEW_LEVELS else FLAT_NOISE_SHARE
    return bool(
        np.all(shares[~near_lowest & ~near_highest] <= FLAT_SHARE)
        # JPEG makes one level of what was black and one of what was white: the second one is noise, or a class.
        and all(np.sort(shares[near])[:-1].max(initial=0) <= noise for near in (near_lowest, near_highest))
    )


def _luminance(image: Image.Image) -> Grey:
    grey = np.asarray(image.convert("L"))
    if grey.min() == grey.max():
        colours = np.asarray(image.convert("RGB"))
        if (colours != colours[0, 0]).any():
            raise ValueError("its colours are of one brightness; save it in black and white")
    return grey


def _is_label_palette(image: Image.Image) -> bool:
    """Whether a palette is of colours and the image uses more than two of them: then its indices are classes."""
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    used = np.flatnonzero(image.histogram())
    colours = palette[used[used < len(palette)]]
    return len(used) > 2 and bool((colours != colours[:, :1]).any())


def _grey_of_16_bits(data: bytes) -> Grey:
    """Pillow would keep the upper 8 bits of each channel, of which a mask of 0 and 1 has none."""
    channels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if channels is None or channels.dtype != np.uint16:
        raise ValueError("16 bits a channel that cannot be decoded")
    if channels.ndim == 2:
        return np.asarray(channels)
    colour = cv2.cvtColor(channels[..., :3], cv2.COLOR_BGR2GRAY)
    return np.asarray(colour if channels.shape[2] == 3 else _grey_under_alpha(colour, channels[..., 3]))


def _grey_under_alpha(colour: Grey, alpha: Grey) -> Grey:
    opaque_level = np.iinfo(alpha.dtype).max
    opaque = alpha > opaque_level // 2
    if alpha.min() == alpha.max() or not opaque.any():
        return colour
    # Some editors save the shape in the alpha channel over one flat colour; what is transparent is no lesion.
    if colour[opaque].min() == colour[opaque].max():
        return alpha
    return (colour.astype(np.int64) * alpha // opaque_level).astype(colour.dtype)


def _whole_numbers(values: npt.NDArray[np.float32]) -> Grey:
    """Floats as integers: 0 to 1 with parts of it between becomes 0 to 255.

    Raises:
        ValueError: a value is not a number.
    """
    if not np.isfinite(values).all():
        raise ValueError("holds values that are not numbers")
    fractions = values.max() <= 1 and (values != np.round(values)).any()
    return np.round(values * 255 if fractions else values).astype(np.int64)
