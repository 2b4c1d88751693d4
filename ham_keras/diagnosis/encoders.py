"""Encoders as feature extractors: activations at three depths, averaged over the image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ham_keras.config import Config
from ham_keras.diagnosis.config import OWN_ENCODER, Encoder
from ham_keras.errors import SettingError
from ham_keras.models.build import preprocess
from ham_keras.models.loading import load_model
from ham_keras.models.precision import dtype_policy
from ham_keras.models.qubvel import build_encoder, segmentation_models
from ham_keras.models.weights import layers_by_rank, load_encoder_weights
from ham_keras.prediction.mirrors import MIRRORS
from ham_keras.runs import Run

DEPTHS = (8, 16, 32)  # downsampling factors
BATCH_SIZE = 32


class FeatureEncoder:
    """Encoders that share their input: uint8 RGB crops [N, S, S, 3] to float32 features [N, F]."""

    def __init__(self, encoders: Sequence[Encoder], run: Run, config: Config, *, flips: bool) -> None:
        """Load the encoders in float32; `run` and `config` are the segmentation run's.

        Raises:
            HamError: weights are not available or do not fit.
        """
        self.names: list[str] = []
        self.models: list[keras.Model] = []
        for place, encoder in enumerate(encoders):
            with dtype_policy("float32"):
                model, widths = build_pooled_encoder(encoder, f"features.encoders.{place}.weights", run, config)
            self.models.append(model)
            self.names += [
                f"{encoder.name}/{factor}/{channel}"
                for factor, width in zip(DEPTHS, widths, strict=True)
                for channel in range(width)
            ]

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
        def encode(crops: tf.Tensor) -> tf.Tensor:
            pixels = tf.cast(crops, tf.float32)
            views = [tf.reverse(pixels, axes) if axes else pixels for axes in (MIRRORS if flips else ((),))]
            features = [tf.concat([model(view, training=False) for model in self.models], 1) for view in views]
            return tf.add_n(features) / len(features)

        self._encode = encode

    def __call__(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features [N, F] of crops, uint8 RGB [N, S, S, 3]."""
        if not self.models:
            return np.empty((len(crops), 0), np.float32)
        parts = [self._encode(crops[first : first + BATCH_SIZE]).numpy() for first in range(0, len(crops), BATCH_SIZE)]
        return np.concatenate(parts)


def build_pooled_encoder(
    encoder: Encoder, key: str, run: Run, config: Config, *, load: bool = True
) -> tuple[keras.Model, list[int]]:
    """Build an encoder in the current precision: RGB 0..255 [N, S, S, 3] to its pooled features [N, F].

    Args:
        key: names the setting in errors.
        run, config: the segmentation run's.
        load: load its weights; otherwise they are random.

    Returns:
        the model, and the number of features at each depth.

    Raises:
        HamError: weights are not available or do not fit.
    """
    backbone = encoder.backbone or config.model.backbone
    network = build_encoder(backbone, None)
    if load and encoder.weights == OWN_ENCODER:
        _copy_encoder(load_model(run, config), network)
    elif load:
        weights = encoder.weights if encoder.weights == "imagenet" else str(Path(encoder.weights).expanduser())
        try:
            load_encoder_weights(network, lambda name: build_encoder(backbone, name), weights)
        except SettingError as error:
            reason = str(error).partition(": ")[2].partition(", or train without it")[0]
            raise SettingError(key, reason) from None
    layers = segmentation_models.Backbones.get_feature_layers(backbone, n=2)  # at 1/16 and 1/8
    skips = [_layer(network, name).output for name in reversed(layers)]
    pooled = [keras.layers.GlobalAveragePooling2D()(output) for output in (*skips, network.output)]
    inner = keras.Model(network.input, keras.layers.Concatenate()(pooled))
    image = keras.Input((None, None, 3))
    return keras.Model(image, inner(preprocess(image, backbone))), [output.shape[-1] for output in pooled]


def _layer(network: keras.Model, name: str | int) -> keras.Layer:
    return network.layers[name] if isinstance(name, int) else network.get_layer(name)


def _copy_encoder(network: keras.Model, encoder: keras.Model) -> None:
    """Copy the encoder's weights out of a segmentation network."""
    inner = next((layer for layer in network.layers if isinstance(layer, keras.Model)), network)
    theirs = layers_by_rank(inner)
    for rank, layer in layers_by_rank(encoder).items():
        layer.set_weights(theirs[rank].get_weights())
