"""The native engine compared with values worked out from its draws, and with OpenCV."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.data.augmentation.native import DRAWS, native_batch
from ham_keras.settings import Augment

STILL: dict[str, Any] = {
    "engine": "native", "flips": False, "quarter_turns": False, "scale": 0.0, "shift": 0.0, "brightness": 0.0,
    "contrast": 0.0, "hue": 0.0,
}  # fmt: skip
KEY = 14


def augment(image: np.ndarray, key: int = KEY, **settings: Any) -> np.ndarray:
    """One image, uint8 [H, W, 3], augmented with the draws of `key`."""
    pixels = tf.constant(np.concatenate([image, 0 * image[..., :1]], axis=-1)[None])
    return native_batch(pixels, tf.constant([key], tf.int64), Augment(**STILL | settings))[0][0].numpy()


def draws() -> np.ndarray:
    """The draws of `KEY`, -1..1."""
    return 2 * np.random.default_rng(KEY).random(DRAWS, np.float32) - 1


def picture() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 3))


def test_brightness_contrast_and_hue_match_worked_out_values() -> None:
    grey = np.full((32, 32, 3), 100, np.uint8)
    grey[:16] = 140
    changed = augment(grey, brightness=0.2, contrast=0.4, hue=0.5)
    stretched = 20 * (1 + 0.4 * draws()[7])
    # Turning the hue of a grey changes nothing.
    expected = 120 + 255 * 0.2 * draws()[8] + np.array([stretched, -stretched])
    np.testing.assert_allclose(changed[[0, 31], 0].mean(axis=1), expected, atol=0.05)


def test_gamma_and_colour_cast_match_worked_out_values() -> None:
    even = np.full((32, 32, 3), (200, 100, 50), np.uint8)
    exponent = 2.0 ** draws()[10]
    np.testing.assert_allclose(augment(even, gamma=1.0)[3, 4], 255 * (even[0, 0] / 255) ** exponent, rtol=1e-4)
    np.testing.assert_allclose(augment(even, colour_cast=0.2)[3, 4], even[0, 0] * (1 + 0.2 * draws()[12:15]), rtol=1e-4)


def test_saturation_scales_the_distance_to_grey_and_keeps_luma() -> None:
    image = np.full((32, 32, 3), 120, np.uint8)
    image[:16] = (160, 110, 90)
    changed, luma = augment(image, saturation=0.5), np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(changed @ luma, image @ luma, atol=0.1)
    before, after = (pixels[0, 0] - pixels[31, 0] for pixels in (image.astype(float), changed))
    grey = (before @ luma) * np.ones(3)
    np.testing.assert_allclose(after - grey, (1 + 0.5 * draws()[11]) * (before - grey), atol=0.1)


def test_rotation_matches_opencv() -> None:
    image = picture()
    centre = ((64 - 1) / 2, (48 - 1) / 2)
    rotated = augment(image, rotation=90.0)
    matrix = cv2.getRotationMatrix2D(centre, 90.0 * float(draws()[9]), 1.0)
    expected = cv2.warpAffine(image.astype(np.float32), matrix, (64, 48), borderMode=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(rotated[16:32, 20:44], expected[16:32, 20:44], atol=1.5)  # OpenCV rounds to 1/32 px


def test_stretch_scales_the_width_only() -> None:
    image = picture()
    factor = 1.6 ** float(draws()[17])
    x0 = (64 - 1) / 2
    matrix = np.array([[factor, 0, x0 * (1 - factor)], [0, 1, 0]])
    expected = cv2.warpAffine(image.astype(np.float32), matrix, (64, 48), borderMode=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(augment(image, stretch=0.6), expected, atol=1.5)  # OpenCV rounds to 1/32 px


@pytest.mark.parametrize(
    "moved",
    [
        {"flips": True, "quarter_turns": True, "stretch": 0.5},
        {"scale": 0.3},
        {"shift": 0.2},
        {"stretch": 0.5, "shift": 0.1},
    ],
)
def test_tiny_rotation_matches_crop(moved: dict[str, Any]) -> None:
    image = np.ascontiguousarray(picture()[:, 8:56])
    exact, rotated = augment(image, **moved), augment(image, rotation=1e-4, **moved)
    np.testing.assert_allclose(rotated[12:36, 12:36], exact[12:36, 12:36], atol=0.1)


@pytest.mark.parametrize("settings", [{"scale": 0.6, "shift": 0.3}, {"scale": 0.85}, {"scale": 0.5, "shift": 0.9}])
def test_far_surroundings_are_reflected_and_not_black(settings: dict[str, Any]) -> None:
    grey = np.full((40, 40, 3), 200, np.uint8)
    for key in range(20):
        np.testing.assert_allclose(augment(grey, key=key, **settings), 200, atol=0.01)
    rows = np.repeat(np.arange(0, 200, 5, dtype=np.uint8)[:, None, None], 40, axis=1).repeat(3, axis=2)
    column = augment(rows, **settings)[:, 20, 0]
    zoom = 1 + settings.get("scale", 0) * float(draws()[3])
    shift_px = settings.get("shift", 0) * 40 * float(draws()[4])
    place = 19.5 + (np.arange(40) - 19.5 - shift_px) / zoom
    if settings["scale"] == 0.6:  # padded; the pixel at the rim is not repeated
        expected = 5 * np.abs((place + 39) % 78 - 39)
    else:
        expected = 5 * np.clip(np.abs((place + 0.5 + 40) % 80 - 40) - 0.5, 0, 39)
    np.testing.assert_allclose(column, expected, atol=0.2)


def test_blur_matches_opencv() -> None:
    image, sigma = picture(), 2.0 * float(draws()[15])
    assert sigma > 0.1  # this key blurs
    expected = cv2.GaussianBlur(image.astype(np.float32), (9, 9), sigma, borderType=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(augment(image, blur_px=2.0), expected, atol=0.01)


def test_noise_has_the_drawn_deviation_and_mean_zero() -> None:
    grey = np.full((128, 128, 3), 120, np.uint8)
    noise = augment(grey, noise=0.1) - 120
    assert noise.std() == pytest.approx(25.5 * max(0.0, float(draws()[16])), rel=0.02)
    assert abs(noise.mean()) < 0.2
