"""Attention to what a coarser map has not found."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("ham_keras")
class ReverseAttention(keras.layers.Layer):
    """Weight features by the probability that a pixel is not lesion (Chen et al., ECCV 2018).

    Takes features [N, h, w, C] and a coarser map's logits [N, h, w, 1]; returns (1 - sigmoid(logits)) * features.
    """

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        features, logits = inputs
        return features * keras.ops.sigmoid(-logits)

    def compute_output_shape(self, input_shape: Sequence[tf.TensorShape]) -> tf.TensorShape:
        return input_shape[0]
