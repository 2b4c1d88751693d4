"""Hair removal, compared with OpenCV and with the known hairs of phantoms."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from benchmarking import load

from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.preprocessing.hairs import black_hat_mask, fill, inpaint_hairs

opencv = load("hair_removal").opencv


def found(image: np.ndarray) -> np.ndarray:
    return black_hat_mask(tf.constant(image[None]))[0].numpy()


@pytest.mark.parametrize(("width", "height", "cross_px"), [(600, 450, 17), (300, 225, 9), (96, 64, 3), (450, 600, 17)])
def test_found_pixels_are_those_of_opencv_at_any_size(width: int, height: int, cross_px: int) -> None:
    image = draw_phantom(3, 1, 1, (width, height))[0]
    mask, _ = opencv(image, cross_px)
    assert mask.any()
    np.testing.assert_array_equal(found(image), mask)


def test_fill_is_near_opencvs_and_nearer_to_the_phantom_without_hairs() -> None:
    size, errors = (300, 225), []
    for number in (5, 10, 19, 30, 33):  # they have dark hairs
        image, _, hairs, _ = draw_phantom(3, number, number, size)
        hairless = draw_phantom(3, number, number, size, hairless=True)[0].astype(int)
        mask, expected = opencv(image, 9)
        filled = inpaint_hairs(tf.constant(image)).numpy()
        np.testing.assert_array_equal(filled[~mask], image[~mask])
        assert np.abs(filled[mask] - expected[mask].astype(int)).mean() < 3
        errors.append([np.abs(each.astype(int) - hairless)[hairs & mask].mean() for each in (image, filled, expected)])
    before, ours, opencvs = np.mean(errors, axis=0)
    assert ours < 0.3 * before and ours < 1.3 * opencvs


def test_holes_are_filled_from_their_rims_with_the_mean_of_known_neighbours() -> None:
    red = np.array([[10, 20, 30, 40], [50, 0, 0, 80], [90, 0, 0, 120]], np.uint8)
    holes = np.zeros((1, 3, 4), bool)
    holes[0, 1:, 1:3] = True
    image = np.stack([red, red // 2, 0 * red], axis=-1)[None]
    filled = fill(tf.constant(image), tf.constant(holes)).numpy()[0]
    expected = red.copy()
    expected[1, 1], expected[1, 2] = (20 + 50) / 2, (30 + 80) / 2
    expected[2, 1], expected[2, 2] = 90, 120
    np.testing.assert_array_equal(filled[..., 0], expected)
    deep = np.zeros((1, 5, 5), bool)
    deep[0, 1:4, 1:4] = True
    step = np.repeat(np.where(np.arange(5) < 4, 100, 200)[None, :, None], 5, axis=0)[None].repeat(3, axis=-1)
    middle = fill(tf.constant(step.astype(np.uint8)), tf.constant(deep)).numpy()[0, 2, 2, 0]
    assert middle == (100 + 100 + 100 + 200) / 4  # filled last, from its four neighbours


def test_images_of_a_batch_do_not_affect_each_other_and_graphs_give_the_same() -> None:
    images = np.stack([draw_phantom(3, number, number, (96, 64))[0] for number in (1, 4, 9)])
    traced = tf.function(inpaint_hairs, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    together = traced(tf.constant(images)).numpy()
    single = tf.function(inpaint_hairs, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    for image, one in zip(images, together, strict=True):
        np.testing.assert_array_equal(inpaint_hairs(image), one)
        np.testing.assert_array_equal(single(image), one)
    assert together.dtype == np.uint8 and (together != images).any()
    plain = np.full((40, 60, 3), 200, np.uint8)
    np.testing.assert_array_equal(inpaint_hairs(tf.constant(plain)), plain)
