"""The part of a photograph that encoders see."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.diagnosis.config import Features

GREY = 128
Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]
ReadMask = Callable[[], Mask]
Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom are exclusive


def lesion_box(mask: Mask, margin: float) -> Box:
    """The bounding box of a mask [H, W] in {0, 1} with a margin, a fraction of the box on each side, in the image.

    An empty mask has the box of the whole image.
    """
    height_px, width_px = mask.shape
    left, top, width, height = cv2.boundingRect(mask)
    if not width:
        return 0, 0, width_px, height_px
    x_margin, y_margin = round(margin * width), round(margin * height)
    right, bottom = left + width + x_margin, top + height + y_margin
    return max(0, left - x_margin), max(0, top - y_margin), min(width_px, right), min(height_px, bottom)


def crop_for_encoder(image: Pixels, mask: Mask, features: Features) -> Pixels:
    """Cut out and resize what `features.crop` names: uint8 RGB [size_px, size_px, 3].

    The box is stretched to a square, as the whole image is for the segmentation.

    Args:
        image: uint8 RGB [H, W, 3].
        mask: uint8 [H, W] in {0, 1}.
    """
    side = features.size_px
    if features.crop == "image":
        return _resize(image, side)
    if features.crop == "skin":
        left, top, right, bottom = lesion_box(mask, features.margin)
        image = image.copy()
        image[top:bottom, left:right] = GREY
        return _resize(image, side)
    left, top, right, bottom = lesion_box(mask, features.margin)
    crop = image[top:bottom, left:right]
    if features.crop == "blanked":
        crop = np.where(mask[top:bottom, left:right, None] > 0, crop, np.uint8(GREY))
    return _resize(crop, side)


def _resize(image: Pixels, side_px: int) -> Pixels:
    shrinks = min(image.shape[:2]) >= side_px
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side_px, side_px), interpolation=interpolation), np.uint8)
