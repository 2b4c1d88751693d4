"""The encoders that work, by the name `model.backbone` takes, and what input each was made for.

TensorFlow is not imported here.
"""

from __future__ import annotations

# Mean and standard deviation that an encoder expects to be taken off RGB in 0..255, and whether it wants
# BGR. Those of the first group normalise by themselves. From segmentation_models' get_preprocessing.
NONE = None
TORCH = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), False)
CAFFE = ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), True)
UNIT = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5), False)

# Each builds, runs on any multiple of 32 and reloads its weights with every architecture under Keras 3;
# tests/models/test_unet.py makes this list. DenseNets do not build: their layer names contain "/". Of senet154 and
# seresnext101 each network takes minutes to build, layer by layer in hundreds of groups, so they stay out.
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
