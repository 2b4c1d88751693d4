"""Segmentation scores of one image, from its confusion counts.

The definitions are those of the official ISIC challenge scorer (isic-challenge-scoring): Jaccard and Dice are 1
if mask and prediction are both empty; a ratio with denominator 0 is 1; the threshold Jaccard is the Jaccard, or 0
below 0.65; means are over images.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SCORES = ("jaccard", "dice", "sensitivity", "specificity", "accuracy", "threshold_jaccard")
THRESHOLD = 0.65


def count(truth: npt.NDArray[Any], lesion: npt.NDArray[Any]) -> tuple[int, int, int, int]:
    """Count (tp, fp, fn, tn) of a prediction against a mask of the same shape; nonzero is lesion.

    Raises:
        ValueError: the shapes differ.
    """
    if truth.shape != lesion.shape:
        raise ValueError(f"mask {truth.shape} and prediction {lesion.shape} differ in shape")
    truth, lesion = truth.astype(bool), lesion.astype(bool)
    tp = int(np.count_nonzero(truth & lesion))
    fp = int(np.count_nonzero(lesion)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return tp, fp, fn, truth.size - tp - fp - fn


def score(tp: int, fp: int, fn: int, tn: int) -> dict[str, float]:
    """All of `SCORES` from the counts of one image."""
    jaccard = _ratio(tp, tp + fp + fn)
    return {
        "jaccard": jaccard,
        "dice": _ratio(2 * tp, 2 * tp + fp + fn),
        "sensitivity": _ratio(tp, tp + fn),
        "specificity": _ratio(tn, tn + fp),
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
        "threshold_jaccard": jaccard if jaccard >= THRESHOLD else 0.0,
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
