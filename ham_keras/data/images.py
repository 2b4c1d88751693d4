"""Decode photographs: the one path that training, evaluation, prediction and serving share.

It is TensorFlow, so that it can be exported with the model. It takes bytes as `encoded.py` reads them.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import tensorflow as tf

from ham_keras.data.encoded import read_encoded
from ham_keras.errors import HamError, shown


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Decode a JPEG or PNG string to uint8 RGB [H, W, 3], 0..255; alpha is dropped, grey is spread."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def resize_probability(probability: tf.Tensor, height_px: int, width_px: int) -> tf.Tensor:
    """Resize float32 probabilities [N, h, w, 1], 0..1, to an image's own size, bilinearly."""
    return tf.image.resize(probability, [height_px, width_px])


def read_image(path: Path | str) -> np.ndarray:
    """Read one file to uint8 RGB [H, W, 3] at its own size.

    Raises:
        HamError: the file is missing or broken.
    """
    encoded = read_encoded(path)
    try:
        return decode_image(encoded).numpy()
    except tf.errors.InvalidArgumentError as error:
        reason = re.sub(r"\{\{.*\}\} | \[Op:.*\]", "", str(error.message).splitlines()[0])  # where in TensorFlow it was
        raise HamError(f"{shown(path)}: not a readable image ({reason}); fetch it again or leave it out") from None
