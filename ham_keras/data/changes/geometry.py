"""Changes of the view: rotation, zoom, shift, aspect ratio. They move the image and its mask alike.

Each takes the size of an image or mask, (width, height), an amount in the unit of its entry in `catalogue.CHANGES`, and
a random generator, and returns the affine map [2, 3] from old to new pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.data.changes.quality import REFERENCE_PX, Pixels

Affine = npt.NDArray[np.float64]
Size = tuple[int, int]

EDGE_SIGMA_PX = 15  # reference pixels


def rotate(size: Size, degrees: float, _: np.random.Generator) -> Affine:
    """Rotate about the centre, counter-clockwise."""
    return np.asarray(cv2.getRotationMatrix2D(_centre(size), degrees, 1.0))


def zoom(size: Size, factor: float, _: np.random.Generator) -> Affine:
    """Enlarge about the centre."""
    return _scale(size, factor, factor)


def stretch(size: Size, factor: float, _: np.random.Generator) -> Affine:
    """Change the ratio of width to height by `factor`, about the centre and without changing areas."""
    return _scale(size, factor**0.5, factor**-0.5)


def shift(size: Size, fraction: float, rng: np.random.Generator) -> Affine:
    """Move by whole pixels in a random direction, by a fraction of the longer side."""
    angle = rng.uniform(0, 2 * np.pi)
    x, y = (round(fraction * max(size) * float(part)) for part in (np.cos(angle), np.sin(angle)))
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y]])


def move(image: Pixels, affine: Affine) -> Pixels:
    """Move an image [H, W, 3], bilinearly, or a mask [H, W], to the nearest pixel.

    Outside the old frame the colours of its edge are continued, smoothed: a mirrored frame would show parts of the
    lesion twice, and a black one looks like dark corners. A mask is continued alike: a lesion that the frame cuts stays
    cut.
    """
    size = image.shape[1], image.shape[0]
    if image.ndim == 2:
        moved = cv2.warpAffine(image, affine, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.uint8)
    scale = np.sqrt(abs(np.linalg.det(affine[:, :2])))
    if scale < 1:  # against moiré
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / scale), np.uint8)
    padded = affine.copy()
    padded[:, 2] -= affine[:, :2].sum(1)
    moved = cv2.warpAffine(_with_smooth_frame(image), padded, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _with_smooth_frame(image: Pixels) -> Pixels:
    """Add a frame of one pixel, that of the image's edge after smoothing along it."""
    framed = np.asarray(cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE), np.uint8)
    sigma_px = EDGE_SIGMA_PX * max(image.shape[:2]) / REFERENCE_PX
    for place in (0, -1):
        framed[place] = cv2.GaussianBlur(framed[place][None], (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)[0]
        framed[:, place] = cv2.GaussianBlur(framed[:, place][None], (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)[
            0
        ]
    return framed


def _centre(size: Size) -> tuple[float, float]:
    return (size[0] - 1) / 2, (size[1] - 1) / 2


def _scale(size: Size, horizontal: float, vertical: float) -> Affine:
    x, y = _centre(size)
    return np.array([[horizontal, 0, (1 - horizontal) * x], [0, vertical, (1 - vertical) * y]])
