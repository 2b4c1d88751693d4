"""A prediction as pictures: its overlay and its probabilities as grey levels."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.data.overlay import draw_band, draw_outline
from ham_keras.prediction.postprocessing import Probability

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


def grey_levels(probability: Probability, bits: int) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Convert probabilities, 0..1, to integers from 0 to 2**bits - 1: uint8 or uint16."""
    return np.rint(probability.astype(np.float64) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def encode(pixels: npt.NDArray[Any], form: str, **options: Any) -> bytes:
    """Encode pixels as a file, e.g. of the form "PNG"."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()
