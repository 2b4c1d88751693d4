"""What training minimises, by the name `train.loss` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ham_keras.models.qubvel import segmentation_models as sm
from ham_keras.models.registry import LOSSES

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
