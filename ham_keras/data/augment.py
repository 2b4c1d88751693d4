"""Paired geometry for image and mask, colour for the image only.

Every draw is a function of (seed, epoch, image id), see `draw_key`: it does not matter in which order,
batch or thread an image arrives, or whether a run was interrupted. Two engines do the same kinds of things,
from draws of their own: `native` is TensorFlow on whole batches, `albumentations` works image by image.
"""

from __future__ import annotations

import hashlib
import math
import random
import threading
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ham_keras.settings import Augment

DRAWS = 9  # uniform numbers an image's native augmentation takes

# Luma and chroma axes of the NTSC standard; hue is an angle in the plane of the latter two.
RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
YIQ_TO_RGB = np.linalg.inv(RGB_TO_YIQ)


def draw_key(seed: int, epoch: int, image_id: str, purpose: str) -> int:
    """A 63-bit number that depends on all four arguments and on nothing else."""
    text = f"{purpose}/{seed}/{epoch}/{image_id}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def augment_batch(pixels: tf.Tensor, keys: tf.Tensor, settings: Augment) -> tuple[tf.Tensor, tf.Tensor]:
    """Augment a batch with the engine that `settings` names.

    Args:
        pixels: uint8 [N, H, W, 4], RGB 0..255 and mask in {0, 1}.
        keys: int64 [N], of `draw_key`.

    Returns:
        image float32 [N, H, W, 3] in 0..255 and mask float32 [N, H, W, 1] in {0, 1}.
    """
    if settings.engine == "albumentations":
        pixels = _albumentations_batch(pixels, keys, settings)
    elif settings.engine == "native":
        uniform = tf.numpy_function(_uniform, [keys], tf.float32)
        uniform.set_shape([None, DRAWS])
        moved = _move(pixels, uniform[:, :6], settings)
        return _recolour(moved[..., :3], uniform[:, 6:], settings), tf.cast(moved[..., 3:] >= 0.5, tf.float32)
    return tf.cast(pixels[..., :3], tf.float32), tf.cast(pixels[..., 3:], tf.float32)


def _uniform(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return np.stack([np.random.default_rng(key).random(DRAWS, np.float32) for key in keys])


def _move(pixels: tf.Tensor, uniform: tf.Tensor, settings: Augment) -> tf.Tensor:
    """Flip, turn, zoom and shift uint8 [N, H, W, 4] to float32: bilinear, reflected at the frame.

    A quarter turn is a transposition and a flip, and a flip is a crop from its far side to its near one, so
    one crop does all but the transposition. (ImageProjectiveTransformV3 takes three times as long on a CPU.)
    """
    height, width = pixels.shape[1], pixels.shape[2]
    whole = tf.bitcast(pixels, tf.int32)  # [N, H, W]: four bytes that move together move faster
    signed = 2.0 * uniform - 1.0
    side = tf.where(uniform[:, :2] < 0.5, -1.0, 1.0) if settings.flips else tf.ones_like(uniform[:, :2])
    if settings.quarter_turns:
        quarters = tf.cast(4.0 * uniform[:, 2], tf.int32)
        turned = tf.gather([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]], quarters)
        side = side * turned
        whole = tf.where((quarters % 2 == 1)[:, None, None], tf.transpose(whole, [0, 2, 1]), whole)
    # As far as a crop may reach beyond the frame; one pixel more, for what rounding adds.
    margin = settings.scale / (1 - settings.scale) / 2 + settings.shift / (1 - settings.scale)
    margins = [min(math.ceil(margin * length) + 1, length - 1) for length in (height, width)]
    whole = tf.pad(whole, [[0, 0], *([extra, extra] for extra in margins)], "REFLECT")
    zoom = 1.0 + settings.scale * signed[:, 3]
    boxes = []
    for axis, (length, extra) in enumerate(zip((height, width), margins, strict=True)):
        half = (length - 1) / 2 / zoom * side[:, axis]
        centre = (length - 1) / 2 + extra - side[:, axis] * settings.shift * length * signed[:, 4 + axis] / zoom
        boxes.append(tf.stack([centre - half, centre + half]) / (length + 2 * extra - 1))
    box = tf.stack([boxes[0][0], boxes[1][0], boxes[0][1], boxes[1][1]], axis=1)
    return tf.image.crop_and_resize(tf.bitcast(whole, tf.uint8), box, tf.range(tf.shape(whole)[0]), [height, width])


