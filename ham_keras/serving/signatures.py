"""What an exported network answers: the three signatures of a SavedModel.

`serving_default`  uint8 images of any one size to probabilities of that size
`serve_bytes`      encoded files to probabilities of the network's size and masks, PNG-encoded, of each file's own
`serve_network`    float32 images of the network's size to probabilities of it
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ham_keras.data.images import decode_image, resize_probability
from ham_keras.preprocessing.resize import resize_image

Network = Callable[[tf.Tensor], tf.Tensor]
Signature = Callable[..., dict[str, tf.Tensor]]


def build_signatures(model: keras.Model, height_px: int, width_px: int, threshold: float) -> dict[str, Signature]:
    """The signatures by name, around one frozen copy of the model's weights."""
    network = freeze(model, height_px, width_px)
    return {
        "serving_default": serve_images(network, height_px, width_px),
        "serve_bytes": serve_bytes(network, height_px, width_px, threshold),
        "serve_network": serve_network(network, height_px, width_px),
    }


def freeze(model: keras.Model, height_px: int, width_px: int) -> Network:
    """The model with its weights as constants, so that BatchNormalization is folded into the convolutions.

    Takes float32 RGB [N, height_px, width_px, 3] in 0..255 to float32 probability [N, height_px, width_px].
    """
    spec = tf.TensorSpec([None, height_px, width_px, 3], tf.float32)
    traced = tf.function(lambda images: model(images, training=False)[..., 0], input_signature=[spec])
    frozen = convert_variables_to_constants_v2(traced.get_concrete_function())
    return lambda images: frozen(images)[0]


def serve_images(network: Network, height_px: int, width_px: int) -> Signature:
    """Takes `images`, uint8 RGB [N, H, W, 3] of any size, to `probability`, float32 [N, H, W]."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "images")])
    def signature(images: tf.Tensor) -> dict[str, tf.Tensor]:
        small = network(tf.cast(resize_image(images, height_px, width_px), tf.float32))
        shape = tf.shape(images)
        return {"probability": resize_probability(small[..., None], shape[1], shape[2])[..., 0]}

    return signature


def serve_bytes(network: Network, height_px: int, width_px: int, threshold: float) -> Signature:
    """Takes `image_bytes`, JPEG or PNG strings [N], to two tensors.

    `probability`, float32 [N, height_px, width_px]; `mask_bytes`, strings [N]: a PNG of 0 and 255 at the size of
    each image. One string that is no image fails the request, with INVALID_ARGUMENT.
    """

    def read(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = decode_image(encoded)
        return resize_image(image, height_px, width_px), tf.shape(image)[:2]

    def draw(item: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        probability, size = item
        native = resize_probability(probability[None, ..., None], size[0], size[1])[0]
        return tf.io.encode_png(255 * tf.cast(native > threshold, tf.uint8))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def signature(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.TensorSpec([height_px, width_px, 3], tf.uint8)
        images, sizes = tf.map_fn(read, image_bytes, fn_output_signature=(pixels, tf.TensorSpec([2], tf.int32)))
        probability = network(tf.cast(images, tf.float32))
        masks = tf.map_fn(draw, (probability, sizes), fn_output_signature=tf.string)
        return {"probability": probability, "mask_bytes": masks}

    return signature


def serve_network(network: Network, height_px: int, width_px: int) -> Signature:
    """Takes `images`, float32 RGB [N, height_px, width_px, 3] in 0..255, to `probability`, float32 of that size."""

    @tf.function(input_signature=[tf.TensorSpec([None, height_px, width_px, 3], tf.float32, "images")])
    def signature(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": network(images)}

    return signature
