"""The networks of an ensemble, grouped by their preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from ham_keras.data.images import resize_probability
from ham_keras.prediction.mirrors import average_mirrors
from ham_keras.preprocessing.steps import Steps, build_steps
from ham_keras.settings import Data

# A Keras model, or another function from float32 images [N, h, w, 3], 0..255, and `training=False` to probabilities
# [N, h, w, 1].
Network = Callable[..., tf.Tensor]
Member = tuple[Network, Data]  # a network and the data settings it was trained with


@dataclass(frozen=True)
class Branch:
    """The networks of an ensemble that share preprocessing, so that it runs once for all of them.

    Attributes:
        steps: the preprocessing.
        size: height and width of the networks' input in pixels.
        networks: Keras models or other functions.
        members: number of networks of the whole ensemble.
        encoder: the first network with its encoding as a second output, see `models.encoder.with_encoding`; or None.
    """

    steps: Steps
    size: tuple[int, int]
    networks: tuple[Network, ...]
    members: int
    encoder: Callable[..., Any] | None = None

    def share(self, images: tf.Tensor, *, tta: bool) -> tf.Tensor:
        """Return this branch's share of the ensemble's probabilities, float32 [N, h, w, 1].

        That is the sum of its networks' probabilities divided by the number of all networks. The shares of all
        branches, resized to the same size, add up to the mean. With `tta`, mirror images are averaged.

        Args:
            images: float32 RGB [N, h, w, 3], 0..255, at `size`.
        """
        return self.share_and_encoding(images, tta=tta)[0]

    def share_and_encoding(self, images: tf.Tensor, *, tta: bool) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Return the share, and the encoding [N, C] of the images without mirroring; None without an encoder."""
        encodings = []

        def add(mirrored: tf.Tensor) -> tf.Tensor:
            outputs = [network(mirrored, training=False) for network in self.networks[bool(self.encoder) :]]
            if self.encoder is not None:
                probability, encoding = self.encoder(mirrored, training=False)
                outputs.append(probability)
                encodings.append(encoding)
            return tf.add_n(outputs) / self.members

        share = average_mirrors(add, images, tta=tta)
        return share, encodings[0] if encodings else None


def build_branches(members: Sequence[Member], encoder: Callable[..., Any] | None = None) -> list[Branch]:
    """Group networks by their preprocessing. `encoder` is the first network with its encoding as a second output."""
    groups: dict[str, list[Member]] = {}
    for network, settings in members:
        groups.setdefault(build_steps(settings).key(), []).append((network, settings))
    return [
        Branch(
            build_steps(group[0][1]),
            (group[0][1].image_size[0], group[0][1].image_size[1]),
            tuple(network for network, _ in group),
            len(members),
            None if number else encoder,
        )
        for number, group in enumerate(groups.values())
    ]


def common_size(branches: Sequence[Branch]) -> tuple[int, int]:
    """The network's size of an ensemble, (height, width): the largest of its networks' sizes."""
    return max(branch.size[0] for branch in branches), max(branch.size[1] for branch in branches)


def add_shares(shares: Sequence[tf.Tensor], height_px: tf.Tensor | int, width_px: tf.Tensor | int) -> tf.Tensor:
    """Resize each branch's share, float32 [N, h, w, 1], and add them: probabilities [N, height_px, width_px, 1]."""
    return tf.add_n([resize_probability(share, height_px, width_px) for share in shares])
