"""From a network's answer to numbers that say how far to trust it, in TensorFlow operations.

`predict` and the exported graph both run this code.
"""

from __future__ import annotations

import math

import tensorflow as tf

from ham_keras.scores.scores import THRESHOLD
from ham_keras.trust.feature_names import FEATURES
from ham_keras.trust.features import measure
from ham_keras.trust.file import InputCheck, Trust

SMALLEST_DEVIATION = 0.01  # of a Jaccard index
SMALLEST_DISTANCE, SMALLEST_DIAMETER = 0.01, 0.02  # relative to the lesion's diameter; to the image
WHOLE_IMAGE = 2.0  # a margin that covers every image, relative to the root of its area
CUT_FRAME = 0.1  # share of the outermost pixels that are lesion


class Assessor:
    """Assess the answers of a network with its trust.json."""

    def __init__(self, trust: Trust) -> None:
        self.trust = trust

    def __call__(self, images: tf.Tensor, probability: tf.Tensor, encoding: tf.Tensor) -> dict[str, tf.Tensor]:
        """Assess a batch.

        Args:
            images: RGB [N, h, w, 3], 0..255, at the network's size.
            probability: float32 [N, h, w, 1].
            encoding: float32 [N, C], see `models.encoder.with_encoding`.

        Returns:
            Tensors [N]:
            expected_jaccard, jaccard_at_least: float32, 0..1.
            margin: float32, relative to the root of the image's area in pixels.
            input_distance: float32, above 1 if the image is unlike the training images.
            cut, blurred: bool.
            review: bool, whether the expected Jaccard is below 0.65 or the input distance is above 1.
        """
        features = measure(images, probability, self.trust.threshold)
        values = dict(zip(FEATURES, tf.unstack(features, axis=-1), strict=True))
        clipped = tf.clip_by_value(features, self.trust.lowest, self.trust.highest)
        mean, squared, distance = tf.unstack(self.trust.trees.predict(clipped), axis=-1)
        empty = values["lesion_fraction"] <= 0
        expected = tf.where(empty, 0.0, mean)
        lower_end = expected - self.trust.jaccard_factor * deviation(mean, squared)
        margin = self.trust.margin_factor * distance_scale(distance, values["soft_fraction"])
        unlike = measure_distance(encoding, self.trust.input_check) / self.trust.input_check.limit
        return {
            "expected_jaccard": expected,
            "jaccard_at_least": tf.clip_by_value(lower_end, 0.0, 1.0),
            "margin": tf.where(empty, WHOLE_IMAGE, tf.minimum(margin, WHOLE_IMAGE)),
            "input_distance": unlike,
            "cut": values["frame"] >= CUT_FRAME,
            "blurred": values["focus"] < self.trust.blurred_below,
            "review": (expected < THRESHOLD) | (unlike > 1.0),
        }


def deviation(mean: tf.Tensor, squared: tf.Tensor) -> tf.Tensor:
    """The predicted standard deviation of the Jaccard index, from the predictions of it and of its square."""
    return tf.maximum(tf.sqrt(tf.maximum(squared - mean**2, 0.0)), SMALLEST_DEVIATION)


def distance_scale(distance: tf.Tensor, soft_fraction: tf.Tensor) -> tf.Tensor:
    """The predicted distance of the true outline from ours, relative to the root of the image's area.

    Args:
        distance: predicted, relative to the diameter of a disc of the lesion's area.
        soft_fraction: the lesion's share of the image.
    """
    diameter = tf.maximum(tf.sqrt(4 / math.pi * soft_fraction), SMALLEST_DIAMETER)
    return tf.maximum(distance, SMALLEST_DISTANCE) * diameter


def measure_distance(encoding: tf.Tensor, check: InputCheck) -> tf.Tensor:
    """Distance of encodings, float32 [N, C], to those of the training images: [N], about 1.4 for training images.

    The squared distance is the Mahalanobis distance (Lee et al., NeurIPS 2018) along the main axes, divided by their
    number, plus the squared length outside them, divided by its mean.
    """
    centred = (encoding - tf.constant(check.mean, tf.float32)) / tf.constant(check.scale, tf.float32)
    along = tf.matmul(centred, tf.constant(check.axes, tf.float32), transpose_b=True)
    whitened = tf.matmul(along, tf.constant(check.whitening, tf.float32))
    outside = tf.reduce_sum(centred**2, -1) - tf.reduce_sum(along**2, -1)
    inside = tf.reduce_sum(whitened**2, -1) / len(check.axes)
    return tf.sqrt(inside + tf.maximum(outside, 0.0) / check.residual)
