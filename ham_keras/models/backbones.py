"""Supported encoders by their `model.backbone` name, with the input preprocessing of each.

This module does not import TensorFlow.
"""

from __future__ import annotations

# Mean and standard deviation that normalise RGB in 0..255 for an encoder, and whether it expects BGR. Encoders with
# NONE normalise their input themselves. Values from segmentation_models' get_preprocessing.
NONE = None
TORCH = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), False)
CAFFE = ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), True)
UNIT = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5), False)

# With every architecture under Keras 3, these build, run at any multiple of 32 and reload their weights;
# tests/models/test_build.py checks the list. DenseNets do not build: their layer names contain "/". senet154 and
# seresnext101 are excluded because they take minutes to build, with hundreds of groups per layer.
PREPROCESSING = {
    "resnet18": NONE,
    "resnet34": NONE,
    "resnet50": NONE,
    "resnet101": NONE,
    "resnet152": NONE,
    "resnext50": NONE,
    "resnext101": NONE,
    "seresnet18": NONE,
    "seresnet34": NONE,
    "seresnet50": TORCH,
    "seresnet101": TORCH,
    "seresnet152": TORCH,
    "seresnext50": TORCH,
    "vgg16": CAFFE,
    "vgg19": CAFFE,
    "inceptionv3": UNIT,
    "inceptionresnetv2": UNIT,
    "mobilenet": UNIT,
    "mobilenetv2": UNIT,
    **{f"efficientnetb{i}": TORCH for i in range(8)},
}
SUPPORTED_BACKBONES = tuple(PREPROCESSING)
