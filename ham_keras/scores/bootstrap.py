"""Bootstrap intervals of means over images, resampling lesions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ham_keras.settings import FEWEST_LESIONS

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


def interval_over(
    values: Sequence[float] | Floats, lesions: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> list[float] | None:
    """The `bootstrap_interval` as a list; None if all values are of one lesion."""
    if len(set(lesions)) < 2:
        return None
    return list(bootstrap_interval(values, lesions, resamples=resamples, seed=seed))


def show_interval(
    interval: Sequence[float] | None, lesions: int | None = None, *, signed: bool = False, decimals: int = 4
) -> str:
    """Format an interval: "one lesion only" if it is None; marked as "too few lesions" if it is over fewer than 10."""
    if not interval:
        return "one lesion only"
    low, high = (f"{bound:{'+' if signed else ''}.{decimals}f}" for bound in interval)
    few = lesions is not None and lesions < FEWEST_LESIONS
    return f"{low} to {high}" + (f", too few lesions ({lesions})" if few else "")


def spread(values: Floats, lesions: Sequence[str], *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """{"mean", "median", "interval"} of the values; the interval is None if all are of one lesion."""
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "interval": interval_over(values, lesions, resamples=resamples, seed=seed),
    }
