"""Convert the grey levels of a mask file to {0, 1}."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from ham_keras.data.integrity import JPEG, PNG

Lesion = npt.NDArray[np.uint8]
Grey = npt.NDArray[np.integer]
Labels = npt.NDArray[np.integer] | npt.NDArray[np.float32]

MAX_LISTED = 8  # values that an error message lists
MIN_RANGE = 64  # grey levels between the darkest and the lightest of a mask with soft edges
NEAR_FRACTION = 1 / 8  # of this range; levels as near to the darkest or the lightest one are JPEG noise around it
FEW_LEVELS = 16
# Fraction of all pixels that soft edges take. Of 150 masks, resized to 64 to 600 px, blurred by 1 px and saved as JPEG
# at qualities 5 to 95, none has more than 0.16; of 600 photographs at these sizes, 99 % have more than 0.19.
MAX_EDGE_FRACTION, MIN_EDGE_PIXELS = 0.18, 32 * 32  # smaller masks can be all edge
# Of the 5,078 photographs of HAM10000 two have less than 0.18, with 0.12 and 0.17. Masks in colours have a lower limit.
MAX_COLOURED_EDGE_FRACTION = 0.1
MAX_WEBP_HEAD_BYTES = 64 * 1024  # a profile and the alpha channel may precede the pixels
TIFF_BITS, TIFF_PLANES, SEPARATE_PLANES = 258, 284, 2  # the tags, and the value of the second
COLOUR_SPREAD, COLOURED_FRACTION = 32, 0.05  # between the channels of a pixel; fraction of such pixels
# Fraction of all pixels that have the same level as their eight neighbours. In masks saved as JPEG, at qualities 10 to
# 100, a middle level has none; levels near black or white have 0.01 % at most, or 0.9 % if saved twice with a resize
# between. A level with more of them is a class.
FLAT_FRACTION, FLAT_NOISE_FRACTION = 2e-4, 0.02


class UnclearLevelsError(ValueError):
    """A mask has more than two grey levels, and they are not soft edges."""


def read_grey(image: Image.Image, data: bytes) -> Grey:
    """The grey levels [H, W] of a mask, opened in Pillow from `data`, the bytes of its file, and not turned.

    Colours are converted to luminance. A palette with more than two colours in use yields its indices. If all opaque
    pixels have the same colour, the alpha channel is the mask.
    """
    if image.mode == "P":
        if "transparency" not in image.info and _is_label_palette(image):
            return np.asarray(image)
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif _has_16_bit_channels(image, data):
        return _grey_of_16_bits(image, data)
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
        return np.asarray(image).astype(np.uint8)
    if image.mode == "L" or image.mode.startswith("I;16"):
        return np.asarray(image)
    return _luminance(image)


def read_labels(image: Image.Image, data: bytes) -> Labels:
    """The values [H, W] of a mask of several classes, as `read_grey` but never rescaled.

    A palette yields its indices, unless it holds all 256 grey levels in some order, as in HAM10000. 1 bit yields 0
    and 1, floats stay as they are.

    Raises:
        ValueError: a value is not finite.
    """
    if image.mode == "P" and not _is_grey_ramp(image):
        return np.asarray(image)
    if image.mode == "F":
        return _finite(np.asarray(image))
    return read_grey(image, data)


def select_labels(labels: Labels, lesion_values: Sequence[int]) -> tuple[Lesion, int]:
    """The pixels that have one of `lesion_values`, uint8 {0, 1}, and the number of different values."""
    return np.isin(labels, lesion_values).astype(np.uint8), len(np.unique(labels))


def has_blurred_labels(labels: Labels, *, lossy: bool) -> bool:
    """Whether the values of a mask are soft edges or noise, so that no single one stands for a class."""
    count = len(np.unique(labels))
    if lossy or count <= 3 or count > FEW_LEVELS:
        return lossy or count > FEW_LEVELS
    whole = labels.astype(np.int64)
    return bool((whole == labels).all()) and _has_soft_edges(whole, np.unique(whole))


def is_lossy(image: Image.Image, data: bytes) -> bool:
    """Whether the file has the compression of JPEG or WebP, which adds noise to the levels."""
    in_tiff = image.info.get("compression") if image.format == "TIFF" else None
    return data.startswith(JPEG) or in_tiff in {"jpeg", "tiff_jpeg", "webp"} or is_lossy_webp(image, data)


def is_lossy_webp(image: Image.Image, data: bytes) -> bool:
    """Whether the file is a WebP with lossy compression, which shifts whole areas by some levels."""
    return image.format == "WEBP" and b"VP8 " in data[:MAX_WEBP_HEAD_BYTES]


def is_coloured(image: Image.Image) -> bool:
    """Whether an image has colours beyond the noise of JPEG; false for palettes."""
    if image.mode not in {"RGB", "RGBA", "CMYK", "YCbCr", "LAB"}:
        return False
    spread = np.ptp(np.asarray(image.convert("RGB")), axis=2)
    return bool((spread > COLOUR_SPREAD).mean() > COLOURED_FRACTION)


def find_lesion(
    grey: Grey, *, lossy: bool = False, shifted: bool = False, coloured: bool = False
) -> tuple[Lesion, int]:
    """Binarize grey levels [H, W]: the lesion, uint8 {0, 1}, and the number of levels.

    Of two levels the higher one is lesion; of a mask with soft edges what is above the middle between the lowest and
    the highest. A single level is lesion if it is the highest value of a usual encoding. `lossy`: the file has the
    compression of JPEG or WebP, so any level may be noise. `shifted`: areas may be some levels off, see
    `is_lossy_webp`. `coloured`: the file has colours, as photographs have, so fewer pixels may be edges.

    Raises:
        UnclearLevelsError: more than two levels without soft edges; lists the levels.
    """
    lowest, highest = int(grey.min()), int(grey.max())
    # np.unique sorts, which takes longer than decoding the file; a binary mask needs no sorting.
    two_levels = bool(np.all((grey == lowest) | (grey == highest)))
    values, counts = (np.unique([lowest, highest]), None) if two_levels else np.unique(grey, return_counts=True)
    levels = len(values)
    if levels == 1:
        threshold = 0 if lowest == 1 else 127 if lowest <= 255 else 32767
    elif levels == 2:
        threshold = lowest
    elif counts is not None and not _has_soft_edges(grey, values, lossy=lossy, shifted=shifted, coloured=coloured):
        listed = ", ".join(f"{value} ({count:,})" for value, count in zip(values, counts, strict=True))
        if levels > MAX_LISTED:
            listed = (
                ", ".join(f"{values[i]} ({counts[i]:,})" for i in sorted(np.argsort(-counts)[:MAX_LISTED])) + ", ..."
            )
        raise UnclearLevelsError(f"{levels} grey levels (pixels): {listed}")
    else:
        threshold = (lowest + highest) // 2
    return (grey > threshold).astype(np.uint8), levels


def _has_soft_edges(
    grey: Grey, values: Grey, *, lossy: bool = False, shifted: bool = False, coloured: bool = False
) -> bool:
    """Whether the levels between the lowest and the highest are edges or JPEG noise, and none is a class."""
    lowest, highest = int(values[0]), int(values[-1])
    span = highest - lowest
    if span < MIN_RANGE:
        return False
    near_lowest, near_highest = values < lowest + NEAR_FRACTION * span, values > highest - NEAR_FRACTION * span
    if len(values) == 3 and not lossy and (near_lowest | near_highest).all():
        return False  # 0, 1 and 255: a class, and a ring to ignore
    middle = (grey >= lowest + NEAR_FRACTION * span) & (grey <= highest - NEAR_FRACTION * span)
    limit = MAX_COLOURED_EDGE_FRACTION if coloured else MAX_EDGE_FRACTION
    if grey.size >= MIN_EDGE_PIXELS and middle.mean() > limit:
        return False  # a photograph, or a map of probabilities
    if shifted:
        return True
    exact = grey if grey.dtype in (np.uint8, np.uint16) else grey.astype(np.float32)
    square = np.ones((3, 3), np.uint8)
    flat = grey[cv2.erode(exact, square) == cv2.dilate(exact, square)]
    fractions = np.bincount(np.searchsorted(values, flat), minlength=len(values)) / grey.size
    noise = FLAT_FRACTION if len(values) <= FEW_LEVELS else FLAT_NOISE_FRACTION
    return bool(
        np.all(fractions[~near_lowest & ~near_highest] <= FLAT_FRACTION)
        # JPEG keeps black and white at one level each: a second level near them is noise or a class.
        and all(np.sort(fractions[near])[:-1].max(initial=0) <= noise for near in (near_lowest, near_highest))
    )


def _luminance(image: Image.Image) -> Grey:
    grey = np.asarray(image.convert("L"))
    if grey.min() == grey.max():
        colours = np.asarray(image.convert("RGB"))
        if (colours != colours[0, 0]).any():
            raise ValueError("its colours have the same brightness; save it in black and white")
    return grey


def _is_grey_ramp(image: Image.Image) -> bool:
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all()) and len(np.unique(palette[:, 0])) == 256


def _is_label_palette(image: Image.Image) -> bool:
    """Whether a palette has colours and the image uses more than two of them; its indices are then classes."""
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    used = np.flatnonzero(image.histogram())
    colours = palette[used[used < len(palette)]]
    return len(used) > 2 and bool((colours != colours[:, :1]).any())


def _has_16_bit_channels(image: Image.Image, data: bytes) -> bool:
    if isinstance(image, TiffImageFile):
        return image.mode in {"RGB", "RGBA", "RGBX", "CMYK"} and 16 in image.tag_v2.get(TIFF_BITS, ())
    return data.startswith(PNG) and data[24] == 16 and not image.mode.startswith("I")


def _grey_of_16_bits(image: Image.Image, data: bytes) -> Grey:
    """Decode with OpenCV: Pillow keeps only the upper 8 bits of each channel, which are 0 in a mask of 0 and 1."""
    if isinstance(image, TiffImageFile) and (image.mode == "CMYK" or image.tag_v2.get(TIFF_PLANES) == SEPARATE_PLANES):
        raise ValueError("16 bits per channel in CMYK or in separate planes are not read; save it as PNG")
    channels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if channels is None or channels.dtype != np.uint16:
        raise ValueError("16 bits per channel cannot be decoded")
    if channels.ndim == 2:
        return np.asarray(channels)
    colour = cv2.cvtColor(channels[..., :3], cv2.COLOR_BGR2GRAY)
    return np.asarray(colour if channels.shape[2] == 3 else _grey_under_alpha(colour, channels[..., 3]))


def _grey_under_alpha(colour: Grey, alpha: Grey) -> Grey:
    opaque_level = np.iinfo(alpha.dtype).max
    opaque = alpha > opaque_level // 2
    if alpha.min() == alpha.max() or not opaque.any():
        return colour
    # Some editors save the mask as the alpha channel of a uniform colour; transparent pixels are not lesion.
    if colour[opaque].min() == colour[opaque].max():
        return alpha
    return (colour.astype(np.int64) * alpha // opaque_level).astype(colour.dtype)


def _whole_numbers(values: npt.NDArray[np.float32]) -> Grey:
    """Convert floats to integers; a range of 0 to 1 with values between becomes 0 to 255.

    Raises:
        ValueError: a value is not finite.
    """
    values = _finite(values)
    fractions = values.max() <= 1 and (values != np.round(values)).any()
    return np.round(values * 255 if fractions else values).astype(np.int64)


def _finite(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise ValueError("has values that are not finite")
    return values
