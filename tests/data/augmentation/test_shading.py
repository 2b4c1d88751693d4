"""Uneven light: its range, its smoothness, and what it leaves unchanged."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from ham_keras.data.augmentation.batch import augment_batch
from ham_keras.data.augmentation.shading import shade
from ham_keras.settings import Augment

SIDE = 64


def gains(count: int, shading: float) -> np.ndarray:
    """The gains, [N, 64, 64, 3], seen on images so dark that none is clipped."""
    images = tf.ones((count, SIDE, SIDE, 3))
    return shade(images, tf.range(count, dtype=tf.int64), shading).numpy()


def test_gains_are_within_the_range_and_centred() -> None:
    found = np.log(gains(300, 0.8)) / np.log(1.8)
    assert 0.5 < np.abs(found).max() < 1.1
    assert found.mean() == pytest.approx(0, abs=0.02)
    assert np.abs(np.log(gains(300, 0.2))).max() < 1.1 * np.log(1.2)


def test_gains_are_smooth_and_mostly_grey() -> None:
    found = np.log(gains(50, 1.0))
    steps = np.abs(np.diff(found, axis=1))
    assert steps.max() < 0.15 < found.max() - found.min()  # a lesion's edge is steeper
    colour = found - found.mean(axis=-1, keepdims=True)
    assert 0 < colour.std() < 0.4 * found.std()


@pytest.mark.parametrize("engine", ["native", "albumentations"])
def test_masks_and_other_draws_are_unchanged(engine: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 100, (4, SIDE, SIDE, 4), np.uint8)
    keys = tf.range(4, dtype=tf.int64)
    plain, shaded = (
        augment_batch(tf.constant(pixels), keys, Augment(engine=engine, brightness=0, shading=amount), soft_masks=True)
        for amount in (0, 0.5)
    )
    np.testing.assert_array_equal(plain[1], shaded[1])
    np.testing.assert_allclose(shaded[0], shade(plain[0], keys, 0.5))
    assert not np.allclose(shaded[0], plain[0])


def test_key_alone_decides() -> None:
    images = tf.ones((2, SIDE, SIDE, 3))
    both = shade(images, tf.constant([7, 8], tf.int64), 0.5).numpy()
    np.testing.assert_array_equal(both[1:], shade(images[:1], tf.constant([8], tf.int64), 0.5))
    assert not np.allclose(both[0], both[1])


def test_needs_an_engine() -> None:
    with pytest.raises(ValidationError, match=r"shading is not applied with engine none; set augment\.engine to"):
        Augment(shading=0.5)
