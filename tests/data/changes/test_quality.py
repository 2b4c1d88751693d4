"""Changes of quality: worked-out values, and what the same operations of other libraries give."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.filters import gaussian

from ham_keras.data.changes import quality

RNG = np.random.default_rng
GREY = np.full((40, 60, 3), 100, np.uint8)


def photograph(height_px: int = 90, width_px: int = 120) -> np.ndarray:
    """Smooth random colours, away from the ends of the range."""
    rough = RNG(0).uniform(60, 190, (height_px, width_px, 3))
    return np.asarray(gaussian(rough, 4, channel_axis=2, preserve_range=True)).astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "neutral"),
    [
        (quality.blur, 0), (quality.add_noise, 0), (quality.expose, 0), (quality.reduce_contrast, 1),
        (quality.cast_colour, 0), (quality.bend_tones, 1), (quality.downsample, 1),
    ],
)  # fmt: skip
def test_neutral_amount_changes_nothing(change: Any, neutral: float) -> None:
    image = photograph()
    assert np.array_equal(change(image, neutral, RNG(1)), image)


def test_exposure_gamma_and_contrast_worked_out() -> None:
    assert quality.expose(GREY, 2.2, RNG(0))[0, 0].tolist() == [200, 200, 200]  # twice the pixel value
    assert quality.expose(GREY, 4.4, RNG(0))[0, 0].tolist() == [255, 255, 255]  # clipped
    assert quality.expose(GREY, -2.2, RNG(0))[0, 0].tolist() == [50, 50, 50]
    assert quality.bend_tones(GREY, 2.0, RNG(0))[0, 0].tolist() == [39] * 3  # 255 (100 / 255)^2 = 39.2
    halves = GREY.copy()
    halves[:, 30:] = 200  # mean 150
    assert np.unique(quality.reduce_contrast(halves, 0.4, RNG(0))).tolist() == [130, 170]


def test_colour_cast_keeps_the_product_of_the_gains() -> None:
    for seed in range(5):
        changed = quality.cast_colour(GREY, 0.3, RNG(seed))[0, 0] / 100
        assert np.prod(changed) == pytest.approx(1, abs=0.02)
        assert np.linalg.norm(np.log(changed)) == pytest.approx(0.3, abs=0.02)


def test_noise_has_its_deviation_in_each_channel() -> None:
    changed = quality.add_noise(np.full((200, 300, 3), 128, np.uint8), 0.08, RNG(0)).astype(float)
    assert changed.std((0, 1)) == pytest.approx([0.08 * 255] * 3, rel=0.02)
    assert np.corrcoef(changed[..., 0].ravel(), changed[..., 1].ravel())[0, 1] == pytest.approx(0, abs=0.02)


def test_blur_is_the_gaussian_of_scikit_image_and_grows_with_the_image() -> None:
    image = photograph(100, 120)  # 600 / 5 pixels: sigma 10 is 2 pixels
    expected = gaussian(image.astype(float), 2, mode="mirror", channel_axis=2, preserve_range=True)
    assert np.abs(quality.blur(image, 10, RNG(0)) - expected).max() < 1.5


def test_jpeg_is_as_pillow_compresses() -> None:
    image = photograph()
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=15)
    theirs = np.asarray(Image.open(buffer)).astype(int)
    ours = quality.compress(image, 15, RNG(0)).astype(int)
    assert np.abs(ours - theirs).mean() < 0.5 < np.abs(ours - image).mean()


def test_downsampling_averages_blocks() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, ::2] = 200  # stripes of one pixel
    changed = quality.downsample(image, 4, RNG(0))
    assert changed.shape == image.shape and (changed == 100).all()
