"""Post-processing: from probabilities to a mask. serving/postprocessing.py does the same in an exported graph."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.settings import Outline

Mask = npt.NDArray[np.uint8]
Probability = npt.NDArray[np.float32]


def postprocess(probability: Probability, outline: Outline) -> Mask:
    """Turn probabilities, float32 [H, W], into a mask, uint8 [H, W] in {0, 1}.

    Holes are filled before the largest part is chosen. The threshold is compared in float32, as in the exported graph.
    """
    mask = (probability > np.float32(outline.threshold)).astype(np.uint8)
    if outline.fill_holes:
        mask = fill_holes(mask)
    return keep_largest(mask) if outline.keep_largest else mask


def grey_levels(probability: Probability, bits: int) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Convert probabilities, 0..1, to integers from 0 to 2**bits - 1: uint8 or uint16."""
    return np.rint(probability.astype(np.float64) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def fill_holes(mask: Mask) -> Mask:
    """Fill holes in the lesion. Skin connected to the image's edge is not a hole."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(mask), contours, -1, 1, cv2.FILLED), np.uint8)


def keep_largest(mask: Mask) -> Mask:
    """Keep only the largest 8-connected component.

    If several are equally large, keep the one with the topmost, then leftmost, pixel.
    """
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count <= 2:
        return mask
    areas = statistics[1:, cv2.CC_STAT_AREA]
    largest = 1 + np.flatnonzero(areas == areas.max())
    # OpenCV labels components by blocks of 2x2 pixels, so the lowest label is not always the topmost component.
    first = largest[0] if len(largest) == 1 else labels[np.isin(labels, largest)][0]
    return (labels == first).astype(np.uint8)