def _recolour(image: tf.Tensor, uniform: tf.Tensor, settings: Augment) -> tf.Tensor:
    """Turn the hue and stretch the contrast about the mean colour, then add brightness: one affine map an image."""
    if not (settings.hue or settings.contrast or settings.brightness):
        return image
    signed = 2.0 * uniform - 1.0
    angle = 2 * np.pi * settings.hue * signed[:, 0]
    cosine, sine = tf.cos(angle), tf.sin(angle)
    one, zero = tf.ones_like(angle), tf.zeros_like(angle)
    turn = tf.reshape(tf.stack([one, zero, zero, zero, cosine, -sine, zero, sine, cosine], axis=1), [-1, 3, 3])
    contrast = (1.0 + settings.contrast * signed[:, 1])[:, None, None]
    matrix = contrast * (tf.constant(YIQ_TO_RGB, tf.float32) @ turn @ tf.constant(RGB_TO_YIQ, tf.float32))
    pixels = tf.reshape(image, [-1, image.shape[1] * image.shape[2], 3])
    mean = tf.reduce_mean(pixels, axis=1, keepdims=True)
    added = 255.0 * settings.brightness * signed[:, 2]
    offset = mean - tf.matmul(mean, matrix, transpose_b=True) + added[:, None, None]
    changed = tf.matmul(pixels, matrix, transpose_b=True) + offset
    return tf.reshape(tf.clip_by_value(changed, 0.0, 255.0), tf.shape(image))


def _albumentations_batch(pixels: tf.Tensor, keys: tf.Tensor, settings: Augment) -> tf.Tensor:
    local = threading.local()  # a Compose carries the state of its draws: one for each thread

    def augment(pixels: npt.NDArray[np.uint8], seeds: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        if not hasattr(local, "compose"):
            cv2.setNumThreads(0)
            local.compose = build_albumentations(settings)
        augmented = np.empty_like(pixels)
        for image, result, seed in zip(pixels, augmented, seeds, strict=True):
            # Not set_random_seed: that gives each step the same draws, so a zoom would go with a colour.
            local.compose.set_random_state(np.random.default_rng(seed), random.Random(int(seed)))
            both = local.compose(image=np.ascontiguousarray(image[..., :3]), mask=np.ascontiguousarray(image[..., 3]))
            result[..., :3], result[..., 3] = both["image"], both["mask"]
        return augmented

    augmented = tf.numpy_function(augment, [pixels, keys], tf.uint8)
    augmented.set_shape(pixels.shape)
    return augmented


def build_albumentations(settings: Augment) -> Any:
    """The albumentations pipeline of these settings; takes `image` and `mask`, both uint8."""
    import albumentations as A

    steps: list[Any] = []
    if settings.flips:
        steps += [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
    if settings.quarter_turns:
        steps.append(A.RandomRotate90(p=1.0))
    if settings.scale or settings.shift:
        steps.append(
            A.Affine(
                scale=(1 - settings.scale, 1 + settings.scale),
                translate_percent=(-settings.shift, settings.shift),
                keep_ratio=True,
                border_mode=cv2.BORDER_REFLECT_101,
                p=1.0,
            )
        )
    if settings.hue or settings.contrast:
        stretch, turn = (1 - settings.contrast, 1 + settings.contrast), (-settings.hue, settings.hue)
        steps.append(A.ColorJitter(brightness=(1, 1), contrast=stretch, saturation=(1, 1), hue=turn, p=1.0))
    if settings.brightness:
        steps.append(A.RandomBrightnessContrast(settings.brightness, 0, brightness_by_max=True, p=1.0))
    return A.Compose(steps)
