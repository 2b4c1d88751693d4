"""Losses against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ham_keras.models.registry import LOSSES
from ham_keras.training.losses import NamedLoss, boundary_weights, image_jaccard_loss

TRUTH = np.array([1, 1, 0, 0], np.float32).reshape(1, 2, 2, 1)
PROBABILITY = np.array([0.9, 0.4, 0.2, 0.1], np.float32).reshape(1, 2, 2, 1)
DICE = 1 - 2 * 1.3 / (2 + 1.6)
BCE = -np.log([0.9, 0.4, 0.8, 0.9]).mean()
FOCAL = (0.25 * np.array([0.1, 0.6]) ** 2 * -np.log([0.9, 0.4])).sum() / 4 + (
    0.75 * np.array([0.2, 0.1]) ** 2 * -np.log([0.8, 0.9])
).sum() / 4


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dice", DICE),
        ("dice_bce", DICE + BCE),
        ("bce", BCE),
        ("jaccard", 1 - 1.3 / 2.3),
        # The local mean is 1/2 everywhere, so the weights are equal.
        ("boundary_jaccard_bce", BCE + 1 - 1.3 / 2.3),
        ("focal", FOCAL),
        ("image_jaccard", 1 - 1.3 / 2.3),
        ("image_jaccard_bce", 0.75 * (1 - 1.3 / 2.3) + 0.25 * BCE),
    ],
)
def test_loss_matches_worked_out_value(name: str, expected: float) -> None:
    assert float(NamedLoss(name)(TRUTH, PROBABILITY)) == pytest.approx(expected, abs=2e-5)


def test_call_returns_the_batch_loss_for_each_image() -> None:
    truth, probability = np.concatenate([TRUTH, 1 - TRUTH]), np.concatenate([PROBABILITY, PROBABILITY])
    expected = 1 - 2 * (1.3 + 0.3) / (4 + 3.2)
    assert NamedLoss("dice").call(truth, probability).numpy() == pytest.approx([expected, expected], abs=1e-5)


@pytest.mark.parametrize("name", LOSSES.names())
def test_better_prediction_has_lower_loss(name: str) -> None:
    loss = NamedLoss(name)
    exact, near, far = (float(loss(TRUTH, other)) for other in (TRUTH, PROBABILITY, 1 - PROBABILITY))
    assert exact < near < far


@pytest.mark.parametrize("name", LOSSES.names())
def test_loss_and_gradient_are_the_same_compiled_by_xla(name: str) -> None:
    """As a GPU runs it. On an image of noise, and on one without a lesion."""
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, (2, 32, 32, 1)).astype(np.float32) * np.array([1, 0], np.float32)[:, None, None, None]
    probability = tf.constant(draw.uniform(0.01, 0.99, truth.shape).astype(np.float32))

    def step(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = NamedLoss(name)(truth, values)
        return loss, tape.gradient(loss, values)

    for found, expected in zip(tf.function(step, jit_compile=True)(probability), step(probability), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_image_jaccard_is_averaged_over_images() -> None:
    truth, probability = np.concatenate([TRUTH, 0 * TRUTH]), np.concatenate([PROBABILITY, 0 * PROBABILITY])
    assert image_jaccard_loss(truth, probability).numpy() == pytest.approx([1 - 1.3 / 2.3, 0.0], abs=1e-5)
    assert float(NamedLoss("image_jaccard")(truth, probability)) == pytest.approx((1 - 1.3 / 2.3) / 2, abs=1e-5)


@pytest.mark.parametrize("shift", [-0.1, 0.1])
def test_image_jaccard_has_its_minimum_at_a_soft_mask(shift: float) -> None:
    soft = np.array([1.0, 0.6, 0.3, 0.0], np.float32).reshape(1, 2, 2, 1)
    moved = np.clip(soft + shift, 0, 1)
    assert float(image_jaccard_loss(soft, soft)[0]) == pytest.approx(0, abs=1e-6)
    # |x| + |y| and |x - y| of the four pixels, worked out by hand.
    total, difference = (1.9 + 1.6, 0.3) if shift < 0 else (1.9 + 2.2, 0.3)
    assert float(image_jaccard_loss(soft, moved)[0]) == pytest.approx(
        1 - (total - difference) / (total + difference), abs=1e-5
    )


def test_boundary_loss_has_its_minimum_at_a_soft_mask() -> None:
    mask = np.zeros((1, 32, 32, 1), np.float32)
    mask[:, :, :16] = 1
    mask[:, ::2, 15:17] = 0.3
    mask[:, 1::2, 15:17] = 0.6
    loss = NamedLoss("boundary_jaccard_bce")
    for moved in (mask >= 0.5, np.clip(mask + 0.1, 0, 1), np.clip(mask - 0.1, 0, 1)):
        assert float(loss(mask, mask)) < float(loss(mask, np.asarray(moved, np.float32)))


def test_boundary_weights_are_highest_at_the_outline() -> None:
    mask = np.zeros((2, 24, 32, 1), np.float32)
    mask[0, 10:] = 1
    weights = boundary_weights(mask).numpy()[..., 0]
    # The window is 3x3: rows 9 and 10 see one of three rows on the other side.
    expected = np.ones((24, 32))
    expected[9:11] = 1 + 5 / 3
    np.testing.assert_allclose(weights[0], expected, rtol=1e-6)
    np.testing.assert_array_equal(weights[1], 1)
    mask = np.random.default_rng(0).integers(0, 2, (1, 352, 352, 1)).astype(np.float32)
    local = tf.nn.avg_pool2d(mask, 31, 1, "SAME")
    np.testing.assert_allclose(boundary_weights(mask), 1 + 5 * np.abs(local - mask), atol=1e-4)


def test_weights_count_in_both_parts_of_the_boundary_loss() -> None:
    """An error at the outline costs more than one far from it, in cross-entropy and in Jaccard."""
    mask = np.zeros((1, 32, 32, 1), np.float32)
    mask[:, :, :16] = 1
    loss, weights = NamedLoss("boundary_jaccard_bce"), boundary_weights(mask).numpy()
    for column in (2, 15, 16, 29):
        probability = np.where(mask == 1, 0.9, 0.1).astype(np.float32)
        probability[0, 8, column] = 0.5
        entropy = -np.log(np.where(mask == 1, probability, 1 - probability))
        both, either = (
            (weights * mask * probability).sum(),
            (weights * np.maximum(mask, mask + probability - mask * probability)).sum(),
        )
        expected = (weights * entropy).sum() / weights.sum() + 1 - both / either
        assert float(loss(mask, probability)) == pytest.approx(expected, rel=1e-4)
