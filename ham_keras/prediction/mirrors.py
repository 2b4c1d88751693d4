"""Test-time augmentation: average the network's output over an image and its mirror images."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

MIRRORS: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (1, 2))  # axes of [N, H, W, C]


def average_mirrors(network: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor, *, tta: bool) -> tf.Tensor:
    """Return probabilities [N, H, W, 1] of images [N, H, W, 3]; with `tta`, the mean over `MIRRORS`.

    Each output is mirrored back before averaging.
    """
    if not tta:
        return network(images)
    outputs = [tf.reverse(network(tf.reverse(images, axes)), axes) for axes in MIRRORS]
    return tf.add_n(outputs) / len(MIRRORS)
