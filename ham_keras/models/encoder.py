"""Find the output of a network's encoder, as features of the image."""

from __future__ import annotations

import keras
import tensorflow as tf

from ham_keras.errors import HamError
from ham_keras.models.build import to_probability

ENLARGING = (keras.layers.UpSampling2D, keras.layers.Conv2DTranspose)
DECODER_PREFIXES = ("decoder_", "center_", "fpn_")  # of segmentation_models' layers


def with_encoding(model: keras.Model) -> keras.Model:
    """Return the network with a second output, the encoding: float32 [N, C].

    The encoding is the encoder's last output, averaged over the image. Layers and weights are shared with `model`.

    Raises:
        HamError: the network never enlarges its features, so that encoder and decoder cannot be told apart.
    """
    nested = next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)
    if nested is None:
        return keras.Model(model.input, [model.output, _pool(find_bottleneck(model))], name=model.name)
    inner = keras.Model(nested.input, [nested.output, find_bottleneck(nested)])
    (normalized,) = (layer.output for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    logits, bottleneck = inner(normalized)
    return keras.Model(model.input, [to_probability(logits), _pool(bottleneck)], name=model.name)


def find_bottleneck(network: keras.Model) -> tf.Tensor:
    """Return the encoder's symbolic output: before the first enlargement and the decoder's layers that precede it.

    Raises:
        HamError: see `with_encoding`.
    """
    enlarging = next((layer for layer in network.layers if isinstance(layer, ENLARGING)), None)
    if enlarging is None:
        raise HamError(f"{network.name}: has no layer that enlarges its features, so its encoder has no known end")
    tensor = enlarging.input
    while (layer := tensor._keras_history.operation).name.startswith(DECODER_PREFIXES):
        tensor = layer.input
    return tensor


def _pool(features: tf.Tensor) -> tf.Tensor:
    return keras.layers.GlobalAveragePooling2D(dtype="float32", name="encoding")(features)
