"""Augmentation in TensorFlow, on whole batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ham_keras.data.augmentation.colour import change_colour, degrade
from ham_keras.data.augmentation.surroundings import surround
from ham_keras.settings import Augment

# The uniform numbers drawn per image. New kinds are appended, so that runs that do not use them keep their draws.
GEOMETRY, COLOUR, ROTATION, MORE_COLOUR, DEGRADATION, STRETCH = (
    slice(0, 6), slice(6, 9), slice(9, 10), slice(10, 15), slice(15, 17), slice(17, 18),
)  # fmt: skip
DRAWS = 18
REFLECTIONS = 2  # that a crop pads an image with on each side; beyond, the padding would take much memory


def native_batch(pixels: tf.Tensor, keys: tf.Tensor, settings: Augment) -> tuple[tf.Tensor, tf.Tensor]:
    """Augment uint8 [N, H, W, 4], RGB and lesion fraction, both 0..255.

    Returns:
        image float32 [N, H, W, 3] and lesion fraction float32 [N, H, W, 1], both in 0..255.
    """
    uniform = tf.numpy_function(_uniform, [keys], tf.float32)
    uniform.set_shape([None, DRAWS])
    margins = _margins_px(pixels.shape[1:3], settings)
    too_far = any(margin > REFLECTIONS * (side - 1) for margin, side in zip(margins, pixels.shape[1:3], strict=True))
    move = _transform if settings.rotation or too_far else _crop
    draws = tf.concat([uniform[:, part] for part in (GEOMETRY, STRETCH, ROTATION)], axis=1)
    moved, depth_px = move(pixels, draws, settings)
    if settings.surroundings == "skin":
        moved = surround(pixels, moved, depth_px, keys)
    image = change_colour(moved[..., :3], uniform[:, COLOUR], uniform[:, MORE_COLOUR], settings)
    image = degrade(image, uniform[:, DEGRADATION], keys, settings)
    return image, moved[..., 3:]


def _uniform(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return np.stack([np.random.default_rng(key).random(DRAWS, np.float32) for key in keys])


def _crop(pixels: tf.Tensor, uniform: tf.Tensor, settings: Augment) -> tuple[tf.Tensor, tf.Tensor]:
    """Flip, rotate by quarter turns, zoom and shift uint8 [N, H, W, 4] to float32, bilinear, reflected at the border.

    Also returns how far each pixel is inside the moved image, float32 [N, H, W], in pixels, negative outside.

    A quarter turn is a transposition and a flip, and a flip is a crop with swapped corners, so one crop does everything
    but the transposition. (ImageProjectiveTransformV3 takes three times as long on a CPU.)
    """
    height, width = pixels.shape[1], pixels.shape[2]
    whole = tf.bitcast(pixels, tf.int32)  # [N, H, W]: moving four bytes at once is faster
    signed = 2.0 * uniform - 1.0
    side = tf.where(uniform[:, :2] < 0.5, -1.0, 1.0) if settings.flips else tf.ones_like(uniform[:, :2])
    if settings.quarter_turns:
        quarters = tf.cast(4.0 * uniform[:, 2], tf.int32)
        turned = tf.gather([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]], quarters)
        side = side * turned
        whole = tf.where((quarters % 2 == 1)[:, None, None], tf.transpose(whole, [0, 2, 1]), whole)
    margins = _margins_px((height, width), settings)
    whole = _reflect(whole, margins)
    zooms = _zooms(signed, settings)
    boxes, depths = [], []
    for axis, (length, extra, zoom) in enumerate(zip((height, width), margins, zooms, strict=True)):
        half = (length - 1) / 2 / zoom * side[:, axis]
        centre = (length - 1) / 2 + extra - side[:, axis] * settings.shift * length * signed[:, 4 + axis] / zoom
        boxes.append(tf.stack([centre - half, centre + half]) / (length + 2 * extra - 1))
        place = centre[:, None] + half[:, None] * tf.linspace(-1.0, 1.0, length) - extra
        depths.append(zoom[:, None] * tf.minimum(place, length - 1 - place))
    box = tf.stack([boxes[0][0], boxes[1][0], boxes[0][1], boxes[1][1]], axis=1)
    whole = tf.bitcast(whole, tf.uint8)
    moved = tf.image.crop_and_resize(whole, box, tf.range(tf.shape(whole)[0]), [height, width])
    return moved, tf.minimum(depths[0][:, :, None], depths[1][:, None, :])


def _margins_px(size: Sequence[int], settings: Augment) -> list[int]:
    """How far a crop may reach beyond the border of an image of this height and width, and one pixel for rounding."""
    smallest = (1 - settings.scale, (1 - settings.scale) / (1 + settings.stretch))
    return [
        math.ceil(((1 / zoom - 1) / 2 + settings.shift / zoom) * length) + 1
        for zoom, length in zip(smallest, size, strict=True)
    ]


def _reflect(images: tf.Tensor, margins: Sequence[int]) -> tf.Tensor:
    """Pad [N, H, W] by these margins with its reflection, as often as needed: one reaches as far as the image."""
    while any(margins):
        steps = [min(margin, length - 1) for margin, length in zip(margins, images.shape[1:], strict=True)]
        images = tf.pad(images, [[0, 0], *([step, step] for step in steps)], "REFLECT")
        margins = [margin - step for margin, step in zip(margins, steps, strict=True)]
    return images


def _zooms(signed: tf.Tensor, settings: Augment) -> tuple[tf.Tensor, tf.Tensor]:
    """Magnification of the height and of the width of each image, [N]."""
    zoom = 1.0 + settings.scale * signed[:, 3]
    return zoom, zoom * tf.exp(math.log1p(settings.stretch) * signed[:, 6])


def _transform(pixels: tf.Tensor, uniform: tf.Tensor, settings: Augment) -> tuple[tf.Tensor, tf.Tensor]:
    """Like `_crop`, with a rotation by any angle: one projective transformation, about three times as slow.

    Each pixel of the result is sampled at matrix * (pixel - centre) + centre. The matrix combines zoom, stretch,
    rotation, quarter turns and flips.
    """
    height, width = pixels.shape[1], pixels.shape[2]
    signed = 2.0 * uniform - 1.0
    side = tf.where(uniform[:, :2] < 0.5, -1.0, 1.0) if settings.flips else tf.ones_like(uniform[:, :2])
    angle = np.pi / 180 * settings.rotation * signed[:, 7]
    if settings.quarter_turns:
        angle += np.pi / 2 * tf.floor(4.0 * uniform[:, 2])
    zoom_y, zoom_x = _zooms(signed, settings)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    a, b = cosine * side[:, 1] / zoom_x, -sine * side[:, 0] / zoom_y
    c, d = sine * side[:, 1] / zoom_x, cosine * side[:, 0] / zoom_y
    x0, y0 = (width - 1) / 2, (height - 1) / 2
    x, y = x0 + settings.shift * width * signed[:, 5], y0 + settings.shift * height * signed[:, 4]
    offset_x, offset_y = x0 - a * x - b * y, y0 - c * x - d * y
    zero = tf.zeros_like(a)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pixels, tf.float32),
        transforms=tf.stack([a, b, offset_x, c, d, offset_y, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    rows, columns = tf.range(height, dtype=tf.float32)[:, None], tf.range(width, dtype=tf.float32)
    a, b, c, d, offset_x, offset_y = (each[:, None, None] for each in (a, b, c, d, offset_x, offset_y))
    from_left, from_top = a * columns + b * rows + offset_x, c * columns + d * rows + offset_y
    depths = [zoom_x[:, None, None] * tf.minimum(from_left, width - 1 - from_left)]
    depths += [zoom_y[:, None, None] * tf.minimum(from_top, height - 1 - from_top)]
    return moved, tf.minimum(*depths)
