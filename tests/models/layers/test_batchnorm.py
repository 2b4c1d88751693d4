"""The fused BatchNormalization against the Keras layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.models.layers.batchnorm import BatchNormalization

RNG = np.random.default_rng(0)


def both(channels: int, policy: str = "float32", ndim: int = 4, **options: object) -> list[Any]:
    """Keras' layer and ours, with the same random weights."""
    kinds = (keras.layers.BatchNormalization, BatchNormalization)
    layers = [kind(momentum=0.9, epsilon=2e-5, dtype=policy, **options) for kind in kinds]
    for layer in layers:
        layer.build((*[None] * (ndim - 1), channels))
    weights = [RNG.uniform(0.5, 2.0, weight.shape) for weight in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def run(layer: keras.Layer, images: np.ndarray, *, training: bool) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Outputs of the layer, and gradients of a randomly weighted sum of them."""
    inputs = tf.Variable(images)
    factors = tf.constant(np.random.default_rng(1).normal(size=images.shape).astype(np.float32))
    with tf.GradientTape() as tape:
        outputs = layer(inputs, training=training)
        total = tf.reduce_sum(tf.cast(outputs, tf.float32) * factors)
    return outputs, tape.gradient(total, [inputs, *(v.value for v in layer.trainable_variables)])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("scale", [True, False])
def test_outputs_gradients_and_statistics_match_keras(training: bool, channels: int, scale: bool) -> None:
    theirs, ours = both(channels, scale=scale)
    images = RNG.normal(3.0, 2.0, (4, 5, 6, channels)).astype(np.float32)
    (expected, gradients), (outputs, found) = (run(layer, images, training=training) for layer in (theirs, ours))
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert len(found) == len(gradients) == 3 - (not scale)
    for gradient, reference in zip(found, gradients, strict=True):
        np.testing.assert_allclose(gradient, reference, atol=2e-5)
    for weight, reference in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(weight, reference, rtol=1e-5)


def test_frozen_layer_uses_its_statistics_and_does_not_update_them() -> None:
    theirs, ours = both(8)
    ours.trainable = theirs.trainable = False
    images = RNG.normal(size=(2, 3, 3, 8)).astype(np.float32)
    before = ours.get_weights()
    np.testing.assert_allclose(ours(images, training=True), theirs(images, training=True), atol=1e-5)
    np.testing.assert_array_equal(ours.get_weights(), before)


def test_single_pixel_has_zero_variance() -> None:
    theirs, ours = both(8)
    pixel = np.ones((1, 1, 1, 8), np.float32)
    np.testing.assert_array_equal(ours(pixel, training=True)[0, 0, 0], ours.beta)
    theirs(pixel, training=True)
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_uses_float32_statistics(policy: str) -> None:
    theirs, ours = both(16, policy)
    images = RNG.normal(100.0, 1.0, (8, 16, 16, 16)).astype(
        np.float32
    )  # half precision cannot represent the mean accurately
    outputs = ours(images, training=True)
    theirs(images, training=True)
    assert outputs.dtype == policy.removeprefix("mixed_")
    rounded = tf.cast(tf.cast(images, outputs.dtype), tf.float32).numpy().reshape(-1, 16)
    weights = {weight.name: weight.numpy() for weight in ours.weights}
    exact = (rounded - rounded.mean(0)) / np.sqrt(rounded.var(0) + 2e-5) * weights["gamma"] + weights["beta"]
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), exact.reshape(images.shape), atol=0.05)
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-3)


def test_other_shapes_and_masks_use_keras_implementation() -> None:
    theirs, ours = both(8, ndim=2)
    rows = RNG.normal(size=(5, 8)).astype(np.float32)
    np.testing.assert_array_equal(ours(rows, training=True), theirs(rows, training=True))
    theirs, ours = both(8)
    images, mask = RNG.normal(size=(2, 3, 3, 8)).astype(np.float32), tf.constant(RNG.random((2, 3, 3)) < 0.5)
    np.testing.assert_array_equal(ours(images, training=True, mask=mask), theirs(images, training=True, mask=mask))


def test_loads_weights_saved_by_keras_layer(tmp_path: Path) -> None:
    models = []
    for layer in both(8):
        image = keras.Input((None, None, 8))
        models.append(keras.Model(image, layer(image)))
    theirs, ours = models
    theirs.save_weights(tmp_path / "keras.weights.h5")
    ours.set_weights([np.zeros_like(weight) for weight in ours.get_weights()])
    ours.load_weights(tmp_path / "keras.weights.h5")
    for weight, reference in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, reference)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("training", [True, False])
def test_one_operation_normalises(policy: str, training: bool) -> None:
    layer = both(8, policy)[1]
    traced = tf.function(lambda images: layer(images, training=training)).get_concrete_function(tf.ones([1, 4, 4, 8]))
    kinds = [operation.type for operation in traced.graph.get_operations()]
    assert kinds.count("FusedBatchNormV3") == 1


def test_frozen_offset_survives_get_config() -> None:
    layer = BatchNormalization()
    layer.build((None, None, None, 8))
    assert [variable.name for variable in layer.trainable_variables] == ["gamma", "beta"]
    layer.freeze_offset()
    again = BatchNormalization.from_config(layer.get_config())
    again.build((None, None, None, 8))
    for one in (layer, again):
        assert [variable.name for variable in one.trainable_variables] == ["gamma"]
        assert [variable.name for variable in one.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
