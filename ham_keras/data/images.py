"""Decode photographs: used by training, evaluation, prediction and serving.

Decoding runs in TensorFlow, so it can be exported with the model. Its input is read by `encoded.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import tensorflow as tf

from ham_keras.data.encoded import read_encoded
from ham_keras.errors import HamError, shown


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Decode a JPEG or PNG string to uint8 RGB [H, W, 3], 0..255; alpha is dropped, grey becomes RGB."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def resize_probability(probability: tf.Tensor, height_px: int, width_px: int) -> tf.Tensor:
    """Resize float32 probabilities [N, h, w, 1], 0..1, to the size of the image, bilinearly."""
    return tf.image.resize(probability, [height_px, width_px])


def read_image(path: Path | str) -> np.ndarray:
    """Read an image file as uint8 RGB [H, W, 3] at its original size.

    Raises:
        HamError: the file is missing or broken.
    """
    encoded = read_encoded(path)
    try:
        return decode_image(encoded).numpy()
    except tf.errors.InvalidArgumentError as error:
        reason = re.sub(r"\{\{.*\}\} | \[Op:.*\]", "", str(error.message).splitlines()[0])  # the TensorFlow operation
        raise HamError(f"{shown(path)}: not a readable image ({reason}); replace it or remove it") from None
