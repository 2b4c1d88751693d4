"""Drawn skin around moved images: where it is, what colours it has, and when it is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from ham_keras.data.augmentation.batch import augment_batch
from ham_keras.data.augmentation.surroundings import LAYERS, LEVELS, surround, texture_bank
from ham_keras.settings import Augment

SIDE, SKIN = 96, (200, 140, 120)
GEOMETRY_ONLY = {"engine": "native", "brightness": 0, "contrast": 0, "hue": 0, "flips": False, "quarter_turns": False}


def photographs(count: int, lesion: slice = slice(32, 64)) -> np.ndarray:
    """Dark squares on noisy skin, uint8 [N, 96, 96, 4]."""
    noise = np.random.default_rng(0).normal(0, 6, (count, SIDE, SIDE, 1))
    pixels = np.concatenate([SKIN + noise, np.zeros((count, SIDE, SIDE, 1))], axis=-1)
    pixels[:, lesion, lesion] = [90, 50, 40, 255]
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def augmented(pixels: np.ndarray, **augment: Any) -> tuple[np.ndarray, np.ndarray]:
    settings = Augment(**GEOMETRY_ONLY | {"surroundings": "skin"} | augment)
    keys = tf.range(len(pixels), dtype=tf.int64)
    image, mask = augment_batch(tf.constant(pixels), keys, settings, soft_masks=True)
    return image.numpy(), mask.numpy()[..., 0]


@pytest.mark.parametrize("rotation", [0, 30])
def test_shrunk_lesion_is_alone_on_skin_of_its_photograph(rotation: float) -> None:
    pixels = photographs(40)
    moves: dict[str, Any] = {"scale": 0.6, "shift": 0.1, "rotation": rotation}
    image, mask = augmented(pixels, **moves)
    mirrored_image, mirrored_mask = augmented(pixels, surroundings="mirror", **moves)
    assert (mask <= mirrored_mask).all()
    lost = (mirrored_mask - mask).mean(axis=(1, 2)) > 0.01
    assert lost.any()  # mirrored lesions
    for one, lesion in zip(image[lost], mask[lost], strict=True):
        skin = one[lesion == 0]
        np.testing.assert_allclose(np.median(skin, axis=0), SKIN, atol=6)
        assert np.quantile(skin, 0.001) > 75  # nothing as dark as a lesion, but for a fading mirrored one
    outside = np.abs(image - mirrored_image).max(axis=-1) > 1
    assert 0.05 < outside.mean() < 0.6


def test_image_that_is_not_moved_is_unchanged() -> None:
    pixels = photographs(3)
    image, mask = augmented(pixels, scale=0, shift=0)
    np.testing.assert_allclose(image, pixels[..., :3], atol=1e-3)
    np.testing.assert_allclose(mask, pixels[..., 3] / 255)


def test_lesion_that_reaches_the_rim_goes_on() -> None:
    pixels = photographs(8, lesion=slice(0, 48))
    for kept, mirrored in zip(
        augmented(pixels, scale=0.6), augmented(pixels, scale=0.6, surroundings="mirror"), strict=True
    ):
        np.testing.assert_array_equal(kept, mirrored)


def test_depth_decides_what_is_replaced() -> None:
    pixels = photographs(1)
    moved = np.full((1, SIDE, SIDE, 4), 255, np.float32)
    depth = np.where(np.arange(SIDE) < 40, -SIDE, 1.0).astype(np.float32)  # the left side is far outside
    result = surround(
        tf.constant(pixels),
        tf.constant(moved),
        tf.broadcast_to(depth, (1, SIDE, SIDE)),
        tf.constant([3], tf.int64),
    ).numpy()
    np.testing.assert_array_equal(result[:, :, 40:], 255)
    np.testing.assert_array_equal(result[:, :, :40, 3], 0)
    np.testing.assert_allclose(result[:, :, :40, :3].mean(axis=(0, 1, 2)), SKIN, atol=8)
    assert 0.5 < result[:, :, :40, 0].std() < 20


def test_textures_differ_and_vary_slowly() -> None:
    bank = texture_bank(SIDE, SIDE)
    assert bank.shape == (LAYERS, SIDE, SIDE, 3) and bank.dtype == np.uint8
    assert bank.mean() == pytest.approx(128, abs=1) and bank.std() == pytest.approx(LEVELS, rel=0.05)
    assert len({layer.tobytes() for layer in bank}) == LAYERS
    steps = np.diff(bank.astype(float), axis=1).std(axis=(1, 2, 3))
    assert steps.max() < bank.std()  # white noise: sqrt(2) times
    grey = bank.astype(float).mean(axis=-1)
    assert grey.std() > 0.95 * bank.std()


@pytest.mark.parametrize("engine", ["none", "albumentations"])
def test_needs_the_native_engine(engine: Any) -> None:
    with pytest.raises(
        ValidationError, match=f"surroundings skin is not drawn with engine {engine}; set augment.engin"
    ):
        Augment(engine=engine, surroundings="skin")
