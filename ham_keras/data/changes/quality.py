"""Changes of the photograph's quality: focus, noise, compression, exposure, colours, resolution.

Each takes an image, uint8 RGB [H, W, 3], an amount in the unit of its entry in `catalogue.CHANGES`, and a random
generator, and returns the changed image.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
REFERENCE_PX = 600  # pixels in `catalogue.CHANGES` are those of an image whose longer side has so many
DISPLAY_GAMMA = 2.2  # of sRGB, roughly: pixel values are light to the power of 1 / 2.2


def reference_unit(image: npt.NDArray[np.generic]) -> float:
    """The length of a reference pixel in pixels of an image [H, W, ...]."""
    return max(image.shape[:2]) / REFERENCE_PX


def blur(image: Pixels, sigma_px: float, _: np.random.Generator) -> Pixels:
    """Blur with a Gaussian."""
    sigma = sigma_px * reference_unit(image)
    if sigma == 0:
        return image
    return _pixels(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101))


def add_noise(image: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    """Add independent Gaussian noise to each pixel and channel; the deviation is a share of the full range."""
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return _rounded(image + noise * np.float32(255 * deviation))


def compress(image: Pixels, quality: float, _: np.random.Generator) -> Pixels:
    """Compress as JPEG with libjpeg's quality, and decode."""
    encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(quality)])[1]
    return _pixels(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1])


def expose(image: Pixels, stops: float, _: np.random.Generator) -> Pixels:
    """Multiply the light by 2 to the power of `stops`; what exceeds the range is lost."""
    return _mapped(image, np.arange(256) * 2 ** (stops / DISPLAY_GAMMA))


def reduce_contrast(image: Pixels, factor: float, _: np.random.Generator) -> Pixels:
    """Move all values towards the image's mean colour."""
    mean = image.reshape(-1, 3).mean(0, dtype=np.float64)
    return _mapped(image, mean + (np.arange(256)[:, None] - mean) * factor)


def cast_colour(image: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    """Multiply the channels by different factors, whose product is 1, towards a random hue.

    `amount` is the length of the vector of the factors' logarithms.
    """
    hue = rng.uniform(0, 2 * np.pi)
    logarithms = amount * np.sqrt(2 / 3) * np.cos(hue + np.array([0, 2, 4]) * np.pi / 3)
    return _mapped(image, np.arange(256)[:, None] * np.exp(logarithms))


def bend_tones(image: Pixels, gamma: float, _: np.random.Generator) -> Pixels:
    """Raise all values, as shares of the full range, to the power of `gamma`: above 1 is darker."""
    return _mapped(image, 255 * (np.arange(256) / 255) ** gamma)


def downsample(image: Pixels, factor: float, _: np.random.Generator) -> Pixels:
    """Shrink by averaging, and enlarge again bilinearly."""
    height_px, width_px = image.shape[:2]
    size = max(1, round(width_px / factor)), max(1, round(height_px / factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return _pixels(cv2.resize(small, (width_px, height_px), interpolation=cv2.INTER_LINEAR))


def _mapped(image: Pixels, levels: npt.NDArray[np.floating]) -> Pixels:
    """Look each value up in a table [256], or [256, 3] with a column per channel."""
    table = _rounded(levels)
    return _pixels(cv2.LUT(image, table[:, None] if table.ndim == 2 else table))


def _rounded(values: npt.NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _pixels(values: object) -> Pixels:
    return np.ascontiguousarray(values, np.uint8)
