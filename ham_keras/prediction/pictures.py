"""A prediction as a picture, and pictures as files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.data.overlay import draw_band, draw_outline

if TYPE_CHECKING:
    from ham_keras.prediction.predictor import Prediction

OUTLINE_FRACTION = 1 / 400  # of the image's longer side


def draw_overlay(prediction: Prediction, margin_px: float | None = None) -> npt.NDArray[np.uint8]:
    """Draw the outline over the image and, if given, the band of this margin: uint8 RGB [H, W, 3]."""
    thickness_px = max(1, round(max(prediction.mask.shape) * OUTLINE_FRACTION))
    image = prediction.image
    if margin_px is not None:
        image = draw_band(image, prediction.mask, margin_px)
    return draw_outline(image, prediction.mask, thickness_px)


def encode(pixels: npt.NDArray[Any], form: str, **options: Any) -> bytes:
    """Encode pixels as a file, e.g. of the form "PNG"."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()
