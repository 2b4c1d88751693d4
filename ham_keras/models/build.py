"""Build a network from its settings: architecture, encoder weights, preprocessing and sigmoid."""

from __future__ import annotations

import keras
import tensorflow as tf

from ham_keras.errors import SettingError
from ham_keras.models.backbones import PREPROCESSING
from ham_keras.models.network import LESION, Network, SupervisedModel
from ham_keras.models.qubvel import build_encoder
from ham_keras.models.registry import ARCHITECTURES
from ham_keras.models.weights import load_encoder_weights
from ham_keras.settings import Model

IMAGE_NORMALIZATION = "bn_data"  # the ResNets' first layer


def build_model(settings: Model) -> keras.Model:
    """Build the inference network: float32 RGB [N, H, W, 3] in 0..255 to float32 probability [N, H, W, 1].

    H and W are multiples of 32. The last convolution is linear and followed by a float32 sigmoid, so the output
    is float32 under mixed precision too.

    Raises:
        HamError: the encoder weights are not available or do not fit.
    """
    model = build_training_model(settings)
    return lesion_model(model) if isinstance(model, SupervisedModel) else model


def build_training_model(settings: Model) -> keras.Model:
    """Build the network for training: a SupervisedModel if the architecture has side outputs.

    Raises:
        HamError: see `build_model`; also if the architecture does not support deep supervision.
    """
    network = build_network(settings)
    name = f"{settings.architecture}_{settings.backbone}"
    inner = keras.Model(network.image, network.outputs if network.sides else network.lesion, name=name)
    shared = tf.distribute.get_strategy().num_replicas_in_sync > 1  # else Keras' slower implementation would do nothing
    for layer in inner.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = settings.batchnorm_momentum
            layer.synchronized = settings.batchnorm_synchronized and shared
        if layer.name == IMAGE_NORMALIZATION:
            # The next BatchNormalization cancels this offset, except at the border, so training it is wasted work: a
            # gradient over the whole image.
            layer.freeze_offset()
    if settings.encoder_weights is not None:
        load_encoder_weights(inner, lambda weights: build_encoder(settings.backbone, weights), settings.encoder_weights)
    image, logits = inner.input, inner.output
    if PREPROCESSING[settings.backbone] is not None:
        image = keras.Input((None, None, 3), name="image")
        logits = inner(preprocess(image, settings.backbone))
    if not network.sides:
        return keras.Model(image, to_probability(logits), name=name)
    model = SupervisedModel(image, {key: to_probability(value, key) for key, value in logits.items()}, name=name)
    model.sides = network.sides
    return model


def build_network(settings: Model) -> Network:
    """Build the architecture with random weights.

    Raises:
        HamError: the architecture does not support deep supervision.
    """
    network: Network = ARCHITECTURES.get(settings.architecture)(settings)
    if settings.deep_supervision and not network.sides:
        raise SettingError("model.deep_supervision", f"{settings.architecture} has no side outputs; set it to false")
    return network


def lesion_model(model: keras.Model) -> keras.Model:
    """Return the inference network: the same layers and weights, with the lesion probability as the only output."""
    if not isinstance(model, SupervisedModel):
        return keras.Model(model.inputs, model.outputs, name=model.name)
    inner = next((layer for layer in model.layers if isinstance(getattr(layer, "output", None), dict)), None)
    if inner is None:
        return keras.Model(model.input, model.output[LESION], name=model.name)
    # Rebuild the nested network too, so that it does not contain the layers of the side outputs.
    logits = keras.Model(inner.input, inner.output[LESION])(normalized_image(model))
    return keras.Model(model.input, to_probability(logits), name=model.name)


def side_variables(model: SupervisedModel) -> list[keras.Variable]:
    """Return the variables that only the side outputs need."""
    kept = {id(variable) for variable in lesion_model(model).variables}
    return [variable for variable in model.variables if id(variable) not in kept]


def to_probability(logits: tf.Tensor, name: str = "probability") -> tf.Tensor:
    """Convert logits of any precision to float32 probability."""
    return keras.layers.Activation("sigmoid", dtype="float32", name=name)(logits)


def preprocess(image: tf.Tensor, backbone: str) -> tf.Tensor:
    """Normalise float32 RGB 0..255 the way the backbone's ImageNet weights were trained; returns float32."""
    expected = PREPROCESSING[backbone]
    if expected is None:
        return image
    mean, deviation, wants_bgr = expected
    if wants_bgr:
        image = keras.ops.flip(image, axis=-1)
    # Not Normalization: tf2onnx makes inputs of its constants.
    scale = [1 / each for each in deviation]
    offset = [-each * factor for each, factor in zip(mean, scale, strict=True)]
    return keras.layers.Rescaling(scale, offset, dtype="float32")(image)


def normalized_image(model: keras.Model) -> tf.Tensor:
    """Return what `preprocess` returned in a model that normalises its image."""
    (normalized,) = (layer.output for layer in model.layers if isinstance(layer, keras.layers.Rescaling))
    return normalized
