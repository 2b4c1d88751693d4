"""DepthwiseConv2D against the Keras layer."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.models.layers.depthwise import DepthwiseConv2D

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(3, 9, 8, 5)).astype(np.float32)
KERNEL = RNG.normal(size=(3, 3, 5, 1)).astype(np.float32)


def run(kind: type[keras.layers.DepthwiseConv2D], policy: str, **options: object) -> list[np.ndarray]:
    """Outputs of the layer, and gradients of a randomly weighted sum of them, as float32."""
    layer = kind(3, dtype=policy, **options)
    layer.build(IMAGES.shape)
    layer.kernel.assign(KERNEL)
    inputs = tf.Variable(tf.cast(IMAGES, layer.compute_dtype))
    with tf.GradientTape() as tape:
        outputs = layer(inputs)
        factors = np.random.default_rng(1).normal(size=outputs.shape).astype(np.float32)
        total = tf.reduce_sum(tf.cast(outputs, tf.float32) * factors)
    gradients = tape.gradient(total, [inputs, *(v.value for v in layer.trainable_variables)])
    assert outputs.dtype == gradients[0].dtype == layer.compute_dtype and gradients[1].dtype == tf.float32
    return [tf.cast(each, tf.float32).numpy() for each in (outputs, *gradients)]


@pytest.mark.parametrize("options", [{"strides": 2}, {"padding": "same", "activation": "relu6"}, {"use_bias": True}])
def test_bfloat16_is_as_close_to_float32_as_that_of_keras(options: dict[str, object]) -> None:
    options = {"use_bias": False, **options}
    exact = run(keras.layers.DepthwiseConv2D, "float32", **options)
    theirs, ours = (run(kind, "mixed_bfloat16", **options) for kind in (keras.layers.DepthwiseConv2D, DepthwiseConv2D))
    names = ["outputs", "images", "kernel", *(["bias"] if options["use_bias"] else [])]
    for name, reference, kept, found in zip(names, exact, theirs, ours, strict=True):
        error, allowed = (np.abs(each - reference).mean() for each in (found, kept))
        assert error <= 1.1 * allowed, name
    for reference, found in zip(exact, run(DepthwiseConv2D, "float32", **options), strict=True):
        np.testing.assert_array_equal(found, reference)


@pytest.mark.parametrize(
    ("policy", "cpus", "dtype"),
    [("mixed_bfloat16", True, tf.float32), ("mixed_bfloat16", False, tf.bfloat16), ("mixed_float16", True, tf.float16)],
)
def test_only_bfloat16_on_cpus_is_computed_in_float32(
    policy: str, cpus: bool, dtype: tf.DType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ham_keras.models.layers.depthwise.on_cpus", lambda: cpus)
    layer = DepthwiseConv2D(3, use_bias=False, dtype=policy)
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec([None, 9, 8, 5])).graph
    (convolution,) = (each for each in graph.get_operations() if each.type == "DepthwiseConv2dNative")
    assert convolution.outputs[0].dtype == dtype
