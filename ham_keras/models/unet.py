"""U-Net, FPN and Linknet of segmentation_models; this module is its only importer."""

from __future__ import annotations

import contextlib
import io
import os
from types import SimpleNamespace

import keras
import tensorflow as tf

from ham_keras.models.backbones import PREPROCESSING
from ham_keras.models.layers.batchnorm import BatchNormalization
from ham_keras.models.layers.convolution import Conv2D
from ham_keras.models.weights import load_encoder_weights
from ham_keras.settings import Model

os.environ.setdefault("SM_FRAMEWORK", "tf.keras")  # read at its first import; "keras" fails under Keras 3
with contextlib.redirect_stdout(io.StringIO()):  # it prints a line
    import segmentation_models
    from segmentation_models.models.fpn import FPN
    from segmentation_models.models.linknet import Linknet
    from segmentation_models.models.unet import Unet

__all__ = ["ARCHITECTURES", "build_encoder", "build_model", "build_network", "preprocess", "segmentation_models"]

ARCHITECTURES = {"unet": Unet, "fpn": FPN, "linknet": Linknet}
# What segmentation_models builds networks of.
KERAS = {name: getattr(tf.keras, name) for name in ("backend", "models", "utils")}
KERAS["layers"] = SimpleNamespace(**{**vars(keras.layers), "BatchNormalization": BatchNormalization, "Conv2D": Conv2D})
IMAGE_NORMALIZATION = "bn_data"  # the ResNets' first layer


def build_model(settings: Model) -> keras.Model:
    """Build the network: float32 RGB [N, H, W, 3] in 0..255 to float32 probability [N, H, W, 1].

    H and W are any multiples of 32. The last convolution is linear and a float32 sigmoid stands on
    top, so the output is float32 under mixed precision too.

    Raises:
        HamError: the encoder's weights cannot be had or do not fit.
    """
    network = build_network(settings.architecture, settings.backbone, encoder_freeze=settings.encoder_freeze)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = settings.batchnorm_momentum
        if layer.name == IMAGE_NORMALIZATION:
            # But for the border, the normalisation after the next convolution takes its offset out again: it is not
            # worth a gradient over the whole image.
            layer.beta.trainable = False
    if settings.encoder_weights is not None:
        load_encoder_weights(
            network, lambda weights: build_encoder(settings.backbone, weights), settings.encoder_weights
        )
    image, logits = network.input, network.output
    if PREPROCESSING[settings.backbone] is not None:
        image = keras.Input((None, None, 3), name="image")
        logits = network(preprocess(image, settings.backbone))
    probability = keras.layers.Activation("sigmoid", dtype="float32", name="probability")(logits)
    return keras.Model(image, probability, name=f"{settings.architecture}_{settings.backbone}")


def preprocess(image: tf.Tensor, backbone: str) -> tf.Tensor:
    """Float32 RGB 0..255 as this backbone's ImageNet weights were trained on it, in float32."""
    expected = PREPROCESSING[backbone]
    if expected is None:
        return image
    mean, deviation, wants_bgr = expected
    if wants_bgr:
        image = keras.ops.flip(image, axis=-1)
    variance = [value**2 for value in deviation]
    return keras.layers.Normalization(mean=list(mean), variance=variance, dtype="float32")(image)


def build_network(architecture: str, backbone: str, *, encoder_freeze: bool = False) -> keras.Model:
    """segmentation_models' network with random weights, up to its linear last convolution."""
    return ARCHITECTURES[architecture](
        backbone,
        input_shape=(None, None, 3),
        classes=1,
        activation="linear",
        encoder_weights=None,
        encoder_freeze=encoder_freeze,
        **KERAS,
    )


def build_encoder(backbone: str, weights: str | None) -> keras.Model:
    """The encoder alone, without its classifier; weights are "imagenet" (downloads) or None."""
    return segmentation_models.Backbones.get_backbone(
        backbone, include_top=False, weights=weights, input_shape=(None, None, 3), **KERAS
    )
