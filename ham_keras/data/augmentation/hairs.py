"""Draw hairs over images: those of phantoms, from a bank of layers that is drawn once.

Which images get hairs, and which, depends only on their key, like all augmentation.
"""

from __future__ import annotations

import functools
import itertools
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ham_keras.data.augmentation.bank import pick_layers
from ham_keras.data.phantoms.hairs import add_hairs
from ham_keras.data.phantoms.tiles import Plane
from ham_keras.environment import cpu_threads
from ham_keras.settings import Augment

LAYERS = 64  # in the bank; each is used in four mirror images
DRAWN_SIZE_PX = (600, 450)  # width and height; hairs are drawn at the size of a photograph, and shrunk as they are
LEAST_ABSORBED = 0.004  # of a white layer's light; light hairs alone absorb less

Layers = npt.NDArray[np.uint8]


def draw_hairs(pixels: tf.Tensor, keys: tf.Tensor, settings: Augment) -> tf.Tensor:
    """Draw hairs over `settings.hairs` of the images of a batch.

    Args:
        pixels: uint8 [N, H, W, 4], RGB and lesion fraction; the latter is not changed.
        keys: int64 [N], from `draw_key`.
    """
    height, width = pixels.shape[1], pixels.shape[2]
    choose = functools.partial(_choose, bank=hair_bank(height, width), share=settings.hairs)
    drawn_over, layer = tf.numpy_function(choose, [keys], [tf.bool, tf.uint8])
    layer = tf.cast(tf.ensure_shape(layer, [None, height, width, 4]), tf.float32)
    image = tf.cast(pixels[..., :3], tf.float32)
    covered = image * (layer[..., 3:] / 255.0) + layer[..., :3]
    drawn = tf.cast(tf.round(tf.minimum(covered, 255.0)), tf.uint8)
    drawn = tf.where(tf.ensure_shape(drawn_over, [None])[:, None, None, None], drawn, pixels[..., :3])
    return tf.concat([drawn, pixels[..., 3:]], axis=-1)


def _choose(keys: npt.NDArray[np.int64], bank: Layers, share: float) -> tuple[npt.NDArray[np.bool_], Layers]:
    """For each image: whether it gets hairs, and the layer."""
    uniform = np.stack([np.random.default_rng([key, 2]).random(4) for key in keys])
    return uniform[:, 0] < share, pick_layers(bank, uniform[:, 1:])


@functools.cache
def hair_bank(height_px: int, width_px: int) -> Layers:
    """Layers of hairs, uint8 [LAYERS, height_px, width_px, 4]: RGB to add, and how much of the image shows, 0..255."""
    with ThreadPoolExecutor(cpu_threads()) as pool:
        layers = list(pool.map(_draw_layer, range(LAYERS)))
    size = (width_px, height_px)
    return np.stack([cv2.resize(layer, size, interpolation=cv2.INTER_AREA) for layer in layers])


def _draw_layer(number: int) -> Layers:
    """Draw the hairs of phantoms until some are dark."""
    for attempt in itertools.count():
        white = _drawn_over(255, [number, attempt])
        if 1 - white.mean() / 255 > LEAST_ABSORBED:
            break
    # Drawing is linear in the image: what is drawn over black is added, and the rest of white shows.
    black = _drawn_over(0, [number, attempt])
    return np.rint(np.concatenate([black, white[..., :1] - black[..., :1]], axis=-1)).astype(np.uint8)


def _drawn_over(level: int, seed: list[int]) -> Plane:
    image = np.full((*DRAWN_SIZE_PX[::-1], 3), level, np.float32)
    add_hairs(np.random.default_rng(seed), image)
    return image
