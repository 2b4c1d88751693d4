"""A change at one strength, as it is applied to the images of a data set."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ham_keras.data.changes.catalogue import CHANGES, STRENGTHS, Change
from ham_keras.data.changes.geometry import move
from ham_keras.errors import HamError

Pixels = npt.NDArray[np.uint8]
VERSION = 1  # of the changed images: increment it with every change to their bytes
SEED = 15
CLEAN = "clean"


@dataclass(frozen=True)
class Condition:
    """A change at a strength of 1 to 5, or the unchanged image at 0.

    What is random depends only on the image's id and the change: at another strength, an image gets the same direction,
    the same noise and the same hairs, more or less of them. The same condition twice gives the same bytes.
    """

    change: str
    strength: int

    @property
    def name(self) -> str:
        return f"{self.change}-{self.strength}" if self.strength else CLEAN

    @property
    def _change(self) -> Change:
        return CHANGES[self.change]

    def direction(self, image_id: str) -> str:
        """Which of the two directions the image gets, in words; "" if there is one only."""
        directions = self._change.directions if self.strength else None
        return directions[_is_reversed(self.change, image_id)] if directions else ""

    def image(self, image_id: str, image: Pixels) -> Pixels:
        """Change an image, uint8 RGB [H, W, 3]; its size stays."""
        if not self.strength:
            return image
        amount = self._amount(image_id)
        if self._change.alter is not None:
            return self._change.alter(image, amount, _generator(self.change, image_id))
        return self._moved(image_id, image, amount)

    def mask(self, image_id: str, mask: Pixels) -> Pixels:
        """Change a mask, uint8 [H, W] in {0, 1}, as the image, which may have another size."""
        if not self.strength:
            return mask
        amount = self._amount(image_id)
        if self._change.alter_mask is not None:
            return self._change.alter_mask(mask, amount, _generator(self.change, image_id))
        return mask if self._change.view is None else self._moved(image_id, mask, amount)

    def _amount(self, image_id: str) -> float:
        amount = self._change.amounts[self.strength - 1]
        turned = self._change.directions is not None and _is_reversed(self.change, image_id)
        return self._change.directed(amount, reversed_=turned)

    def _moved(self, image_id: str, pixels: Pixels, amount: float) -> Pixels:
        assert self._change.view is not None
        size = pixels.shape[1], pixels.shape[0]
        return move(pixels, self._change.view(size, amount, _generator(self.change, image_id)))


def list_conditions(changes: Iterable[str]) -> list[Condition]:
    """The unchanged images, then each change at all strengths.

    Raises:
        HamError: a change does not exist.
    """
    conditions = [Condition(CLEAN, 0)]
    for name in dict.fromkeys(changes):
        if name not in CHANGES:
            raise HamError(f"--changes {name}: no such change; expected some of {', '.join(CHANGES)}")
        conditions += [Condition(name, strength) for strength in range(1, STRENGTHS + 1)]
    return conditions


def _is_reversed(change: str, image_id: str) -> bool:
    """Whether an image gets the second direction: about half of them."""
    return bool(np.random.default_rng([*_key(change, image_id), 1]).integers(2))


def _generator(change: str, image_id: str) -> np.random.Generator:
    return np.random.default_rng(_key(change, image_id))


def _key(change: str, image_id: str) -> list[int]:
    return [SEED, zlib.crc32(change.encode()), zlib.crc32(image_id.encode("utf-8", "surrogateescape"))]
