"""Masks drawn by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def mask(*rows: str) -> npt.NDArray[np.uint8]:
    """A mask from rows of "#" for lesion and "." for skin."""
    return np.array([[int(pixel == "#") for pixel in row] for row in rows], np.uint8)


TWO_PARTS = mask(
    ".......",
    ".####..",
    ".#..#..",
    ".####..",
    "......#",
    ".....#.",
)
