"""Training losses by their `train.loss` name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ham_keras.models.qubvel import segmentation_models as sm
from ham_keras.models.registry import LOSSES

EPSILON = 1e-5  # of a pixel
WINDOW_RADIUS = 15 / 352  # of the boundary weights, as a fraction of the side
BatchLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@LOSSES.register("dice")
def build_dice() -> BatchLoss:
    return sm.losses.DiceLoss()


@LOSSES.register("dice_bce")
def build_dice_bce() -> BatchLoss:
    return sm.losses.DiceLoss() + sm.losses.BinaryCELoss()


@LOSSES.register("bce")
def build_bce() -> BatchLoss:
    return sm.losses.BinaryCELoss()


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


@LOSSES.register("boundary_jaccard_bce")
def build_boundary_jaccard_bce() -> BatchLoss:
    """Binary cross-entropy plus Jaccard loss, both weighted by `boundary_weights`; a mean over images.

    The structure loss of F3Net (Wei, Wang and Huang, AAAI 2020) and PraNet (Fan et al., MICCAI 2020), without the fault
    of PraNet's code that cancels the weights of the cross-entropy, with the norms of `image_jaccard_loss`, so that soft
    masks have their minimum at the mask, and with `EPSILON` instead of 1 pixel.
    """

    def loss(mask: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
        mask = tf.cast(mask, tf.float32)
        weights = boundary_weights(mask)
        pixels = (1, 2, 3)
        entropy = tf.keras.losses.binary_crossentropy(mask, probability)[..., None]
        weighted_entropy = tf.reduce_sum(weights * entropy, pixels) / tf.reduce_sum(weights, pixels)
        return tf.reduce_mean(weighted_entropy + image_jaccard_loss(mask, probability, weights))

    return loss


def boundary_weights(mask: tf.Tensor) -> tf.Tensor:
    """Weights of pixels, 1 to 6, by how near the outline they are: 1 + 5 |local mean of the mask - mask|.

    Args:
        mask: float32 [N, H, W, 1]. The local mean is over a window of 31 pixels for a side of 352, at least 3. Pixels
            outside the image do not count.
    """
    rows, columns = (_mean_over_window(tf.shape(mask)[axis]) for axis in (1, 2))
    local = tf.matmul(tf.matmul(rows, mask[..., 0]), columns, transpose_b=True)[..., None]
    return 1.0 + 5.0 * tf.abs(local - mask)


def _mean_over_window(length: tf.Tensor) -> tf.Tensor:
    """Matrix [length, length] that replaces each value by its window's mean. (avg_pool2d takes nine times as long.)"""
    place = tf.range(length)
    radius = tf.maximum(1, tf.cast(tf.round(tf.cast(length, tf.float32) * WINDOW_RADIUS), tf.int32))
    inside = tf.cast(tf.abs(place[:, None] - place) <= radius, tf.float32)
    return inside / tf.reduce_sum(inside, axis=1, keepdims=True)


def image_jaccard_loss(mask: tf.Tensor, probability: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Jaccard metric loss of each image, [N]: 1 - (|x| + |y| - |x - y|) / (|x| + |y| + |x - y|), with L1 norms.

    For a binary mask this is 1 minus the soft Jaccard index. Unlike that index, it also has its minimum at the mask
    itself when the mask contains fractions. The loss is 0 if mask and prediction are both empty. Wang et al., "Jaccard
    Metric Losses: Optimizing the Jaccard Index with Soft Labels", NeurIPS 2023. `weights` are those of pixels in the
    norms, of the mask's shape.
    """
    pixels = tuple(range(1, len(probability.shape)))
    mask = tf.cast(mask, tf.float32)

    def norm(values: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(values if weights is None else weights * values, pixels)

    total, difference = norm(mask) + norm(probability), norm(tf.abs(mask - probability))
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
