"""Training losses by their `train.loss` name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ham_keras.models.qubvel import segmentation_models as sm
from ham_keras.models.registry import LOSSES

EPSILON = 1e-5  # of a pixel
BatchLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@LOSSES.register("dice")
def build_dice() -> BatchLoss:
    return sm.losses.DiceLoss()


@LOSSES.register("dice_bce")
def build_dice_bce() -> BatchLoss:
    return sm.losses.DiceLoss() + sm.losses.BinaryCELoss()


@LOSSES.register("jaccard")
def build_jaccard() -> BatchLoss:
    return sm.losses.JaccardLoss()


@LOSSES.register("focal")
def build_focal() -> BatchLoss:
    return sm.losses.BinaryFocalLoss()


@LOSSES.register("image_jaccard")
def build_image_jaccard() -> BatchLoss:
    """Mean of `image_jaccard_loss` over images, because the score is also a mean over images."""
    return lambda mask, probability: tf.reduce_mean(image_jaccard_loss(mask, probability))


@LOSSES.register("image_jaccard_bce")
def build_image_jaccard_bce() -> BatchLoss:
    """3/4 of the Jaccard metric loss and 1/4 binary cross-entropy, the mixture of Wang et al. (2023)."""

    def loss(mask: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
        entropy = tf.keras.losses.binary_crossentropy(tf.cast(mask, tf.float32), probability)
        return 0.75 * tf.reduce_mean(image_jaccard_loss(mask, probability)) + 0.25 * tf.reduce_mean(entropy)

    return loss


def image_jaccard_loss(mask: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """Jaccard metric loss of each image, [N]: 1 - (|x| + |y| - |x - y|) / (|x| + |y| + |x - y|), with L1 norms.

    For a binary mask this is 1 minus the soft Jaccard index. Unlike that index, it also has its minimum at the mask
    itself when the mask contains fractions. The loss is 0 if mask and prediction are both empty. Wang et al., "Jaccard
    Metric Losses: Optimizing the Jaccard Index with Soft Labels", NeurIPS 2023.
    """
    pixels = tuple(range(1, len(probability.shape)))
    mask = tf.cast(mask, tf.float32)
    total = tf.reduce_sum(mask, pixels) + tf.reduce_sum(probability, pixels)
    difference = tf.reduce_sum(tf.abs(mask - probability), pixels)
    return 1.0 - (total - difference + EPSILON) / (total + difference + EPSILON)


@keras.saving.register_keras_serializable("ham_keras")
class NamedLoss(keras.losses.Loss):
    """A loss from LOSSES as a Keras loss, for masks in {0, 1} and float32 probabilities, both [N, H, W, 1].

    `call` returns the loss of the whole batch N times. Keras averages a vector over the devices of a MirroredStrategy,
    but would count a scalar once per device.
    """

    def __init__(self, loss: str, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name or loss, **options)
        self.loss = loss
        self.batch_loss: BatchLoss = LOSSES.get(loss)()

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return tf.fill(tf.shape(y_true)[:1], self.batch_loss(y_true, y_pred))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": self.loss}
