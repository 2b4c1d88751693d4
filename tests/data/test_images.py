"""Decode and resize: each step alone, against Pillow and against worked-out values."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ham_keras.data.images import decode_image, load_image, resize_image, resize_probability
from ham_keras.errors import HamError

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)


def save(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


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


def test_probability_grows_bilinearly_with_pixel_centres_aligned() -> None:
    probability = tf.constant([0.0, 1.0], shape=[1, 1, 2, 1])
    np.testing.assert_allclose(resize_probability(probability, 1, 4).numpy().ravel(), [0, 0.25, 0.75, 1])


def test_load_image_is_the_same_path(tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", Image.fromarray(COLOURS))
    np.testing.assert_array_equal(load_image(path, 32, 32), resize_image(decode_image(path.read_bytes()), 32, 32))


def test_broken_files_are_named(tmp_path: Path) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(COLOURS.repeat(8, axis=0)).save(jpeg, "JPEG")
    for name, content in (("cut.jpg", jpeg.getvalue()[:-300]), ("text.jpg", b"no image"), ("empty.png", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HamError, match=f"{name}: not a readable image"):
            load_image(tmp_path / name, 32, 32)
    with pytest.raises(HamError, match=r"gone\.jpg: not a readable image"):
        load_image(tmp_path / "gone.jpg", 32, 32)
