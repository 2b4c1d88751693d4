"""BatchNormalization in TensorFlow's fused operation; what it computes is what Keras' layer computes.

Keras 3 writes it out as some ten operations on whole activations, and half precision is turned into float32 and back
for them. Fused, a step of the U-Net takes three quarters of the time in bfloat16: benchmarks/training_step.py.
Inference in float32 is Keras' own: a multiplication and an addition, which in a frozen graph become part of the
convolution before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

FEWEST_CHANNELS = 8  # with fewer, such as an image's three, the fused operation is the slower one


@keras.saving.register_keras_serializable("ham_keras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer (Ioffe and Szegedy 2015) for activations [N, H, W, C], with the same weights under the same names.

    Statistics are float32 whatever the activations are. What the fused operation does not do (other shapes, masks,
    `renorm`, `synchronized`) is left to Keras too.

    Args:
        learn_offset: False keeps `beta` as it is.
    """

    def __init__(self, *arguments: Any, learn_offset: bool = True, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.learn_offset = learn_offset

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        if not self.learn_offset:
            self.hold_offset()

    def hold_offset(self) -> None:
        """Keep `beta` as it is from now on, after saving and loading too."""
        self.learn_offset = False
        self.beta.trainable = False

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "learn_offset": self.learn_offset}

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        learn = bool(training) and self.trainable
        last = self.axis in (-1, 3) and len(inputs.shape) == 4
        special = not last or mask is not None or self.renorm or self.synchronized
        if special or inputs.shape[-1] < FEWEST_CHANNELS or (self.compute_dtype == "float32" and not learn):
            return super().call(inputs, training=training, mask=mask)
        channels = inputs.shape[-1:]
        known = tf.zeros([0])
        normalized, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, self.compute_dtype),
            scale=tf.cast(self.gamma, tf.float32) if self.scale else tf.ones(channels),
            offset=tf.cast(self.beta, tf.float32) if self.center else tf.zeros(channels),
            mean=known if learn else tf.cast(self.moving_mean, tf.float32),
            variance=known if learn else tf.cast(self.moving_variance, tf.float32),
            epsilon=self.epsilon,
            is_training=learn,
        )
        if learn:
            pixels = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
            biased = variance * (pixels - 1) / pixels  # the operation gives the unbiased one, Keras keeps the other
            for moving, of_batch in ((self.moving_mean, mean), (self.moving_variance, biased)):
                moving.assign(moving * self.momentum + of_batch * (1.0 - self.momentum))
        return normalized
