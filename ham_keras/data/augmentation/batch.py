"""Augment a batch: hairs, colour and light for the image only, geometry for image and mask together.

Random draws depend only on (seed, epoch, image id), see `draw_key`: not on order, batch or thread, nor on whether a run
was resumed. Two engines apply the same kinds of augmentation, with different draws: `native` uses TensorFlow on whole
batches, `albumentations` processes image by image.
"""

from __future__ import annotations

import hashlib

import tensorflow as tf

from ham_keras.data.augmentation.albumentations_engine import albumentations_batch
from ham_keras.data.augmentation.hairs import draw_hairs
from ham_keras.data.augmentation.native import native_batch
from ham_keras.data.augmentation.shading import shade
from ham_keras.settings import Augment


def draw_key(seed: int, epoch: int, image_id: str, purpose: str) -> int:
    """Hash the four arguments to a 63-bit number."""
    text = f"{purpose}/{seed}/{epoch}/{image_id}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def augment_batch(
    pixels: tf.Tensor, keys: tf.Tensor, settings: Augment, *, soft_masks: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """Augment a batch with the engine `settings.engine`.

    Args:
        pixels: uint8 [N, H, W, 4], RGB and the fraction of the pixel that is lesion, both 0..255.
        keys: int64 [N], from `draw_key`.
        soft_masks: keep the fractions; otherwise masks are thresholded at one half before and after they are moved.

    Returns:
        image float32 [N, H, W, 3] in 0..255 and mask float32 [N, H, W, 1], in {0, 1} or 0..1.
    """
    if not soft_masks:
        pixels = tf.concat([pixels[..., :3], 255 * tf.cast(pixels[..., 3:] >= 128, tf.uint8)], axis=-1)
    if settings.hairs:
        pixels = draw_hairs(pixels, keys, settings)
    if settings.engine == "native":
        image, fraction = native_batch(pixels, keys, settings)
    else:
        if settings.engine == "albumentations":
            pixels = albumentations_batch(pixels, keys, settings)
        image, fraction = tf.cast(pixels[..., :3], tf.float32), tf.cast(pixels[..., 3:], tf.float32)
    if settings.shading:
        image = shade(image, keys, settings.shading)
    return image, fraction / 255.0 if soft_masks else tf.cast(fraction >= 127.5, tf.float32)
