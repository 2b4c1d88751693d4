"""UpSampling2D that is one operation in prediction, also in exported networks."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("ham_keras")
class UpSampling2D(keras.layers.UpSampling2D):
    """Keras' UpSampling2D. In prediction, nearest neighbours are one resize instead of two repetitions.

    Keras repeats rows, then columns: a reshape, a tile and, in ONNX, transpositions. Values are the same. In training
    and in bfloat16 it does what Keras does: the resize has no gradient in XLA.

    Shapes: [N, H, W, C] to [N, H * size[0], W * size[1], C].
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        plain = self.interpolation == "nearest" and self.data_format == "channels_last"
        if training or not plain or inputs.dtype == tf.bfloat16:  # not every GPU build resizes bfloat16
            return super().call(inputs)
        height, width = (tf.shape(inputs)[axis] * self.size[axis - 1] for axis in (1, 2))
        return tf.raw_ops.ResizeNearestNeighbor(images=inputs, size=[height, width])
