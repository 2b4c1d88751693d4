"""Resizing, against worked-out values."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ham_keras.preprocessing.resize import resize_image

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)


def test_resize_averages_what_a_pixel_covers() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(resize_image(tf.constant(stripes), 32, 32).numpy()[8:24, 8:24], 100)


def test_resize_keeps_a_constant_and_its_own_size() -> None:
    np.testing.assert_array_equal(resize_image(tf.fill([45, 60, 3], tf.constant(201, tf.uint8)), 32, 64), 201)
    np.testing.assert_array_equal(resize_image(tf.constant(COLOURS), 30, 40), COLOURS)


def test_resize_of_a_batch_is_that_of_each_image() -> None:
    images = RNG.integers(0, 256, (3, 45, 60, 3), dtype=np.uint8)
    together = resize_image(tf.constant(images), 32, 32).numpy()
    for image, resized in zip(images, together, strict=True):
        np.testing.assert_array_equal(resize_image(tf.constant(image), 32, 32), resized)
