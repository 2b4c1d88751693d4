"""The four signatures of an exported SavedModel, with the run's post-processing.

`serving_default`        uint8 images of equal, arbitrary size to probabilities of that size
`serve_bytes`            encoded files to probabilities at the network's size and PNG masks at each file's own size
`serve_bytes_threshold`  the same, with a threshold for each file
`serve_network`          float32 images at the network's size to probabilities at that size

The threshold needs a separate signature because TensorFlow Serving's REST API rejects requests that omit an input, even
one with a default.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ham_keras.data.images import decode_image, resize_probability
from ham_keras.prediction.mirrors import average_mirrors
from ham_keras.preprocessing.steps import Steps, build_steps
from ham_keras.serving.postprocessing import postprocess
from ham_keras.settings import Data, Outline

Network = Callable[[tf.Tensor], tf.Tensor]
Signature = Callable[..., dict[str, tf.Tensor]]


def build_signatures(model: keras.Model, settings: Data, outline: Outline) -> dict[str, Signature]:
    """Build the signatures, by name, around one frozen copy of the model's weights."""
    height_px, width_px = settings.image_size
    network, steps = freeze(model, height_px, width_px, tta=outline.tta), build_steps(settings)
    return {
        "serving_default": serve_images(network, steps),
        **serve_bytes(network, steps, height_px, width_px, outline),
        "serve_network": serve_network(network, height_px, width_px),
    }


def freeze(model: keras.Model, height_px: int, width_px: int, *, tta: bool) -> Network:
    """Turn the weights into constants, so that BatchNormalization is folded into the convolutions.

    Returns a function from float32 RGB [N, height_px, width_px, 3], 0..255, to probabilities, float32
    [N, height_px, width_px]; with `tta`, the mean over mirror images.
    """

    @tf.function(input_signature=[tf.TensorSpec([None, height_px, width_px, 3], tf.float32)])
    def traced(images: tf.Tensor) -> tf.Tensor:
        return average_mirrors(lambda each: model(each, training=False), images, tta=tta)[..., 0]

    frozen = convert_variables_to_constants_v2(traced.get_concrete_function())
    return lambda images: frozen(images)[0]


def serve_images(network: Network, steps: Steps) -> Signature:
    """Map `images`, uint8 RGB [N, H, W, 3] of any size, to `probability`, float32 [N, H, W]."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "images")])
    def signature(images: tf.Tensor) -> dict[str, tf.Tensor]:
        small = network(tf.cast(steps(images), tf.float32))
        shape = tf.shape(images)
        return {"probability": resize_probability(small[..., None], shape[1], shape[2])[..., 0]}

    return signature


def serve_bytes(
    network: Network, steps: Steps, height_px: int, width_px: int, outline: Outline
) -> dict[str, Signature]:
    """Build the two signatures that take `image_bytes`, JPEG or PNG strings [N].

    `serve_bytes_threshold` also takes `threshold`, float32 [N], which overrides the config's. Both return
    `probability`, float32 [N, height_px, width_px], and `mask_bytes`, strings [N]: PNG files of 0 and 255 at each
    image's size. A string that is not an image fails the whole request with INVALID_ARGUMENT.
    """

    def decode(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = decode_image(encoded)
        return steps(image), tf.shape(image)[:2]

    def encode_mask(item: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        probability, size, threshold = item
        native = resize_probability(probability[None, ..., None], size[0], size[1])[0, ..., 0]
        mask = postprocess(native, outline, threshold)
        return tf.io.encode_png(tf.where(mask, tf.constant(255, tf.uint8), tf.constant(0, tf.uint8))[..., None])

    def segment(image_bytes: tf.Tensor, threshold: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.TensorSpec([height_px, width_px, 3], tf.uint8)
        images, sizes = tf.map_fn(decode, image_bytes, fn_output_signature=(pixels, tf.TensorSpec([2], tf.int32)))
        probability = network(tf.cast(images, tf.float32))
        masks = tf.map_fn(encode_mask, (probability, sizes, threshold), fn_output_signature=tf.string)
        return {"probability": probability, "mask_bytes": masks}

    files = tf.TensorSpec([None], tf.string, "image_bytes")

    @tf.function(input_signature=[files])
    def with_default_threshold(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return segment(image_bytes, tf.fill(tf.shape(image_bytes), tf.constant(outline.threshold, tf.float32)))

    @tf.function(input_signature=[files, tf.TensorSpec([None], tf.float32, "threshold")])
    def with_given_threshold(image_bytes: tf.Tensor, threshold: tf.Tensor) -> dict[str, tf.Tensor]:
        return segment(image_bytes, threshold)

    return {"serve_bytes": with_default_threshold, "serve_bytes_threshold": with_given_threshold}


def serve_network(network: Network, height_px: int, width_px: int) -> Signature:
    """Map `images`, float32 RGB [N, height_px, width_px, 3] in 0..255, to `probability`, float32 of that size."""

    @tf.function(input_signature=[tf.TensorSpec([None, height_px, width_px, 3], tf.float32, "images")])
    def signature(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": network(images)}

    return signature
