"""What an architecture returns: the lesion's logits, and outputs that only training looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

LESION = "lesion"


@dataclass(frozen=True)
class SideOutput:
    """An output that is compared with a target of its own in training, and dropped afterwards.

    Attributes:
        name: of its column `<name>_loss` in history.csv.
        logits: symbolic [N, h, w, 1], of any size.
        weight: of its loss in the sum that training minimises; the lesion's own has weight 1.
        target: takes float32 masks [N, H, W, 1] in {0, 1}, augmented and at the network's size, to float32 [N, h, w, 1]
            in {0, 1}; runs inside tf.data.
        loss: a name in LOSSES; None is `train.loss`.
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
        sides: outputs for training alone. Build their layers after the lesion's: then the lesion's initial weights do
            not depend on them.
    """

    image: Any
    lesion: Any
    sides: tuple[SideOutput, ...] = ()

    @property
    def outputs(self) -> dict[str, Any]:
        """Logits by name, the lesion's first."""
        return {LESION: self.lesion, **{side.name: side.logits for side in self.sides}}


@keras.saving.register_keras_serializable("ham_keras")
class SupervisedModel(keras.Model):
    """A network with side outputs: float32 RGB [N, H, W, 3] to a dict of float32 probabilities [N, h, w, 1].

    Metrics are the lesion's and keep the names that they have in a network without side outputs. `<output>_loss` is a
    mean over batches, unweighted; a short last batch counts as much as any.

    Attributes:
        sides: the side outputs as the architecture declares them; empty after `keras.saving.load_model`.
    """

    sides: tuple[SideOutput, ...] = ()

    def targets(self, masks: tf.Tensor) -> dict[str, tf.Tensor]:
        """What each output is compared with, for masks [N, H, W, 1]."""
        return {LESION: masks, **{side.name: side.target(masks) for side in self.sides}}

    def get_metrics_result(self) -> Mapping[str, Any]:
        results = super().get_metrics_result()
        loss = f"{LESION}_loss"
        return {key if key == loss else key.removeprefix(f"{LESION}_"): value for key, value in results.items()}


def shrink_masks(masks: tf.Tensor, factor: int) -> tf.Tensor:
    """Masks [N, H, W, 1] in {0, 1} at 1/factor of their size: lesion where at least half of the pixels are."""
    covered = tf.nn.avg_pool2d(masks, factor, factor, "VALID")
    return tf.cast(covered >= 0.5, masks.dtype)
