"""Surround a shrunk, shifted or rotated image with more skin, drawn, instead of its own mirror images.

Mirrored beyond its border, a smaller image repeats its lesion, and plain skin never fills most of the frame as it does
in photographs from further away.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ham_keras.data.augmentation.bank import pick_layers

LAYERS = 64  # textures in the bank; each is used in four mirror images
SPECTRUM = (1.3, 2.1)  # amplitudes of a texture fall with the frequency to this power, as those of photographs do
COLOURED = 0.2  # deviation of each colour's own texture, where that of their common one is 1
LEVELS = 32  # of the bank per standard deviation
STRENGTH = (0.3, 1.3)  # of a texture, relative to the deviation of the skin
LARGEST_DEVIATION = 18.0  # of 255; a darker corner of the photograph makes that of its rim larger
RIM = 1 / 16  # width of the rim that shows the skin, as a fraction of the side
BLENDED = 1 / 12  # width of the transition from the mirror image to the drawn skin, as a fraction of the side
LARGEST_CONTACT = 0.03  # with more lesion than this in the rim, the lesion goes on beyond the image

Bank = npt.NDArray[np.uint8]


def surround(pixels: tf.Tensor, moved: tf.Tensor, depth_px: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Replace what is outside the moved image by skin of the colours at its rim, unless the lesion reaches the rim.

    Args:
        pixels: uint8 [N, H, W, 4], RGB and lesion fraction before the move.
        moved: float32 [N, H, W, 4], the same after it, in 0..255.
        depth_px: float32 [N, H, W], how far each pixel is inside the moved image; negative outside.
        keys: int64 [N], from `draw_key`.

    Returns:
        float32 [N, H, W, 4], in 0..255. Unless the lesion reaches the rim, there is none outside the moved image.
    """
    height, width = pixels.shape[1], pixels.shape[2]
    rim = tf.constant(_rim(height, width))
    image, fraction = tf.cast(pixels[..., :3], tf.float32), tf.cast(pixels[..., 3:], tf.float32) / 255.0
    contact = tf.reduce_sum(rim * fraction, [1, 2, 3]) / tf.reduce_sum(rim)
    skin = rim * (1.0 - fraction)
    skin /= tf.maximum(tf.reduce_sum(skin, [1, 2], keepdims=True), 1.0)
    mean = tf.reduce_sum(skin * image, [1, 2], keepdims=True)
    deviation = tf.sqrt(tf.reduce_sum(skin * tf.square(image - mean), [1, 2], keepdims=True))
    texture = _textures(keys, height, width) * tf.minimum(deviation, LARGEST_DEVIATION)
    drawn = tf.clip_by_value(mean + texture, 0.0, 255.0)
    kept = (contact > LARGEST_CONTACT)[:, None, None]
    shown = tf.clip_by_value(1.0 + depth_px / (BLENDED * min(height, width)), 0.0, 1.0)
    shown = tf.where(kept, 1.0, shown)[..., None]
    inside = tf.cast(kept | (depth_px >= 0), tf.float32)[..., None]
    return tf.concat([shown * moved[..., :3] + (1.0 - shown) * drawn, inside * moved[..., 3:]], axis=-1)


def _rim(height: int, width: int) -> npt.NDArray[np.float32]:
    """1 on the rim and 0 elsewhere, [height, width, 1]."""
    inside = np.ones((height, width, 1), np.float32)
    thickness = max(round(RIM * min(height, width)), 1)
    inside[thickness:-thickness, thickness:-thickness] = 0
    return inside


def _textures(keys: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Texture of each image, in units of the deviation of its skin: float32 [N, H, W, 3]."""
    choose = functools.partial(_choose, bank=texture_bank(height, width))
    strength, layer = tf.numpy_function(choose, [keys], [tf.float32, tf.uint8])
    layer = tf.cast(tf.ensure_shape(layer, [None, height, width, 3]), tf.float32)
    return tf.ensure_shape(strength, [None])[:, None, None, None] * (layer - 128.0) / LEVELS


def _choose(keys: npt.NDArray[np.int64], bank: Bank) -> tuple[npt.NDArray[np.float32], Bank]:
    """For each image: the strength of its texture, and the layer."""
    uniform = np.stack([np.random.default_rng([key, 4]).random(4, np.float32) for key in keys])
    weakest, strongest = STRENGTH
    return np.float32(weakest) + np.float32(strongest - weakest) * uniform[:, 3], pick_layers(bank, uniform[:, :3])


@functools.cache
def texture_bank(height: int, width: int) -> Bank:
    """Draw textures of skin: uint8 [LAYERS, height, width, 3], with mean 128 and LEVELS per standard deviation."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1 / max(height, width)
    layers = []
    for _ in range(LAYERS):
        white = np.fft.rfft2(rng.standard_normal((4, height, width)))
        common, *own = np.fft.irfft2(white / frequency ** rng.uniform(*SPECTRUM), (height, width))
        coloured = common[..., None] / common.std() + COLOURED * np.stack([each / each.std() for each in own], axis=-1)
        coloured = (coloured - coloured.mean()) / coloured.std()
        layers.append(np.clip(np.rint(128 + LEVELS * coloured), 0, 255).astype(np.uint8))
    return np.stack(layers)
