"""What training minimises, by the name `train.loss` takes: functions of masks and probabilities.

All are segmentation_models' own, over the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from ham_keras.models.unet import segmentation_models as sm

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

LOSSES: dict[str, Callable[[], Loss]] = {
    "dice": lambda: sm.losses.DiceLoss(),
    "dice_bce": lambda: sm.losses.DiceLoss() + sm.losses.BinaryCELoss(),
    "jaccard": lambda: sm.losses.JaccardLoss(),
    "focal": lambda: sm.losses.BinaryFocalLoss(),
}


def build_loss(name: str) -> Loss:
    """The loss of this name: (mask [N, H, W, 1] in {0, 1}, probability [N, H, W, 1]) to float32 [N].

    The loss is of the whole batch and stands in each of the N places: of a vector Keras takes the mean and
    shares it among the devices of a MirroredStrategy, a scalar it would count once for each of them.
    """
    of_batch = LOSSES[name]()

    def loss(mask: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
        return tf.fill(tf.shape(mask)[:1], of_batch(mask, probability))

    return loss
