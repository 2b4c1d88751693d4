"""Resize photographs to the network's size."""

from __future__ import annotations

import tensorflow as tf


def resize_image(image: tf.Tensor, height_px: int, width_px: int) -> tf.Tensor:
    """Resize uint8 RGB [H, W, 3] or [N, H, W, 3] to the network's size, uint8.

    Bilinear with antialiasing. Without it, shrinking 600x450 to 128x128 samples one pixel in four, so hairs become
    dots whose position is arbitrary. Antialiasing does not reduce accuracy: benchmarks/choices.py.
    """
    resized = tf.image.resize(image, [height_px, width_px], antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)
