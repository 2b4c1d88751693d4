"""Everything used from qubvel's segmentation_models; no other module imports that package."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from types import SimpleNamespace

import keras
import tensorflow as tf

from ham_keras.errors import HamError
from ham_keras.models.layers.batchnorm import BatchNormalization
from ham_keras.models.layers.convolution import Conv2D
from ham_keras.models.layers.depthwise import DepthwiseConv2D
from ham_keras.models.layers.upsampling import UpSampling2D
from ham_keras.settings import Model


def check_keras() -> None:
    """Check that Keras 3 runs on TensorFlow and is `tf.keras`, and set its data format, which keras.json may change.

    Raises:
        HamError: Keras was imported before ham_keras with another choice; names the variable.
    """
    if keras.config.backend() != "tensorflow":
        raise HamError(
            f"KERAS_BACKEND: Keras was imported with {keras.config.backend()} before ham_keras, which needs "
            f"tensorflow; set KERAS_BACKEND=tensorflow, or import ham_keras first"
        )
    if not tf.keras.__version__.startswith("3."):
        raise HamError(
            f"TF_USE_LEGACY_KERAS: tf.keras is Keras {tf.keras.__version__}, and ham_keras needs Keras 3; unset it, or "
            f"import ham_keras first"
        )
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")


check_keras()
with contextlib.redirect_stdout(io.StringIO()):  # importing it prints a line
    import segmentation_models
    from segmentation_models.models._utils import freeze_model
    from segmentation_models.models.fpn import FPN
    from segmentation_models.models.linknet import Linknet
    from segmentation_models.models.unet import Unet

__all__ = [
    "FPN", "KERAS", "REPLACED", "Linknet", "Unet", "build_encoder", "build_feature_encoder", "build_segmenter",
    "segmentation_models",
]  # fmt: skip

# Layers that replace those of Keras with the same names.
REPLACED = {layer.__name__: layer for layer in (BatchNormalization, Conv2D, DepthwiseConv2D, UpSampling2D)}
# The modules and layers that segmentation_models builds networks with.
KERAS = {name: getattr(tf.keras, name) for name in ("backend", "models", "utils")}
KERAS["layers"] = SimpleNamespace(**vars(keras.layers) | REPLACED)


def build_segmenter(function: Callable[..., keras.Model], settings: Model) -> keras.Model:
    """Build a segmentation_models network with random weights: float32 [N, H, W, 3] to logits [N, H, W, 1]."""
    return function(
        settings.backbone,
        input_shape=(None, None, 3),
        classes=1,
        activation="linear",
        encoder_weights=None,
        encoder_freeze=settings.encoder_freeze,
        **KERAS,
    )


def build_encoder(backbone: str, weights: str | None) -> keras.Model:
    """Build the encoder without its classifier; weights are "imagenet" (downloaded) or None (random)."""
    return segmentation_models.Backbones.get_backbone(
        backbone, include_top=False, weights=weights, input_shape=(None, None, 3), **KERAS
    )


def build_feature_encoder(settings: Model) -> tuple[tf.Tensor, dict[int, tf.Tensor]]:
    """Build the encoder with random weights for a decoder of our own.

    Returns:
        Its symbolic input, float32 [N, H, W, 3], and its last features at 1/4, 1/8, 1/16 and 1/32 of the size by
        downsampling factor: those that segmentation_models' decoders use.
    """
    encoder = build_encoder(settings.backbone, None)
    if settings.encoder_freeze:
        freeze_model(encoder, **KERAS)
    names = segmentation_models.Backbones.get_feature_layers(settings.backbone, n=3)
    found = [encoder.get_layer(**{"index" if isinstance(name, int) else "name": name}).output for name in names]
    return encoder.input, dict(zip((32, 16, 8, 4), [encoder.output, *found], strict=True))
