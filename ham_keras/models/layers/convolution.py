"""Conv2D that computes the filter gradient of small bfloat16 activations with one matrix multiplication.

At the bottom of a U-Net, activations have few pixels and hundreds of channels. There, TensorFlow's operation for the
filter gradient takes several times as long on a CPU: benchmarks/step_profile.py. GPUs use their own operation.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from ham_keras.models.devices import on_cpus

MAX_PIXELS = 16  # of an activation; above this, TensorFlow's operation is faster


@keras.saving.register_keras_serializable("ham_keras")
class Conv2D(keras.layers.Conv2D):
    """Keras' Conv2D, with the same weights, names and results."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        plain = self.strides == self.dilation_rate == (1, 1) and self.groups == 1
        small = plain and self.compute_dtype == "bfloat16" and self._is_small(inputs.shape)
        if not (training and small and on_cpus()):
            return super().call(inputs)
        outputs = convolve(inputs, tf.cast(self.kernel, self.compute_dtype), self.padding.upper())
        if self.bias is not None:
            outputs = tf.nn.bias_add(outputs, tf.cast(self.bias, outputs.dtype))
        return self.activation(outputs)

    def _is_small(self, shape: tf.TensorShape) -> bool:
        _, height, width, _ = self.compute_output_shape(shape)
        return height is not None and width is not None and height * width <= MAX_PIXELS


def convolve(inputs: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    """Convolve [N, H, W, C] with a kernel [h, w, C, D] with stride 1; padding is "VALID" or "SAME"."""

    @tf.custom_gradient
    def convolution(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        def gradients(output_gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            height, width, channels, filters = kernel.shape
            patches = tf.image.extract_patches(inputs, [1, height, width, 1], [1] * 4, [1] * 4, padding)
            rows = tf.reshape(patches, [-1, height * width * channels])
            kernel_gradient = tf.matmul(rows, tf.reshape(output_gradient, [-1, filters]), transpose_a=True)
            input_gradient = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(inputs),
                filter=kernel,
                out_backprop=output_gradient,
                strides=[1] * 4,
                padding=padding,
            )
            return input_gradient, tf.reshape(kernel_gradient, kernel.shape)

        return tf.nn.conv2d(inputs, kernel, 1, padding), gradients

    return convolution(inputs, kernel)
