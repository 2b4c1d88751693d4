"""Preprocessing steps between the decoded photograph and the network, shared by training and serving.

Steps are implemented in TensorFlow, so they are exported with the model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import tensorflow as tf

from ham_keras.preprocessing.hairs import CROSS_ARM_PX, DARKER_BY, REFERENCE_SIDE_PX, inpaint_hairs
from ham_keras.preprocessing.resize import resize_image
from ham_keras.settings import Data


class Step(Protocol):
    """One step: maps uint8 RGB [H, W, 3] or [N, H, W, 3] to uint8 of the same rank, possibly of another size.

    A batch gives the same result as its images one by one.
    """

    name: ClassVar[str]

    def __call__(self, images: tf.Tensor) -> tf.Tensor: ...

    def describe(self) -> dict[str, Any]:
        """The name and all parameters that affect the result, as JSON."""
        ...


@dataclass(frozen=True)
class Resize:
    """Resize an image to the network's size; see `resize_image`."""

    height_px: int
    width_px: int

    name: ClassVar[str] = "resize"

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return resize_image(images, self.height_px, self.width_px)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self), "method": "bilinear", "antialias": True}


@dataclass(frozen=True)
class InpaintHairs:
    """Remove dark hairs; see `inpaint_hairs`."""

    name: ClassVar[str] = "inpaint_hairs"

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return inpaint_hairs(images)

    def describe(self) -> dict[str, Any]:
        cross_px = 2 * CROSS_ARM_PX + 1
        return {
            "name": self.name,
            "method": "black-hat of grey with a cross, filled from the rims by the mean of the four neighbours",
            "cross_px": cross_px,
            "for_longer_side_px": REFERENCE_SIDE_PX,
            "darker_by": DARKER_BY,
        }


@dataclass(frozen=True)
class Steps:
    """A sequence of steps, callable on an image or a batch."""

    steps: tuple[Step, ...]

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Map uint8 RGB [H, W, 3] or [N, H, W, 3] of any size to uint8 at the network's size."""
        for step in self.steps:
            images = step(images)
        return images

    def describe(self) -> list[dict[str, Any]]:
        """The name and parameters of each step, as written to metadata.json."""
        return [step.describe() for step in self.steps]

    def key(self) -> str:
        """A string that is different if results may be different; part of the cache key."""
        return json.dumps(self.describe(), sort_keys=True)


def build_steps(settings: Data) -> Steps:
    """The steps of a config. Steps at the photograph's original size come before resizing."""
    hairs: tuple[Step, ...] = (InpaintHairs(),) if settings.hair_removal == "inpaint" else ()
    return Steps((*hairs, Resize(*settings.image_size)))
