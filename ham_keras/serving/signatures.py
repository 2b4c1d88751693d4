"""The signatures of an exported SavedModel, with the run's post-processing.

`serving_default`        uint8 images of equal, arbitrary size to probabilities of that size
`serve_bytes`            encoded files to probabilities at the network's size and PNG masks at each file's own size
`serve_bytes_threshold`  the same, with a threshold for each file
`serve_network`          float32 images at the network's size to probabilities at that size

The probabilities of several runs are averaged. If their preprocessing differs, for example in size, there is no
`serve_network`, because no image fits all networks; the network's size is then the largest.

The threshold needs a separate signature because TensorFlow Serving's REST API rejects requests that omit an input, even
one with a default.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ham_keras.data.images import decode_image
from ham_keras.models.encoder import with_encoding
from ham_keras.prediction.branches import Branch, Member, add_shares, build_branches, common_size
from ham_keras.serving.postprocessing import postprocess
from ham_keras.settings import Outline
from ham_keras.trust.assess import Assessor

Network = Callable[[tf.Tensor], list[tf.Tensor]]  # a frozen `Branch.share_and_encoding`; without encoder, the share
ASSESSED = ("expected_jaccard", "jaccard_at_least", "input_distance", "review")
Signature = Callable[..., dict[str, tf.Tensor]]


def build_signatures(
    members: Sequence[Member], outline: Outline, assess: Assessor | None = None
) -> dict[str, Signature]:
    """Build the signatures, by name, around one frozen copy of the weights of each network.

    With `assess`, those that take files also return how far each mask can be trusted, see `serve_bytes`.
    """
    branches = build_branches(members, None if assess is None else with_encoding(members[0][0]))
    networks = [freeze(branch, tta=outline.tta) for branch in branches]
    signatures = {
        "serving_default": serve_images(branches, networks),
        **serve_bytes(branches, networks, outline, assess),
    }
    if len(branches) == 1:
        signatures["serve_network"] = serve_network(branches[0], networks[0])
    return signatures


def freeze(branch: Branch, *, tta: bool, batch: int | None = None) -> Network:
    """Turn the weights into constants, so that BatchNormalization is folded into the convolutions.

    With `batch`, the function takes this number of images N only.

    Returns a function from float32 RGB [N, h, w, 3], 0..255, at the branch's size to its share of the probabilities,
    float32 [N, h, w, 1], with `tta` the mean over mirror images; and to the encodings, if it has an encoder.
    """

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([batch, *branch.size, 3], tf.float32)])
    def traced(images: tf.Tensor) -> list[tf.Tensor]:
        return [output for output in branch.share_and_encoding(images, tta=tta) if output is not None]

    return convert_variables_to_constants_v2(traced.get_concrete_function())


def serve_images(branches: Sequence[Branch], networks: Sequence[Network]) -> Signature:
    """Map `images`, uint8 RGB [N, H, W, 3] of any size, to `probability`, float32 [N, H, W]."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "images")])
    def signature(images: tf.Tensor) -> dict[str, tf.Tensor]:
        small = [branch.steps(images) for branch in branches]
        shape = tf.shape(images)
        shares, _ = _run(networks, small)
        return {"probability": add_shares(shares, shape[1], shape[2])[..., 0]}

    return signature


def _run(networks: Sequence[Network], small: Sequence[tf.Tensor]) -> tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]:
    """Run each network on its images, uint8 [N, h, w, 3]; returns the shares, and the first one's further outputs."""
    outputs = [network(tf.cast(images, tf.float32)) for network, images in zip(networks, small, strict=True)]
    return tuple(each[0] for each in outputs), outputs[0][1:]


def serve_bytes(
    branches: Sequence[Branch], networks: Sequence[Network], outline: Outline, assess: Assessor | None = None
) -> dict[str, Signature]:
    """Build the two signatures that take `image_bytes`, JPEG or PNG strings [N].

    `serve_bytes_threshold` also takes `threshold`, float32 [N], which overrides the config's. Both return
    `probability`, float32 [N, h, w] at the network's size, and `mask_bytes`, strings [N]: PNG files of 0 and 255 at
    each image's size. A string that is not an image fails the whole request with INVALID_ARGUMENT.

    With `assess`, they also return `expected_jaccard`, `jaccard_at_least`, `margin_px`, in pixels of each image, and
    `input_distance`, float32 [N], and `review`, bool [N]; see `trust.assess.Assessor`.
    """

    def decode(encoded: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
        image = decode_image(encoded)
        return tuple(branch.steps(image) for branch in branches), tf.shape(image)[:2]

    def encode_mask(item: tuple[tuple[tf.Tensor, ...], tf.Tensor, tf.Tensor]) -> tf.Tensor:
        shares, size, threshold = item
        native = add_shares([share[None] for share in shares], size[0], size[1])[0, ..., 0]
        mask = postprocess(native, outline, threshold)
        return tf.io.encode_png(tf.where(mask, tf.constant(255, tf.uint8), tf.constant(0, tf.uint8))[..., None])

    def segment(image_bytes: tf.Tensor, threshold: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tuple(tf.TensorSpec([*branch.size, 3], tf.uint8) for branch in branches)
        images, sizes = tf.map_fn(decode, image_bytes, fn_output_signature=(pixels, tf.TensorSpec([2], tf.int32)))
        shares, encodings = _run(networks, images)
        masks = tf.map_fn(encode_mask, (shares, sizes, threshold), fn_output_signature=tf.string)
        outputs = {"probability": add_shares(shares, *common_size(branches))[..., 0], "mask_bytes": masks}
        if assess is not None:
            assessed = assess(images[0], add_shares(shares, *branches[0].size), encodings[0])
            area_px = tf.reduce_prod(tf.cast(sizes, tf.float32), axis=1)
            outputs["margin_px"] = assessed["margin"] * tf.sqrt(area_px)
            outputs |= {name: assessed[name] for name in ASSESSED}
        return outputs

    files = tf.TensorSpec([None], tf.string, "image_bytes")

    @tf.function(autograph=False, input_signature=[files])
    def with_default_threshold(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return segment(image_bytes, tf.fill(tf.shape(image_bytes), tf.constant(outline.threshold, tf.float32)))

    @tf.function(autograph=False, input_signature=[files, tf.TensorSpec([None], tf.float32, "threshold")])
    def with_given_threshold(image_bytes: tf.Tensor, threshold: tf.Tensor) -> dict[str, tf.Tensor]:
        return segment(image_bytes, threshold)

    return {"serve_bytes": with_default_threshold, "serve_bytes_threshold": with_given_threshold}


def serve_network(branch: Branch, network: Network) -> Signature:
    """Map `images`, float32 RGB [N, h, w, 3] in 0..255 at the network's size, to `probability`, float32 [N, h, w]."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, *branch.size, 3], tf.float32, "images")])
    def signature(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": network(images)[0][..., 0]}

    return signature


def save_signatures(signatures: Mapping[str, Any], folder: Path) -> None:
    """Write functions with constants for weights as a SavedModel.

    Raises:
        OSError: the disk is full, for which TensorFlow has errors of its own.
    """
    try:
        tf.saved_model.save(tf.Module(), str(folder), signatures=signatures)
    except (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:  # a full disk, a file size limit
        number = errno.ENOSPC if isinstance(error, tf.errors.ResourceExhaustedError) else errno.EFBIG
        raise OSError(number, os.strerror(number)) from None
