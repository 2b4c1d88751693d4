"""Import this module so that `keras.saving.load_model` knows the Keras classes of this package.

import ham_keras.training.saving
model = keras.saving.load_model("best.keras")
"""

from __future__ import annotations

from ham_keras.models.layers.attention import ReverseAttention
from ham_keras.models.layers.batchnorm import BatchNormalization
from ham_keras.models.layers.convolution import Conv2D
from ham_keras.models.layers.depthwise import DepthwiseConv2D
from ham_keras.models.layers.upsampling import UpSampling2D
from ham_keras.models.network import SupervisedModel
from ham_keras.training.losses import NamedLoss
from ham_keras.training.metrics import MeanJaccard, iou_score
from ham_keras.training.optimizer import Adam, AdamW

__all__ = [
    "Adam", "AdamW", "BatchNormalization", "Conv2D", "DepthwiseConv2D", "MeanJaccard", "NamedLoss", "ReverseAttention",
    "SupervisedModel", "UpSampling2D", "iou_score",
]  # fmt: skip
