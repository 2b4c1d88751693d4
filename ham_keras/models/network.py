"""What an architecture returns: the logits of the lesion, and side outputs that only training uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

LESION = "lesion"


@dataclass(frozen=True)
class SideOutput:
    """An output with its own target and loss, used only in training.

    Attributes:
        name: prefix of its column `<name>_loss` in history.csv.
        logits: symbolic [N, h, w, 1], of any size.
        weight: of its loss in the total loss; the loss of the lesion has weight 1.
        target: maps float32 masks [N, H, W, 1], augmented and at the network's size, to float32 [N, h, w, 1]; both are
            in {0, 1}, or in 0..1 with `data.soft_masks`. Runs inside tf.data.
        loss: a name in LOSSES; None means `train.loss`.
    """

    name: str
    logits: Any
    weight: float
    target: Callable[[tf.Tensor], tf.Tensor]
    loss: str | None = None


@dataclass(frozen=True)
class Network:
    """An architecture's symbolic input and outputs.

    Attributes:
        image: float32 [N, H, W, 3], RGB 0..255 as the backbone expects it (see backbones.PREPROCESSING).
        lesion: logits [N, H, W, 1].
        sides: outputs used only in training. Build their layers after those of the lesion, so that the lesion's initial
            weights do not depend on them.
    """

    image: Any
    lesion: Any
    sides: tuple[SideOutput, ...] = ()

    @property
    def outputs(self) -> dict[str, Any]:
        """All logits by name, the lesion first."""
        return {LESION: self.lesion, **{side.name: side.logits for side in self.sides}}


@keras.saving.register_keras_serializable("ham_keras")
class SupervisedModel(keras.Model):
    """A network with side outputs: float32 RGB [N, H, W, 3] to a dict of float32 probabilities [N, h, w, 1].

    Metrics are computed on the lesion output and named as in a network without side outputs. `<output>_loss` is the
    unweighted mean over batches; a short last batch counts as much as the others.

    Attributes:
        sides: the side outputs that the architecture declares; empty after `keras.saving.load_model`.
    """

    sides: tuple[SideOutput, ...] = ()

    def targets(self, masks: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the target of each output for masks [N, H, W, 1]."""
        return {LESION: masks, **{side.name: side.target(masks) for side in self.sides}}

    def get_metrics_result(self) -> Mapping[str, Any]:
        results = super().get_metrics_result()
        loss = f"{LESION}_loss"
        return {key if key == loss else key.removeprefix(f"{LESION}_"): value for key, value in results.items()}


def mask_edges(masks: tf.Tensor) -> tf.Tensor:
    """Return the edges of masks [N, H, W, 1] in {0, 1}: their morphological gradient, two pixels wide.

    A soft mask has soft edges. The image's border is not an edge.
    """
    dilated, eroded = tf.nn.max_pool2d(masks, 3, 1, "SAME"), -tf.nn.max_pool2d(-masks, 3, 1, "SAME")
    return dilated - eroded


def downsample_masks(masks: tf.Tensor, factor: int) -> tf.Tensor:
    """Downsample masks [N, H, W, 1] in {0, 1}: a pixel is lesion if at least half of its factor x factor block is."""
    covered = tf.nn.avg_pool2d(masks, factor, factor, "VALID")
    return tf.cast(covered >= 0.5, masks.dtype)
