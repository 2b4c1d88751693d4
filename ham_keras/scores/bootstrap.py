"""Bootstrap intervals of means over images, resampling lesions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def bootstrap_interval(
    values: Sequence[float] | Floats, groups: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the mean of `values`, resampling whole groups (lesions).

    Images of one lesion are correlated, so resampling images would make the interval too narrow.
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


def bootstrap_statistic(
    statistic: Callable[[npt.NDArray[np.int64]], float], groups: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> list[float] | None:
    """95 % percentile interval of any statistic, resampling whole groups (lesions).

    Args:
        statistic: from the indices of the resampled images to a number; nan where it does not exist, e.g. because no
            image of a diagnosis was drawn. Such resamples are left out.

    Returns:
        None with a single group, or if the statistic exists in none of the resamples.
    """
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return None
    order = np.argsort(index, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(index))[:-1])
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(len(members), size=len(members)) for _ in range(resamples))
    values = np.array([statistic(np.concatenate([members[group] for group in groups])) for groups in drawn])
    values = values[~np.isnan(values)]
    return [float(limit) for limit in np.percentile(values, [2.5, 97.5])] if len(values) else None


def show_interval(interval: Sequence[float] | None) -> str:
    """Format an interval, which is None if there is only one lesion."""
    return f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "one lesion only"


def spread(values: Floats, lesions: Sequence[str], *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """{"mean", "median", "interval"} of the values; the interval is None if all are of one lesion."""
    interval = list(bootstrap_interval(values, lesions, resamples=resamples, seed=seed))
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "interval": interval if len(set(lesions)) > 1 else None,
    }
