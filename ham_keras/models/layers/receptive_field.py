"""Receptive-field block: one feature map seen through windows of four sizes."""

from __future__ import annotations

import keras
import tensorflow as tf

from ham_keras.models.layers.batchnorm import BatchNormalization
from ham_keras.models.layers.convolution import Conv2D

BRANCHES = (3, 5, 7)  # kernel lengths and dilations, beside the branch without a window


def conv_bn_relu(
    features: tf.Tensor,
    filters: int,
    size: int | tuple[int, int],
    name: str,
    *,
    dilation: int = 1,
    activation: bool = True,
) -> tf.Tensor:
    """Convolution without bias, BatchNormalization and ReLU: symbolic [N, h, w, C] to [N, h, w, filters]."""
    features = Conv2D(
        filters,
        size,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer="he_uniform",
        name=f"{name}_conv",
    )(features)
    features = BatchNormalization(name=f"{name}_bn")(features)
    return keras.layers.Activation("relu", name=f"{name}_relu")(features) if activation else features


def receptive_field_block(features: tf.Tensor, filters: int, name: str) -> tf.Tensor:
    """Reduce symbolic features [N, h, w, C] to [N, h, w, filters] with context (Liu et al., ECCV 2018).

    The block of Wu et al. (Cascaded Partial Decoder, CVPR 2019): a 1x1 convolution, and for k in 3, 5, 7 a 1x1, a 1xk,
    a kx1 and a 3x3 convolution with dilation k; their concatenation is reduced and added to a 1x1 shortcut.
    """
    branches = [conv_bn_relu(features, filters, 1, f"{name}_1")]
    for length in BRANCHES:
        branch = conv_bn_relu(features, filters, 1, f"{name}_{length}a")
        branch = conv_bn_relu(branch, filters, (1, length), f"{name}_{length}b")
        branch = conv_bn_relu(branch, filters, (length, 1), f"{name}_{length}c")
        branches.append(conv_bn_relu(branch, filters, 3, f"{name}_{length}d", dilation=length))
    together = keras.layers.Concatenate(name=f"{name}_concat")(branches)
    together = conv_bn_relu(together, filters, 3, f"{name}_reduce", activation=False)
    shortcut = conv_bn_relu(features, filters, 1, f"{name}_shortcut", activation=False)
    added = keras.layers.Add(name=f"{name}_add")([together, shortcut])
    return keras.layers.Activation("relu", name=f"{name}_relu")(added)
