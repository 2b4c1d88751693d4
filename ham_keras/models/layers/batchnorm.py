"""BatchNormalization with TensorFlow's fused operation; it computes the same as the Keras layer.

Keras 3 runs some ten operations on whole activations, and casts half precision to float32 and back for them. With the
fused operation a bfloat16 step of the U-Net takes three quarters of the time: benchmarks/training_step.py. In ONNX it
is one BatchNormalization, which ONNX Runtime joins with its neighbours: benchmarks/inference.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

MIN_CHANNELS = 8  # with fewer, such as the three of an image, the fused operation is slower


@keras.saving.register_keras_serializable("ham_keras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer (Ioffe and Szegedy 2015) for activations [N, H, W, C], with the same weights and names.

    Statistics are float32 for activations of any dtype. Cases that the fused operation does not support (other shapes,
    masks, `renorm`, `synchronized`) also use the Keras implementation.

    Args:
        learn_offset: if False, `beta` is not trained.
    """

    def __init__(self, *arguments: Any, learn_offset: bool = True, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.learn_offset = learn_offset

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        if not self.learn_offset:
            self.freeze_offset()

    def freeze_offset(self) -> None:
        """Make `beta` non-trainable; saving and loading the layer keeps it so."""
        self.learn_offset = False
        self.beta.trainable = False

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "learn_offset": self.learn_offset}

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        learn = bool(training) and self.trainable
        channels_last = self.axis in (-1, 3) and len(inputs.shape) == 4
        unsupported = not channels_last or mask is not None or self.renorm or self.synchronized
        if unsupported or inputs.shape[-1] < MIN_CHANNELS:
            return super().call(inputs, training=training, mask=mask)
        channels = inputs.shape[-1:]
        unused = tf.zeros([0])
        normalized, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, self.compute_dtype),
            scale=tf.cast(self.gamma, tf.float32) if self.scale else tf.ones(channels),
            offset=tf.cast(self.beta, tf.float32) if self.center else tf.zeros(channels),
            mean=unused if learn else tf.cast(self.moving_mean, tf.float32),
            variance=unused if learn else tf.cast(self.moving_variance, tf.float32),
            epsilon=self.epsilon,
            is_training=learn,
        )
        if learn:
            pixels = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
            biased = variance * (pixels - 1) / pixels  # the operation returns the unbiased one
            for moving, batch_value in ((self.moving_mean, mean), (self.moving_variance, biased)):
                moving.assign(moving * self.momentum + batch_value * (1.0 - self.momentum))
        return normalized
