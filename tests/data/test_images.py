"""Reading images, and resizing probabilities compared with values worked out by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ham_keras.data.images import read_image, resize_probability
from ham_keras.errors import HamError

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)


def save(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_probability_is_enlarged_bilinearly_with_aligned_pixel_centres() -> None:
    probability = tf.constant([0.0, 1.0], shape=[1, 1, 2, 1])
    np.testing.assert_allclose(resize_probability(probability, 1, 4).numpy().ravel(), [0, 0.25, 0.75, 1])


def test_error_names_the_broken_file(tmp_path: Path) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(COLOURS.repeat(8, axis=0)).save(jpeg, "JPEG")
    for name, content in (("cut.jpg", jpeg.getvalue()[:-300]), ("text.jpg", b"no image"), ("empty.png", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HamError, match=f"{name}: not a readable image"):
            read_image(tmp_path / name)
    with pytest.raises(HamError, match=r"gone\.jpg: not a readable image"):
        read_image(tmp_path / "gone.jpg")
