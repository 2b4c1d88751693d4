"""A network's first features, as a description of the image's colours and textures."""

from __future__ import annotations

import keras
import tensorflow as tf

from ham_keras.errors import HamError
from ham_keras.models.build import normalized_image, to_probability


def with_encoding(model: keras.Model) -> keras.Model:
    """Return the network with a second output, the encoding: float32 [N, C].

    The encoding is the encoder's output at half the image's size, averaged over the image. Layers and weights are
    shared with `model`.

    Raises:
        HamError: the network never works at half the image's size.
    """
    nested = next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)
    if nested is None:
        return keras.Model(model.input, [model.output, _pool(find_first_stage(model))], name=model.name)
    inner = keras.Model(nested.input, [nested.output, find_first_stage(nested)])
    logits, features = inner(normalized_image(model))
    return keras.Model(model.input, [to_probability(logits), _pool(features)], name=model.name)


def find_first_stage(network: keras.Model) -> tf.Tensor:
    """Return the symbolic features at half the image's size, before they are first reduced to a quarter.

    Raises:
        HamError: see `with_encoding`.
    """
    factors = {network.input._keras_history.operation: 1}  # by which each layer's output is smaller than the image
    for layer in network.layers:
        parents = {each._keras_history.operation for each in _inputs(layer)}
        before = max((factors[parent] for parent in parents if parent in factors), default=1)
        strides = getattr(layer, "strides", 1)
        stride = strides if isinstance(strides, int) else strides[0]
        if before == 2 and stride == 2 and not isinstance(layer, keras.layers.Conv2DTranspose):
            return _without_padding(layer.input)
        factors[layer] = before * stride
    raise HamError(f"{network.name}: never halves its features twice, so they cannot describe the image")


def _inputs(layer: keras.Layer) -> list[tf.Tensor]:
    return list(keras.tree.flatten(layer.input)) if layer._inbound_nodes else []


def _without_padding(tensor: tf.Tensor) -> tf.Tensor:
    while isinstance(layer := tensor._keras_history.operation, keras.layers.ZeroPadding2D):
        tensor = layer.input
    return tensor


def _pool(features: tf.Tensor) -> tf.Tensor:
    return keras.layers.GlobalAveragePooling2D(dtype="float32", name="encoding")(features)
