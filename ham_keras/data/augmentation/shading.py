"""Uneven light: shadows, folds and flushed skin, as in photographs without a dermatoscope."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import tensorflow as tf

GRIDS = (3, 8)  # gains per side of the two fields: the first varies over the whole image, the second over an eighth
COLOURED = 0.2  # share of a gain that differs between red, green and blue


def shade(image: tf.Tensor, keys: tf.Tensor, shading: float) -> tf.Tensor:
    """Multiply each image by smooth random gains.

    Args:
        image: float32 [N, H, W, 3] in 0..255.
        keys: int64 [N], the seeds of the gains.
        shading: gains are between 1 / (1 + shading) and 1 + shading, but for the overshoot of the interpolation.

    Returns:
        float32 [N, H, W, 3] in 0..255.
    """
    logarithm = 0.0
    for grid in GRIDS:
        nodes = tf.numpy_function(_nodes, [keys, tf.constant(grid)], tf.float32)
        logarithm += tf.image.resize(tf.ensure_shape(nodes, [None, grid, grid, 3]), image.shape[1:3], "bicubic")
    return tf.minimum(image * tf.exp(math.log1p(shading) / len(GRIDS) * logarithm), 255.0)


def _nodes(keys: npt.NDArray[np.int64], grid: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Uniform values in -1..1, times a strength in 0..1 per image: [N, grid, grid, 3]."""
    fields = []
    for key in keys:
        draw = np.random.default_rng([key, int(grid)])
        grey, colour = draw.uniform(-1, 1, (grid, grid, 1)), draw.uniform(-1, 1, (grid, grid, 3))
        fields.append(draw.random() * ((1 - COLOURED) * grey + COLOURED * colour))
    return np.stack(fields).astype(np.float32)
