"""UpSampling2D against the Keras layer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.models.layers.upsampling import UpSampling2D

FEATURES = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_values_and_gradients_are_those_of_keras(training: bool, interpolation: str, policy: str) -> None:
    options: dict[str, Any] = {"size": (2, 3), "interpolation": interpolation, "dtype": policy}
    features = tf.Variable(tf.cast(FEATURES, keras.DTypePolicy(policy).compute_dtype))
    weights = tf.cast(np.random.default_rng(1).integers(-4, 5, (2, 6, 15, 4)), features.dtype)
    found = []
    for layer in (keras.layers.UpSampling2D(**options), UpSampling2D(**options)):
        with tf.GradientTape() as tape:
            outputs = layer(features, training=training)
            total = tf.reduce_sum(outputs * tf.cast(weights, outputs.dtype))
        assert outputs.shape == layer.compute_output_shape(FEATURES.shape)
        found.append((outputs.numpy(), tape.gradient(total, features).numpy()))
    for ours, theirs in zip(found[1], found[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_prediction_is_one_resize_whatever_the_size_of_the_image() -> None:
    image = keras.Input((None, None, 4))
    model = keras.Model(image, UpSampling2D()(image))
    call = tf.function(lambda features: model(features, training=False))
    graph = call.get_concrete_function(tf.TensorSpec([None, None, None, 4])).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "ResizeNearestNeighbor" in kinds and not kinds & {"Tile", "Reshape", "Transpose"}
    np.testing.assert_array_equal(call(FEATURES), np.kron(FEATURES, np.ones((1, 2, 2, 1))))
