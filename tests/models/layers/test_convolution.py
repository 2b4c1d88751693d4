"""The convolution whose filter gradient is a matrix multiplication, against the Keras layer."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.models.layers.convolution import Conv2D

RNG = np.random.default_rng(0)
BF16 = "mixed_bfloat16"


def with_weights(kind: type[keras.layers.Conv2D], policy: str, weights: list[np.ndarray], **options: object) -> Conv2D:
    layer = kind(weights[0].shape[-1], weights[0].shape[:2], dtype=policy, **options)
    layer.build((None, None, None, weights[0].shape[2]))
    layer.set_weights(weights)
    return layer


def run(layer: keras.Layer, images: np.ndarray) -> list[tf.Tensor]:
    """Outputs of the layer in training, and gradients of a randomly weighted sum of them."""
    inputs = tf.Variable(images)
    with tf.GradientTape() as tape:
        outputs = layer(inputs, training=True)
        factors = np.random.default_rng(1).normal(size=outputs.shape).astype(np.float32)
        total = tf.reduce_sum(tf.cast(outputs, tf.float32) * factors)
    return [outputs, *tape.gradient(total, [inputs, *(v.value for v in layer.trainable_variables)])]


def operations(layer: keras.Layer, size_px: int) -> set[str]:
    """Operations in the graph of a training step."""

    @tf.function
    def step(images: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer(images, training=True))
        return tape.gradient(total, [v.value for v in layer.trainable_variables])

    graph = step.get_concrete_function(tf.TensorSpec([None, size_px, size_px, layer.kernel.shape[2]])).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 1), (3, 2)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_outputs_and_gradients_match_keras(padding: str, kernel: tuple[int, int], use_bias: bool) -> None:
    weights = [RNG.normal(size=(*kernel, 5, 7)).astype(np.float32), RNG.normal(size=7).astype(np.float32)]
    options = {"padding": padding, "use_bias": use_bias, "activation": "relu"}
    images = RNG.normal(size=(3, 4, 4, 5)).astype(np.float32)
    ours, theirs = (
        with_weights(kind, BF16, weights[: 1 + use_bias], **options) for kind in (Conv2D, keras.layers.Conv2D)
    )
    found, expected = run(ours, images), run(theirs, images)
    assert len(found) == len(expected) == 3 + use_bias
    assert "Conv2DBackpropFilter" not in operations(ours, 4)
    for actual, reference in zip(found, expected, strict=True):
        assert actual.dtype == reference.dtype
        scale = np.abs(tf.cast(reference, tf.float32)).max()
        np.testing.assert_allclose(tf.cast(actual, tf.float32), tf.cast(reference, tf.float32), atol=2**-7 * scale)


@pytest.mark.parametrize(
    ("policy", "size_px", "options"),
    [("float32", 4, {}), (BF16, 5, {}), (BF16, 4, {"strides": 2}), (BF16, 4, {"dilation_rate": 2})],
)
def test_other_cases_use_keras_implementation(policy: str, size_px: int, options: dict[str, int]) -> None:
    weights = [RNG.normal(size=(3, 3, 5, 7)).astype(np.float32)]
    layer = with_weights(Conv2D, policy, weights, padding="same", use_bias=False, **options)
    assert "Conv2DBackpropFilter" in operations(layer, size_px)


def test_gpus_use_keras_implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = with_weights(Conv2D, BF16, [RNG.normal(size=(3, 3, 5, 7)).astype(np.float32)], use_bias=False)
    assert "Conv2DBackpropFilter" not in operations(layer, 4)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [f"/device:{kind}:0"])
    assert "Conv2DBackpropFilter" in operations(layer, 4)
    with tf.distribute.OneDeviceStrategy("/CPU:0").scope():
        assert "Conv2DBackpropFilter" not in operations(layer, 4)


def test_inference_graph_has_no_custom_gradient() -> None:
    layer = with_weights(Conv2D, BF16, [RNG.normal(size=(3, 3, 5, 7)).astype(np.float32)], use_bias=False)
    graph = tf.function(lambda images: layer(images, training=False)).get_concrete_function(tf.ones([1, 4, 4, 5])).graph
    assert not {"IdentityN", "PartitionedCall"} & {operation.type for operation in graph.get_operations()}
