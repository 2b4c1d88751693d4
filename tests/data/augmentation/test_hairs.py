"""Drawn hairs: their bank, how many images get them, and what they leave unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from ham_keras.data.augmentation.batch import augment_batch
from ham_keras.data.augmentation.hairs import LAYERS, draw_hairs, hair_bank
from ham_keras.data.phantoms.hairs import add_hairs
from ham_keras.settings import Augment

SIDE = 32


def settings(**augment: Any) -> Augment:
    return Augment(**{"engine": "native", "hairs": 1.0} | augment)


def grey(count: int) -> np.ndarray:
    return np.full((count, SIDE, SIDE, 4), 180, np.uint8)


def drawn(pixels: np.ndarray, keys: list[int], **augment: Any) -> np.ndarray:
    return draw_hairs(tf.constant(pixels), tf.constant(keys, tf.int64), settings(**augment)).numpy()


def test_bank_holds_the_hairs_of_phantoms() -> None:
    bank = hair_bank(SIDE, SIDE)
    assert bank.shape == (LAYERS, SIDE, SIDE, 4) and bank.dtype == np.uint8
    absorbed = 1 - (bank[..., :3] + bank[..., 3:].astype(float)).mean(axis=(1, 2, 3)) / 255
    assert absorbed.min() > 0.0035
    whole = hair_bank(450, 600)[0].astype(float)
    image = np.full((450, 600, 3), 180, np.float32)
    for attempt in range(100):
        image[:] = 180
        add_hairs(np.random.default_rng([0, attempt]), image)
        if np.abs(whole[..., :3] + 180 * whole[..., 3:] / 255 - image).max() < 1.5:
            return
    raise AssertionError("the first layer is not one of the first 100 drawings of its seed")


def test_share_of_images_with_hairs_is_the_setting_and_masks_are_unchanged() -> None:
    pixels = grey(400)
    image = drawn(pixels, list(range(400)), hairs=0.25)
    assert (image[..., :3] != 180).any(axis=(1, 2, 3)).mean() == pytest.approx(0.25, abs=0.06)
    np.testing.assert_array_equal(image[..., 3], 180)
    everyone = drawn(pixels, list(range(400)))
    assert (everyone[..., :3] != 180).any(axis=(1, 2, 3)).mean() > 0.99
    assert len({each.tobytes() for each in everyone}) > 1.5 * LAYERS  # mirrored, too


@pytest.mark.parametrize("engine", ["native", "albumentations"])
def test_hairs_depend_only_on_the_key_and_leave_other_draws_unchanged(engine: str) -> None:
    pixels, keys = grey(6), list(range(6))
    with_hairs = settings(engine=engine, hairs=0.5)
    image, mask = augment_batch(tf.constant(pixels), tf.constant(keys, tf.int64), with_hairs)
    back, _ = augment_batch(tf.constant(pixels), tf.constant(keys[::-1], tf.int64), with_hairs)
    np.testing.assert_array_equal(image, back[::-1])
    plain, plain_mask = augment_batch(
        tf.constant(pixels), tf.constant(keys, tf.int64), with_hairs.model_copy(update={"hairs": 0.0})
    )
    np.testing.assert_array_equal(mask, plain_mask)
    unchanged = np.array([np.array_equal(a, b) for a, b in zip(image, plain, strict=True)])
    assert 0 < unchanged.sum() < 6


def test_hairs_without_an_engine_are_an_error() -> None:
    with pytest.raises(ValidationError, match=r"set augment\.engine to native or albumentations"):
        Augment(hairs=0.5)
