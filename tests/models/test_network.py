"""Targets of side outputs."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ham_keras.models.network import downsample_masks


def test_downsampled_mask_is_lesion_if_half_of_the_block_is() -> None:
    mask = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0], [1, 0, 0, 0]], np.float32).reshape(1, 4, 4, 1)
    found = downsample_masks(tf.constant(mask), 2)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found[0, ..., 0], [[1, 0], [1, 0]])
    np.testing.assert_array_equal(downsample_masks(tf.constant(mask), 4)[0, ..., 0], [[0]])  # 6 of 16
    np.testing.assert_array_equal(downsample_masks(tf.constant(1 - mask), 4)[0, ..., 0], [[1]])
