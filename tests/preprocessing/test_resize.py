"""Resizing, compared with values worked out by hand."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ham_keras.preprocessing.resize import resize_image

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)


def test_resized_pixel_is_the_mean_of_the_area_it_covers() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(resize_image(tf.constant(stripes), 32, 32).numpy()[8:24, 8:24], 100)


def test_constant_image_and_same_size_are_unchanged() -> None:
    np.testing.assert_array_equal(resize_image(tf.fill([45, 60, 3], tf.constant(201, tf.uint8)), 32, 64), 201)
    np.testing.assert_array_equal(resize_image(tf.constant(COLOURS), 30, 40), COLOURS)


def test_resizing_a_batch_equals_resizing_each_image() -> None:
    images = RNG.integers(0, 256, (3, 45, 60, 3), dtype=np.uint8)
    together = resize_image(tf.constant(images), 32, 32).numpy()
    for image, resized in zip(images, together, strict=True):
        np.testing.assert_array_equal(resize_image(tf.constant(image), 32, 32), resized)
