"""The part of a report that compares expected Jaccard indices with the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ham_keras.reports.pictures import save_figure
from ham_keras.reports.plots import LINE, MARK, POINTS, WIDTH_IN, Rows, column
from ham_keras.scores.bootstrap import interval_over
from ham_keras.scores.quality import risk_coverage
from ham_keras.scores.scores import THRESHOLD
from ham_keras.settings import FEWEST_LESIONS

GROUPS = 10  # of equal size, of the reliability plot
SCATTER, RELIABILITY, RISK = "expected.png", "reliability.png", "risk.png"


def save_trust_plots(rows: Rows, folder: Path) -> None:
    """Save the scatter, the reliability plot and the risk-coverage curve of rows with an expected Jaccard index."""
    jaccard, expected, at_least = (
        column(rows, name) for name in ("jaccard_native", "expected_jaccard", "jaccard_at_least")
    )
    save_scatter(expected, jaccard, at_least, folder / SCATTER)
    save_reliability(expected, jaccard, [row["lesion_id"] for row in rows], folder / RELIABILITY)
    save_risk_coverage(expected, jaccard, folder / RISK)


def save_scatter(expected: np.ndarray, jaccard: np.ndarray, at_least: np.ndarray, path: Path) -> None:
    """Plot the true against the expected Jaccard index; images below their lower bound are marked."""
    figure = Figure(figsize=(WIDTH_IN, 5.2), layout="constrained")
    axes = figure.subplots()
    below = jaccard < at_least
    axes.scatter(expected[~below], jaccard[~below], s=12, color=POINTS, alpha=0.7, linewidths=0)
    label = f"below jaccard_at_least: {below.mean():.1%}"
    axes.scatter(expected[below], jaccard[below], s=16, color=MARK, alpha=0.9, linewidths=0, label=label)
    axes.plot([0, 1], [0, 1], color=LINE, lw=1)
    axes.axhline(THRESHOLD, color=MARK, ls=":", lw=1.2)
    axes.axvline(THRESHOLD, color=MARK, ls=":", lw=1.2, label=f"{THRESHOLD}")
    axes.set(xlabel="expected Jaccard", ylabel="Jaccard", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title("Expected and true Jaccard")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    save_figure(figure, path)


def save_reliability(expected: np.ndarray, jaccard: np.ndarray, lesions: Sequence[str], path: Path) -> None:
    """Plot the mean true against the mean expected Jaccard index of groups of images with similar expectations.

    Intervals are bootstraps over lesions; a group of a single lesion has none.
    """
    groups = [each for each in np.array_split(np.argsort(expected, kind="stable"), GROUPS) if len(each)]
    figure = Figure(figsize=(WIDTH_IN, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=LINE, lw=1, label="as expected")
    means = np.array([(expected[each].mean(), jaccard[each].mean()) for each in groups])
    of_group = [[lesions[place] for place in each] for each in groups]
    intervals = [
        interval_over(jaccard[each], its) or (np.nan, np.nan) for each, its in zip(groups, of_group, strict=True)
    ]
    reach = np.abs(np.array(intervals) - means[:, 1:]).T
    few = ", some of too few lesions" if any(len(set(its)) < FEWEST_LESIONS for its in of_group) else ""
    label = f"groups of equal size{few}"
    axes.errorbar(means[:, 0], means[:, 1], yerr=reach, fmt="o", color=MARK, ms=5, label=label)
    axes.set(xlabel="mean expected Jaccard", ylabel="mean Jaccard (95 % interval by lesion)", xlim=(-0.02, 1.02))
    axes.set(ylim=(-0.02, 1.02), title="Reliability")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    save_figure(figure, path)


def save_risk_coverage(expected: np.ndarray, jaccard: np.ndarray, path: Path) -> None:
    """Plot the mean loss, 1 - Jaccard, of the images kept if the least trusted are set aside."""
    share = np.arange(1, len(jaccard) + 1) / len(jaccard)
    figure = Figure(figsize=(WIDTH_IN, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, order, colour, style in (
        ("by expected Jaccard", expected, MARK, "-"),
        ("perfect order", jaccard, LINE, "--"),
        ("no order", np.zeros_like(jaccard), POINTS, ":"),
    ):
        risk = risk_coverage(jaccard, order)
        axes.plot(share, risk, color=colour, ls=style, label=f"{name}: AURC {risk.mean():.4f}")
    axes.set(xlabel="images kept", ylabel="mean of 1 - Jaccard", xlim=(0, 1), title="Risk against coverage")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    save_figure(figure, path)
