"""Augmentation moves masks with images, stays in range, and depends only on (seed, epoch, image)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ham_keras.data.augmentation.batch import augment_batch, draw_key
from ham_keras.settings import Augment

STILL: dict[str, Any] = {"scale": 0.0, "shift": 0.0, "brightness": 0.0, "contrast": 0.0, "hue": 0.0}
LOUD: dict[str, Any] = {"gamma": 1.0, "saturation": 0.8, "colour_cast": 0.3, "blur_px": 1.5, "noise": 0.1}
ENGINES = ("native", "albumentations")


def batch(count: int = 6, side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Random images whose red channel is 255 exactly where the mask is 1."""
    rng = np.random.default_rng(1)
    masks = np.zeros((count, side, side, 1), np.uint8)
    masks[:, 4:20, 9:17] = 1
    images = rng.integers(0, 255, (count, side, side, 3), dtype=np.uint8)
    images[..., 0] = 255 * masks[..., 0]
    return images, masks


def augment(images: np.ndarray, masks: np.ndarray, keys: list[int], **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    pixels = tf.constant(np.concatenate([images, 255 * masks], axis=-1))
    image, mask = augment_batch(pixels, tf.constant(keys, tf.int64), Augment(**settings))
    return image.numpy(), mask.numpy()


def test_draw_key_depends_on_each_argument() -> None:
    keys = {draw_key(s, e, i, p) for s in (0, 1) for e in (0, 1) for i in ("a", "b") for p in ("order", "augment")}
    assert len(keys) == 16
    assert draw_key(3, 4, "ISIC_0024306", "order") == 9166479212483661419
    assert all(0 <= key < 2**63 for key in keys)


def test_engine_none_returns_unchanged_pixels() -> None:
    images, masks = batch()
    image, mask = augment(images, masks, [0] * 6, engine="none")
    assert image.dtype == mask.dtype == np.float32
    np.testing.assert_array_equal(image, images)
    np.testing.assert_array_equal(mask, masks)


@pytest.mark.parametrize("engine", ENGINES)
def test_flips_and_quarter_turns_give_the_eight_symmetries(engine: str) -> None:
    images, masks = batch(1)
    symmetries = [np.rot90(side, k) for side in (images[0], images[0][:, ::-1]) for k in range(4)]
    met = set()
    for key in range(60):
        image, mask = augment(images, masks, [key], engine=engine, **STILL)
        same = [i for i, symmetry in enumerate(symmetries) if np.allclose(symmetry, image[0], atol=0.01)]
        assert len(same) == 1
        np.testing.assert_array_equal(mask[0, ..., 0], image[0, ..., 0] > 254)
        met.add(same[0])
    assert met == set(range(8))


@pytest.mark.parametrize("rotation", [0.0, 180.0])
@pytest.mark.parametrize("engine", ENGINES)
def test_geometry_moves_the_mask_with_the_image(engine: str, rotation: float) -> None:
    images, masks = batch()
    moving = STILL | {"engine": engine, "scale": 0.3, "shift": 0.2, "stretch": 0.3, "rotation": rotation}
    image, mask = augment(images, masks, list(range(6)), **moving)
    red, lesion = image[..., 0] >= 127.5, mask[..., 0] == 1
    assert (red & lesion).sum() / (red | lesion).sum() > 0.95
    assert not np.array_equal(mask, masks)
    assert set(np.unique(mask)) <= {0.0, 1.0}


@pytest.mark.parametrize("engine", ENGINES)
def test_colour_keeps_the_mask_and_the_range(engine: str) -> None:
    images, masks = batch()
    loud = STILL | {"brightness": 0.5, "contrast": 0.5, "hue": 0.5} | LOUD
    image, mask = augment(images, masks, list(range(6)), engine=engine, flips=False, quarter_turns=False, **loud)
    np.testing.assert_array_equal(mask, masks)
    assert image.min() >= 0 and image.max() <= 255 and image.max() > 1
    assert all(np.abs(image[i] - images[i]).mean() > 5 for i in range(6))


@pytest.mark.parametrize("engine", ENGINES)
def test_augmentation_does_not_depend_on_the_position_in_the_batch(engine: str) -> None:
    images, masks = batch()
    keys = list(range(100, 106))
    settings = {"engine": engine, "rotation": 180.0} | LOUD
    image, mask = augment(images, masks, keys, **settings)
    back = slice(None, None, -1)
    other_image, other_mask = augment(images[back], masks[back], keys[back], **settings)
    np.testing.assert_array_equal(image, other_image[back])
    np.testing.assert_array_equal(mask, other_mask[back])
    assert not np.array_equal(image, augment(images, masks, [key + 1 for key in keys], **settings)[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_zoom_keeps_the_aspect_ratio(engine: str) -> None:
    images = np.zeros((40, 64, 64, 3), np.uint8)
    masks = np.zeros((40, 64, 64, 1), np.uint8)
    masks[:, 22:42, 22:42] = 1
    zoom = STILL | {"engine": engine, "scale": 0.4, "flips": False, "quarter_turns": False}
    _, moved = augment(images, masks, list(range(40)), **zoom)
    heights, widths = moved.any(axis=2).sum(axis=1).ravel(), moved.any(axis=1).sum(axis=1).ravel()
    assert np.abs(heights - widths).max() <= 1
    assert heights.min() < 15 and heights.max() > 25  # 20 px by 0.6 to 1.4


@pytest.mark.parametrize("engine", ENGINES)
def test_stretch_changes_the_width_alone(engine: str) -> None:
    images = np.zeros((40, 64, 64, 3), np.uint8)
    masks = np.zeros((40, 64, 64, 1), np.uint8)
    masks[:, 22:42, 22:42] = 1
    stretch = STILL | {"engine": engine, "stretch": 0.5, "flips": False, "quarter_turns": False}
    _, moved = augment(images, masks, list(range(40)), **stretch)
    heights, widths = moved.any(axis=2).sum(axis=1).ravel(), moved.any(axis=1).sum(axis=1).ravel()
    assert set(heights) == {20}
    assert 12 <= widths.min() < 16 and 26 < widths.max() <= 31  # 20 px by 1 / 1.5 to 1.5


@pytest.mark.parametrize("engine", ENGINES)
def test_contrast_and_hue_do_not_change_uniform_grey(engine: str) -> None:
    grey, masks = np.full((8, 32, 32, 3), 90, np.uint8), np.zeros((8, 32, 32, 1), np.uint8)
    image, _ = augment(grey, masks, list(range(8)), **STILL | {"engine": engine, "contrast": 0.6, "hue": 0.5})
    np.testing.assert_allclose(image, 90, atol=1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("setting", LOUD)
def test_each_setting_changes_images(engine: str, setting: str) -> None:
    images, masks = batch()
    still = STILL | {"engine": engine, "flips": False, "quarter_turns": False}
    unchanged, _ = augment(images, masks, list(range(6)), **still)
    changed, _ = augment(images, masks, list(range(6)), **still | {setting: LOUD[setting]})
    assert np.abs(unchanged - images).max() < 0.01
    assert np.abs(changed - images).mean() > 1


def test_soft_masks_keep_fractions_and_hard_masks_are_thresholded() -> None:
    fractions = np.array([0, 127, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    pixels = tf.constant(np.concatenate([np.zeros((1, 2, 2, 3), np.uint8), fractions], axis=-1))
    still, keys = Augment(engine="none"), tf.constant([0], tf.int64)
    _, soft = augment_batch(pixels, keys, still, soft_masks=True)
    _, hard = augment_batch(pixels, keys, still)
    np.testing.assert_allclose(soft.numpy(), fractions / 255)
    np.testing.assert_array_equal(hard.numpy().ravel(), [0, 0, 1, 1])


@pytest.mark.parametrize("engine", ENGINES)
def test_soft_masks_move_with_the_image(engine: str) -> None:
    images, masks = batch()
    fractions = np.where(masks == 1, 200, 0).astype(np.uint8)
    images[..., 0] = fractions[..., 0]
    pixels = tf.constant(np.concatenate([images, fractions], axis=-1))
    settings = Augment(**STILL | {"engine": engine, "scale": 0.3, "shift": 0.2})
    image, soft = augment_batch(pixels, tf.range(6, dtype=tf.int64), settings, soft_masks=True)
    gap = np.abs(image.numpy()[..., 0] - 255 * soft.numpy()[..., 0])
    assert gap.mean() < (0.01 if engine == "native" else 5)  # albumentations moves masks to the nearest pixel
    assert soft.numpy().max() == pytest.approx(200 / 255, abs=0.01)
