"""Preprocessing steps: pixels, order and description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from ham_keras.preprocessing.hairs import inpaint_hairs
from ham_keras.preprocessing.resize import resize_image
from ham_keras.preprocessing.steps import Resize, Steps, build_steps
from ham_keras.settings import Data

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 45, 60, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Darken:
    """A step at the original size of the photograph."""

    amount: int
    name: ClassVar[str] = "darken"

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return images - tf.minimum(images, tf.constant(self.amount, tf.uint8))

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "amount": self.amount}


def test_default_steps_only_resize() -> None:
    steps = build_steps(Data(image_size=[32, 64]))
    resized = tf.image.resize(IMAGES, [32, 64], antialias=True)
    expected = np.clip(np.round(resized.numpy()), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(steps(IMAGES), expected)
    np.testing.assert_array_equal(tf.function(steps)(tf.constant(IMAGES)), expected)
    np.testing.assert_array_equal(steps(IMAGES[1]), expected[1])


def test_steps_run_in_order() -> None:
    steps = Steps((Darken(100), Resize(9, 12)))
    expected = resize_image(np.where(IMAGES > 100, IMAGES - 100, 0).astype(np.uint8), 9, 12).numpy()
    np.testing.assert_array_equal(steps(IMAGES), expected)
    assert (steps(IMAGES).numpy() != Steps((Resize(9, 12), Darken(100)))(IMAGES).numpy()).any()


def test_description_lists_every_step_and_keys_differ() -> None:
    resize = {"name": "resize", "height_px": 32, "width_px": 64, "method": "bilinear", "antialias": True}
    assert build_steps(Data(image_size=[32, 64])).describe() == [resize]
    assert Steps((Darken(7), Resize(32, 64))).describe() == [{"name": "darken", "amount": 7}, resize]
    lists = (
        (Resize(32, 64),), (Resize(64, 32),), (Darken(7), Resize(32, 64)), (Darken(8), Resize(32, 64)),
        (Resize(32, 64), Darken(7)),
    )  # fmt: skip
    assert len({Steps(steps).key() for steps in lists}) == len(lists)


def test_hairs_are_removed_at_the_original_size_and_the_cache_key_knows_it() -> None:
    plain, steps = build_steps(Data(image_size=32)), build_steps(Data(image_size=32, hair_removal="inpaint"))
    np.testing.assert_array_equal(steps(IMAGES), resize_image(inpaint_hairs(IMAGES), 32, 32))
    assert (steps(IMAGES).numpy() != plain(IMAGES).numpy()).any()
    first, second = steps.describe()
    assert (first["name"], first["cross_px"], first["darker_by"]) == ("inpaint_hairs", 17, 10)
    assert [second] == plain.describe() and steps.key() != plain.key()
