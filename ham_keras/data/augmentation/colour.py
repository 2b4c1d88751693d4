"""Colour augmentation, which simulates other skin, light and cameras, and blur and noise."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ham_keras.settings import Augment

# YIQ, the luma and chroma axes of the NTSC standard; hue is an angle in the plane of I and Q.
RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
YIQ_TO_RGB = np.linalg.inv(RGB_TO_YIQ)


def change_colour(image: tf.Tensor, uniform: tf.Tensor, more: tf.Tensor, settings: Augment) -> tf.Tensor:
    """Change gamma, then hue, saturation, contrast, colour cast and brightness with one affine map per image.

    Args:
        image: float32 [N, H, W, 3] in 0..255.
        uniform: float32 [N, 3] in 0..1: hue, contrast, brightness.
        more: float32 [N, 5] in 0..1: gamma, saturation, and the gains of red, green and blue.

    Returns:
        float32 [N, H, W, 3] in 0..255. Hue, saturation and contrast preserve the mean colour.
    """
    signed, extra = 2.0 * uniform - 1.0, 2.0 * more - 1.0
    if settings.gamma:
        exponent = tf.exp(math.log1p(settings.gamma) * extra[:, 0])[:, None, None, None]
        image = 255.0 * tf.pow(tf.clip_by_value(image / 255.0, 0.0, 1.0), exponent)
    if not any((settings.hue, settings.saturation, settings.contrast, settings.colour_cast, settings.brightness)):
        return image
    angle = 2 * np.pi * settings.hue * signed[:, 0]
    chroma = 1.0 + settings.saturation * extra[:, 1]
    cosine, sine = chroma * tf.cos(angle), chroma * tf.sin(angle)
    one, zero = tf.ones_like(angle), tf.zeros_like(angle)
    turn = tf.reshape(tf.stack([one, zero, zero, zero, cosine, -sine, zero, sine, cosine], axis=1), [-1, 3, 3])
    contrast = (1.0 + settings.contrast * signed[:, 1])[:, None, None]
    matrix = contrast * (tf.constant(YIQ_TO_RGB, tf.float32) @ turn @ tf.constant(RGB_TO_YIQ, tf.float32))
    pixels = tf.reshape(image, [-1, image.shape[1] * image.shape[2], 3])
    mean = tf.reduce_mean(pixels, axis=1, keepdims=True)
    offset = mean - tf.matmul(mean, matrix, transpose_b=True)
    if settings.colour_cast:
        gain = (1.0 + settings.colour_cast * extra[:, 2:])[:, None]
        matrix, offset = matrix * tf.transpose(gain, [0, 2, 1]), offset * gain
    offset += (255.0 * settings.brightness * signed[:, 2])[:, None, None]
    changed = tf.matmul(pixels, matrix, transpose_b=True) + offset
    return tf.reshape(tf.clip_by_value(changed, 0.0, 255.0), tf.shape(image))


def degrade(image: tf.Tensor, uniform: tf.Tensor, keys: tf.Tensor, settings: Augment) -> tf.Tensor:
    """Blur half of the images and add noise to half of them, with strengths given by `uniform`.

    Args:
        image: float32 [N, H, W, 3] in 0..255.
        uniform: float32 [N, 2] in 0..1: blur, noise. Values below 0.5 have no effect.
        keys: int64 [N], the seeds of the noise.
    """
    amount = tf.maximum(0.0, 2.0 * uniform - 1.0)
    if settings.blur_px:
        image = _blur(image, settings.blur_px * amount[:, 0], settings.blur_px)
    if settings.noise:
        noise = tf.numpy_function(_normal, [keys, tf.shape(image)[1:]], tf.float32)
        image += 255.0 * settings.noise * amount[:, 1, None, None, None] * tf.ensure_shape(noise, image.shape)
        image = tf.clip_by_value(image, 0.0, 255.0)
    return image


def _blur(image: tf.Tensor, sigma_px: tf.Tensor, largest_px: float) -> tf.Tensor:
    """Convolve each image with a Gaussian of width `sigma_px`, first along the columns, then along the rows."""
    radius = math.ceil(2 * largest_px)
    steps = tf.range(-radius, radius + 1, dtype=tf.float32)
    weights = tf.exp(-0.5 * tf.square(steps / tf.maximum(sigma_px, 1e-3)[:, None]))
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    for axis in (1, 2):
        length = image.shape[axis]
        padded = tf.pad(image, [[radius, radius] if each == axis else [0, 0] for each in range(4)], "REFLECT")
        shifted = [tf.gather(padded, tf.range(start, start + length), axis=axis) for start in range(2 * radius + 1)]
        image = tf.add_n([weights[:, i, None, None, None] * part for i, part in enumerate(shifted)])
    return image


def _normal(keys: npt.NDArray[np.int64], shape: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    return np.stack([np.random.default_rng([key, 1]).standard_normal(shape, np.float32) for key in keys])
