"""Numbers about a network's answer to an image, from its probability map, the image and the encoder.

They need no second network and no mask. All are TensorFlow operations on batches, so that they are exported with the
network.
"""

from __future__ import annotations

import math

import tensorflow as tf

BAND_FRACTION = 1 / 32  # of the image's height, on both sides of the outline
SMALLEST = 1e-6


def measure(images: tf.Tensor, probability: tf.Tensor, threshold: float) -> tf.Tensor:
    """Return `FEATURES` of images, RGB [N, h, w, 3], 0..255, with probabilities [N, h, w, 1]: float32 [N, F]."""
    return tf.stack(measure_map(probability, threshold) + measure_image(images, probability, threshold), axis=-1)


def measure_map(probability: tf.Tensor, threshold: float) -> list[tf.Tensor]:
    """Return `MAP_FEATURES` of probabilities, float32 [N, h, w, 1]: a list of float32 [N].

    An empty mask, with no probability above `threshold`, has finite values.
    """
    mask = _at(probability, threshold)
    area, soft_area = _sum(mask), _sum(probability)
    inside = _sum(probability * mask)
    outside = soft_area - inside
    pixels = tf.cast(tf.size(probability[0]), tf.float32)
    size = area + 1.0
    entropy = -(_x_log_x(probability) + _x_log_x(1 - probability)) / math.log(2)
    band = _band(mask)
    unsure = _sum(_at(probability, 0.25) - _at(probability, 0.75))
    frame = _frame(mask)
    gradient = tf.norm(tf.concat(tf.image.image_gradients(probability), axis=-1) + SMALLEST, axis=-1, keepdims=True)
    return [
        inside / (area + outside + SMALLEST),
        *(_agreement(probability, low) for low in (0.1, 0.3, 0.4)),
        area / pixels,
        soft_area / pixels,
        _sum(entropy * band) / (_sum(band) + 1.0),
        unsure / size,
        (area - inside) / size,
        outside / size,
        frame,
        4 * math.pi * soft_area / (_sum(gradient) ** 2 + 1.0),
        _spread(mask, area),
        tf.reduce_max(probability, [1, 2, 3]),
    ]


def measure_image(images: tf.Tensor, probability: tf.Tensor, threshold: float) -> list[tf.Tensor]:
    """Return `IMAGE_FEATURES` of RGB [N, h, w, 3], 0..255, and its probabilities: a list of float32 [N].

    The focus is the mean change of brightness's slope (Laplacian) relative to the deviation of brightness: low where
    nothing in the image is sharp.
    """
    images = tf.cast(images, tf.float32) / 255.0
    mask = _at(probability, threshold)
    inner = tf.reduce_sum(images * mask, [1, 2]) / (_sum(mask)[:, None] + 1.0)
    outer = tf.reduce_sum(images * (1 - mask), [1, 2]) / (_sum(1 - mask)[:, None] + 1.0)
    grey = tf.reduce_mean(images, -1, keepdims=True)
    deviation = tf.sqrt(tf.math.reduce_variance(grey, [1, 2, 3]) + SMALLEST)
    neighbours = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    slope_change = tf.abs(neighbours - 4 * grey[:, 1:-1, 1:-1])
    return [
        tf.norm(inner - outer + SMALLEST, axis=-1),
        tf.reduce_mean(grey, [1, 2, 3]),
        tf.reduce_mean(slope_change, [1, 2, 3]) / deviation,
    ]


def _sum(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(values, [1, 2, 3])


def _at(probability: tf.Tensor, threshold: float) -> tf.Tensor:
    return tf.cast(probability > threshold, tf.float32)


def _agreement(probability: tf.Tensor, low: float) -> tf.Tensor:
    return _sum(_at(probability, 1 - low)) / (_sum(_at(probability, low)) + 1.0)


def _x_log_x(values: tf.Tensor) -> tf.Tensor:
    return values * tf.math.log(values + SMALLEST)


def _dilate(mask: tf.Tensor, window: int) -> tf.Tensor:
    """Dilate by a square, one axis after the other."""
    return tf.nn.max_pool2d(tf.nn.max_pool2d(mask, (window, 1), 1, "SAME"), (1, window), 1, "SAME")


def _band(mask: tf.Tensor) -> tf.Tensor:
    """Pixels near the outline, on both sides."""
    window = 2 * max(1, round(mask.shape[1] * BAND_FRACTION)) + 1
    return _dilate(mask, window) + _dilate(1 - mask, window) - 1.0


def _frame(mask: tf.Tensor) -> tf.Tensor:
    edges = tf.concat([mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1]], axis=1)
    return tf.reduce_mean(edges, [1, 2])


def _spread(mask: tf.Tensor, area: tf.Tensor) -> tf.Tensor:
    """Root mean square distance from the mask's centre, divided by that of a disc; about 1 if the mask is a disc."""
    height, width = mask.shape[1], mask.shape[2]
    size = area + 1.0
    variance = tf.zeros_like(area)
    for axis, length in ((1, height), (2, width)):
        places = tf.reshape(tf.range(length, dtype=tf.float32), [1, -1, 1, 1] if axis == 1 else [1, 1, -1, 1])
        mean = _sum(places * mask) / size
        variance += _sum((places - mean[:, None, None, None]) ** 2 * mask) / size
    return tf.sqrt(variance / (size / (2 * math.pi)))
