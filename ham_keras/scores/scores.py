"""Per-image confusion counts to the field's scores, and their summary with intervals.

The definitions are those of the ISIC challenge's own scorer (isic-challenge-scoring): an image without
any lesion, predicted empty, has Jaccard and Dice 1; a ratio over nothing is 1; the threshold Jaccard
keeps values of at least 0.65 and zeroes the rest; the mean is over images.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

SCORES = ("jaccard", "dice", "sensitivity", "specificity", "accuracy", "threshold_jaccard")
THRESHOLD = 0.65
SIZE_EDGES = (0.05, 0.10, 0.20, 0.40)  # lesion fractions of the image that part the size groups

Floats = npt.NDArray[np.float64]


def count(truth: npt.NDArray[Any], lesion: npt.NDArray[Any]) -> tuple[int, int, int, int]:
    """Count (tp, fp, fn, tn) of a prediction against a mask, two arrays of one shape; nonzero is lesion.

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


def bootstrap_interval(
    values: Sequence[float] | Floats, groups: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the mean of `values`, resampling whole groups (lesions).

    Images of one lesion are alike, so resampling images alone would claim too narrow an interval.
    For a paired comparison, pass the differences. Efron and Tibshirani, An Introduction to the
    Bootstrap (1993), chapter 13.
    """
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    sums, sizes = np.bincount(index, np.asarray(values, float)), np.bincount(index)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    for i in range(resamples):
        drawn = rng.integers(len(sums), size=len(sums))
        means[i] = sums[drawn].sum() / sizes[drawn].sum()
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def show_interval(interval: Sequence[float] | None) -> str:
    """An interval as text; of one lesion there is none."""
    return f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "one lesion only"


def size_group(lesion_fraction: float) -> str:
    """The name of the size group that a lesion fraction of the image (0..1) falls into."""
    edges = (0.0, *SIZE_EDGES, 1.0)
    place = int(np.searchsorted(SIZE_EDGES, lesion_fraction, side="right"))
    return f"{edges[place]:.0%} to {edges[place + 1]:.0%}"


def summarise(rows: Sequence[Mapping[str, Any]], *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Summarise per-image rows.

    Each row has image_id, lesion_id, diagnosis, lesion_fraction and `<score>_native`,
    `<score>_network` for each of `SCORES`: at the mask's own size and at the network's.

    Returns:
        {"images", "lesions", "native": {score: {"mean", "median", "interval"}, ..., "below_0.65"},
        "network": {...}, "by_diagnosis": {name: {...}}, "by_size": {name: {...}}}; the groups give images
        and the native Jaccard. Intervals are 95 % bootstraps over lesions, None where there is one lesion only.
    """
    lesions = [str(row["lesion_id"]) for row in rows]
    summary: dict[str, Any] = {"images": len(rows), "lesions": len(set(lesions))}
    for size in ("native", "network"):
        part: dict[str, Any] = {}
        for name in SCORES:
            values = np.array([row[f"{name}_{size}"] for row in rows], float)
            part[name] = spread(values, lesions, resamples=resamples, seed=seed)
        jaccard = np.array([row[f"jaccard_{size}"] for row in rows], float)
        part["below_0.65"] = float(np.mean(jaccard < THRESHOLD))
        summary[size] = part
    by_diagnosis = sorted(rows, key=lambda row: str(row["diagnosis"]))
    by_size = sorted(rows, key=lambda row: float(row["lesion_fraction"]))
    summary["by_diagnosis"] = _by_group(by_diagnosis, lambda row: str(row["diagnosis"]), resamples, seed)
    summary["by_size"] = _by_group(by_size, lambda row: size_group(float(row["lesion_fraction"])), resamples, seed)
    return summary


def spread(values: Floats, lesions: Sequence[str], *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """{"mean", "median", "interval"} of the values; the interval is None where all are of one lesion."""
    interval = list(bootstrap_interval(values, lesions, resamples=resamples, seed=seed))
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "interval": interval if len(set(lesions)) > 1 else None,
    }


def _by_group(
    rows: Sequence[Mapping[str, Any]], name_of: Callable[[Mapping[str, Any]], str], resamples: int, seed: int
) -> dict[str, Any]:
    """Images and native Jaccard of rows that lie side by side because they are of one group."""
    groups: dict[str, Any] = {}
    for name, members in itertools.groupby(rows, name_of):
        group = list(members)
        jaccard = np.array([row["jaccard_native"] for row in group], float)
        lesions = [str(row["lesion_id"]) for row in group]
        groups[name] = {
            "images": len(group),
            "jaccard": spread(jaccard, lesions, resamples=resamples, seed=seed),
            "below_0.65": float(np.mean(jaccard < THRESHOLD)),
        }
    return groups
