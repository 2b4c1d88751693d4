"""Banks of layers that are drawn once and combined with images: which layer an image gets, and mirrored how."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def pick_layers(bank: npt.NDArray[Any], uniform: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
    """Pick a layer for each image.

    Args:
        bank: [L, H, W, C].
        uniform: [N, 3], numbers in 0..1: the first chooses the layer, the others whether it is mirrored top-bottom and
            left-right, below 1/2.

    Returns:
        [N, H, W, C].
    """
    numbers = (uniform[:, 0] * len(bank)).astype(int)
    steps = np.where(uniform[:, 1:] < 0.5, -1, 1)
    return np.stack([bank[n, :: int(down), :: int(across)] for n, (down, across) in zip(numbers, steps, strict=True)])
