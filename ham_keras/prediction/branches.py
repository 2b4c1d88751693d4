"""The networks of an ensemble, grouped by their preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    """

    steps: Steps
    size: tuple[int, int]
    networks: tuple[Network, ...]
    members: int

    def share(self, images: tf.Tensor, *, tta: bool) -> tf.Tensor:
        """Return this branch's share of the ensemble's probabilities, float32 [N, h, w, 1].

        That is the sum of its networks' probabilities divided by the number of all networks. The shares of all
        branches, resized to the same size, add up to the mean. With `tta`, mirror images are averaged.

        Args:
            images: float32 RGB [N, h, w, 3], 0..255, at `size`.
        """

        def add(mirrored: tf.Tensor) -> tf.Tensor:
            return tf.add_n([network(mirrored, training=False) for network in self.networks]) / self.members

        return average_mirrors(add, images, tta=tta)


def build_branches(members: Sequence[Member]) -> list[Branch]:
    """Group networks by their preprocessing."""
    groups: dict[str, list[Member]] = {}
    for network, settings in members:
        groups.setdefault(build_steps(settings).key(), []).append((network, settings))
    return [
        Branch(
            build_steps(group[0][1]),
            (group[0][1].image_size[0], group[0][1].image_size[1]),
            tuple(network for network, _ in group),
            len(members),
        )
        for group in groups.values()
    ]


def common_size(branches: Sequence[Branch]) -> tuple[int, int]:
    """The network's size of an ensemble, (height, width): the largest of its networks' sizes."""
    return max(branch.size[0] for branch in branches), max(branch.size[1] for branch in branches)


def add_shares(shares: Sequence[tf.Tensor], height_px: tf.Tensor | int, width_px: tf.Tensor | int) -> tf.Tensor:
    """Resize each branch's share, float32 [N, h, w, 1], and add them: probabilities [N, height_px, width_px, 1]."""
    return tf.add_n([resize_probability(share, height_px, width_px) for share in shares])
