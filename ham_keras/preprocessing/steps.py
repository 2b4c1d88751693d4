"""What happens between the decoded photograph and the network: one list of steps, the same in training and serving.

Steps are TensorFlow, so that they are exported with the model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import tensorflow as tf

from ham_keras.preprocessing.resize import resize_image
from ham_keras.settings import Data


class Step(Protocol):
    """One step: takes uint8 RGB [H, W, 3] or [N, H, W, 3] to uint8 of the same rank, maybe of another size.

    A batch gives what its images give one by one.
    """

    name: ClassVar[str]

    def __call__(self, images: tf.Tensor) -> tf.Tensor: ...

    def describe(self) -> dict[str, Any]:
        """Its name and all that its result depends on, as JSON."""
        ...


@dataclass(frozen=True)
class Resize:
    """Bring an image to the network's size; see `resize_image`."""

    height_px: int
    width_px: int

    name: ClassVar[str] = "resize"

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return resize_image(images, self.height_px, self.width_px)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self), "method": "bilinear", "antialias": True}


@dataclass(frozen=True)
class Steps:
    """Steps in their order; itself a function of an image or of a batch."""

    steps: tuple[Step, ...]

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Take uint8 RGB [H, W, 3] or [N, H, W, 3] of any size to uint8 at the network's size."""
        for step in self.steps:
            images = step(images)
        return images

    def describe(self) -> list[dict[str, Any]]:
        """What metadata.json says: each step's name and parameters."""
        return [step.describe() for step in self.steps]

    def key(self) -> str:
        """A text that differs where results may differ."""
        return json.dumps(self.describe(), sort_keys=True)


def build_steps(settings: Data) -> Steps:
    """The steps of a config. One that works at the photograph's own size goes before the resizing."""
    return Steps((Resize(*settings.image_size),))
