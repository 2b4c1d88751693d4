"""DepthwiseConv2D that computes bfloat16 in float32 on CPUs.

TensorFlow's gradients of this convolution take several times as long in bfloat16 as in float32 on a CPU:
benchmarks/training_step.py. A step of the U-Net with MobileNet takes 9 % longer with them.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from ham_keras.models.devices import on_cpus


@keras.saving.register_keras_serializable("ham_keras")
class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras' DepthwiseConv2D, with the same weights and names; with a bias it computes as Keras does."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if self.compute_dtype != "bfloat16" or self.use_bias or not on_cpus():
            return super().call(inputs)
        outputs = keras.ops.depthwise_conv(
            tf.cast(inputs, tf.float32),
            tf.cast(self.kernel, tf.float32),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self.activation(tf.cast(outputs, self.compute_dtype))
