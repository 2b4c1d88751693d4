"""MFSNet (Basak, Kundu and Sarkar, Pattern Recognition 128:108673, 2022), after the paper's idea.

The head is that of Inf-Net (Fan et al., IEEE TMI 39:2626, 2020), which MFSNet's published test code repeats. It differs
from that code as docs/explanation/mfsnet.md lists.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import tensorflow as tf

from ham_keras.models.layers.attention import ReverseAttention
from ham_keras.models.layers.convolution import Conv2D
from ham_keras.models.layers.receptive_field import conv_bn_relu, receptive_field_block
from ham_keras.models.network import Network, SideOutput, mask_edges
from ham_keras.models.qubvel import build_feature_encoder
from ham_keras.models.registry import ARCHITECTURES
from ham_keras.settings import Model

FILTERS = 32  # of the receptive-field blocks
EDGE_FILTERS = 64
# The stages of reverse attention: downsampling factor, filters, kernel size and number of convolutions.
STAGES = ((32, 256, 5, 3), (16, 64, 3, 2), (8, 64, 3, 2))
COARSEST = 8  # downsampling factor of the global map


@ARCHITECTURES.register("mfsnet")
def build_mfsnet(settings: Model) -> Network:
    """Build MFSNet; deep supervision adds the global map, the maps of the two deeper stages and the edge.

    All maps are supervised at the image's size with `train.loss`, the edge with binary cross-entropy against the mask's
    own edge, each with weight 1 as in Inf-Net. The lesion is the map of the last stage.
    """
    image, features = build_feature_encoder(settings)
    deep = {factor: receptive_field_block(features[factor], FILTERS, f"rfb_{factor}x") for factor in (8, 16, 32)}
    map_logits = partial_decoder(deep[32], deep[16], deep[8])
    maps = {"global": enlarge(map_logits, COARSEST, "global")}
    edges = edge_features(features[4]) if settings.boundary_attention else None
    size = COARSEST
    for factor, filters, kernel, count in STAGES:
        name = f"reverse_{factor}x"
        coarser = resize(map_logits, size, factor, f"{name}_coarser")
        stage = features[factor]
        if settings.reverse_attention:
            stage = ReverseAttention(name=f"{name}_attention")([stage, coarser])
        stage = conv_bn_relu(stage, filters, 1, f"{name}_in")
        if edges is not None:
            near = shrink(edges, factor // 4, f"{name}_edges")
            stage = keras.layers.Concatenate(name=f"{name}_concat")([stage, near])
        for number in range(count):
            stage = conv_bn_relu(stage, filters, kernel, f"{name}_{'abc'[number]}")
        map_logits = add([logits(stage, f"{name}_logits"), coarser], f"{name}_add")
        size = factor
        maps[f"deep_{factor}"] = enlarge(map_logits, factor, f"deep_{factor}")
    lesion = maps.pop(f"deep_{size}")
    if not settings.deep_supervision:
        return Network(image, lesion)
    sides = [SideOutput(name, side, 1.0, tf.identity) for name, side in maps.items()]
    if edges is not None:
        edge = enlarge(logits(edges, "edge_logits", kernel=3), 4, "edge")
        sides.append(SideOutput("edge", edge, 1.0, mask_edges, loss="bce"))
    return Network(image, lesion, tuple(sides))


def partial_decoder(deep: tf.Tensor, middle: tf.Tensor, shallow: tf.Tensor) -> tf.Tensor:
    """Parallel partial decoder: blocks at 1/32, 1/16 and 1/8 of the size, [N, h, w, FILTERS], to logits at 1/8."""
    up = partial(enlarge, factor=2)
    multiply = keras.layers.Multiply
    join = keras.layers.Concatenate
    deep_2 = up(deep, name="ppd_deep_2")
    deep_4 = up(deep_2, name="ppd_deep_4")
    both = multiply(name="ppd_middle")([conv_bn_relu(deep_2, FILTERS, 3, "ppd_a"), middle])
    all_three = multiply(name="ppd_shallow")(
        [
            conv_bn_relu(deep_4, FILTERS, 3, "ppd_b"),
            conv_bn_relu(up(middle, name="ppd_middle_2"), FILTERS, 3, "ppd_c"),
            shallow,
        ]
    )
    both = join(name="ppd_concat_middle")([both, conv_bn_relu(deep_2, FILTERS, 3, "ppd_d")])
    both = conv_bn_relu(both, 2 * FILTERS, 3, "ppd_e")
    both = conv_bn_relu(up(both, name="ppd_both_2"), 2 * FILTERS, 3, "ppd_f")
    every = conv_bn_relu(join(name="ppd_concat_shallow")([all_three, both]), 3 * FILTERS, 3, "ppd_g")
    return logits(conv_bn_relu(every, 3 * FILTERS, 3, "ppd_h"), "ppd_logits")


def edge_features(early: tf.Tensor) -> tf.Tensor:
    """Boundary attention: features at 1/4 of the size, from which the edge output is drawn, [N, h, w, EDGE_FILTERS]."""
    features = conv_bn_relu(early, EDGE_FILTERS, 1, "edge_a")
    for name in ("edge_b", "edge_c"):
        features = conv_bn_relu(features, EDGE_FILTERS, 3, name)
    return features


# Maps are enlarged and added in float32: in half precision, steps of the logits would be visible in the mask.
def logits(features: tf.Tensor, name: str, kernel: int = 1) -> tf.Tensor:
    return Conv2D(1, kernel, padding="same", name=name)(features)


def add(maps: list[tf.Tensor], name: str) -> tf.Tensor:
    return keras.layers.Add(dtype="float32", name=name)(maps)


def enlarge(features: tf.Tensor, factor: int, name: str) -> tf.Tensor:
    """Bilinear, float32 for maps of one channel."""
    options: dict[str, Any] = {"dtype": "float32"} if features.shape[-1] == 1 else {}
    return keras.layers.UpSampling2D(factor, interpolation="bilinear", name=f"{name}_up", **options)(features)


def shrink(features: tf.Tensor, factor: int, name: str) -> tf.Tensor:
    """The mean over blocks."""
    return keras.layers.AveragePooling2D(factor, name=f"{name}_pool")(features)


def resize(map_logits: tf.Tensor, from_factor: int, to_factor: int, name: str) -> tf.Tensor:
    """Resize a map from one downsampling factor to another."""
    if from_factor < to_factor:
        return shrink(map_logits, to_factor // from_factor, name)
    return enlarge(map_logits, from_factor // to_factor, name)
