"""What training minimises, by the name `train.loss` takes."""

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
    """The mean of `image_jaccard_loss` over images, as the score is a mean over images."""
    return lambda mask, probability: tf.reduce_mean(image_jaccard_loss(mask, probability))


@LOSSES.register("image_jaccard_bce")
def build_image_jaccard_bce() -> BatchLoss:
    """3/4 of the Jaccard metric loss and 1/4 binary cross-entropy, as Wang et al. (2023) mix them."""

    def loss(mask: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
        entropy = tf.keras.losses.binary_crossentropy(tf.cast(mask, tf.float32), probability)
        return 0.75 * tf.reduce_mean(image_jaccard_loss(mask, probability)) + 0.25 * tf.reduce_mean(entropy)

    return loss


def image_jaccard_loss(mask: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """The Jaccard metric loss of each image, [N]: 1 - (|x| + |y| - |x - y|) / (|x| + |y| + |x - y|), norms L1.

    Where the mask is 0 and 1 alone this is 1 minus the soft Jaccard index; unlike that, it is smallest at the mask
    itself where the mask holds fractions. An image without lesion and prediction costs 0. Wang et al., "Jaccard Metric
    Losses: Optimizing the Jaccard Index with Soft Labels", NeurIPS 2023.
    """
    pixels = tuple(range(1, len(probability.shape)))
    mask = tf.cast(mask, tf.float32)
    both = tf.reduce_sum(mask, pixels) + tf.reduce_sum(probability, pixels)
    apart = tf.reduce_sum(tf.abs(mask - probability), pixels)
    return 1.0 - (both - apart + EPSILON) / (both + apart + EPSILON)


@keras.saving.register_keras_serializable("ham_keras")
class NamedLoss(keras.losses.Loss):
    """The loss of a name in LOSSES, of masks in {0, 1} and float32 probabilities, both [N, H, W, 1].

    It is of the whole batch, and `call` returns it N times: of a vector Keras takes the mean and shares it among the
    devices of a MirroredStrategy, a scalar it would count once for each of them.
    """

    def __init__(self, loss: str, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name or loss, **options)
        self.loss = loss
        self.of_batch: BatchLoss = LOSSES.get(loss)()

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return tf.fill(tf.shape(y_true)[:1], self.of_batch(y_true, y_pred))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": self.loss}
