"""Plots of the scores of many images: the distribution of Jaccard, and what it depends on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from ham_keras.reports.pictures import save_figure
from ham_keras.scores.scores import THRESHOLD

Rows = Sequence[Mapping[str, Any]]

# Distinguishable in greyscale too.
POINTS, LINE, MARK = "#7a9cc6", "#12355b", "#c1440e"
WIDTH_IN = 5.6  # two fit side by side on a desktop, and the text is readable on a phone
BINS = np.linspace(0, 1, 41)
SIZE_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
WINDOW_SHARE, SMALLEST_WINDOW = 0.1, 5  # of the running median


def column(rows: Rows, name: str) -> np.ndarray:
    """Return a column as numbers."""
    return np.array([row[name] for row in rows], float)


def save_distribution(rows: Rows, path: Path) -> None:
    """Plot the histogram of Jaccard and, below it, the cumulative share of images."""
    values = column(rows, "jaccard_native")
    figure = Figure(figsize=(WIDTH_IN, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    above.hist(values, BINS, color=POINTS, edgecolor="white", linewidth=0.4)
    above.axvline(values.mean(), color=LINE, label=f"mean {values.mean():.4f}")
    above.axvline(float(np.median(values)), color=LINE, ls="--", label=f"median {np.median(values):.4f}")
    above.set(ylabel="images", title=f"Jaccard of {len(values)} images")
    below.ecdf(values, color=LINE)
    below.set(ylabel="images at or below", xlabel="Jaccard", xlim=(0, 1), ylim=(0, 1))
    below.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.axvline(THRESHOLD, color=MARK, ls=":", lw=1.8, label=f"{THRESHOLD}: {_share_below(values)} below")
    above.legend(loc="upper left")
    save_figure(figure, path)


def _share_below(values: np.ndarray) -> str:
    return f"{np.mean(values < THRESHOLD):.1%}"


def running_median(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return medians of x and y over a window sliding along x: a tenth of all points, at least 5.

    Returns:
        len(x) - window + 1 medians of each; empty if there are fewer points than the window.
    """
    order = np.argsort(x, kind="stable")
    window = max(SMALLEST_WINDOW, round(WINDOW_SHARE * len(x)))
    if len(x) < window:
        return np.empty(0), np.empty(0)
    slide = np.lib.stride_tricks.sliding_window_view
    return np.median(slide(x[order], window), axis=1), np.median(slide(y[order], window), axis=1)


def save_by_size(rows: Rows, path: Path) -> None:
    """Plot Jaccard against lesion size, on a logarithmic axis, with a running median."""
    fraction, jaccard = column(rows, "lesion_fraction"), column(rows, "jaccard_native")
    positive = fraction > 0  # a logarithmic axis cannot show empty masks
    figure = Figure(figsize=(WIDTH_IN, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.scatter(fraction[positive], jaccard[positive], s=12, color=POINTS, alpha=0.7, linewidths=0)
    axes.plot(*running_median(fraction[positive], jaccard[positive]), color=LINE, lw=2, label="running median")
    axes.axhline(THRESHOLD, color=MARK, ls=":", lw=1.8, label=f"{THRESHOLD}")
    axes.set(xscale="log", xlabel="lesion, % of the image", ylabel="Jaccard", ylim=(-0.02, 1.02))
    axes.set_title("Jaccard against lesion size")
    axes.set_xticks([tick for tick in SIZE_TICKS if tick >= min(fraction[positive], default=1) / 2])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    save_figure(figure, path)


def save_by_diagnosis(rows: Rows, groups: Mapping[str, Any], path: Path) -> None:
    """Plot Jaccard by diagnosis: every image, the quartiles, and the mean with its interval.

    `groups` is "by_diagnosis" of a summary.
    """
    values: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        values[str(row["diagnosis"])].append(float(row["jaccard_native"]))
    names = sorted(values, key=lambda name: len(values[name]))
    figure = Figure(figsize=(WIDTH_IN, 1.4 + 0.5 * len(names)), layout="constrained")
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    for place, name in enumerate(names):
        jitter = place + rng.uniform(-0.28, 0.28, len(values[name]))
        axes.scatter(values[name], jitter, s=9, color=POINTS, alpha=0.6, linewidths=0)
        spread = groups[name]["jaccard"]
        low, high = spread["interval"] or (spread["mean"], spread["mean"])
        axes.plot([low, high], [place, place], color=MARK, lw=3, zorder=4, solid_capstyle="butt")
        axes.plot([spread["mean"]], [place], "D", color=MARK, ms=5, mec="white", zorder=5)
    axes.boxplot(
        [values[name] for name in names],
        positions=range(len(names)),
        orientation="horizontal",
        widths=0.62,
        showfliers=False,
        boxprops={"color": LINE},
        medianprops={"color": LINE, "lw": 2},
        whiskerprops={"color": LINE},
        capprops={"color": LINE},
        manage_ticks=False,
    )
    axes.axvline(THRESHOLD, color=MARK, ls=":", lw=1.8)
    axes.set_yticks(range(len(names)), [f"{_escape(name)}\nn = {len(values[name])}" for name in names])
    axes.set(xlabel="Jaccard (box: quartiles; diamond: mean, 95 % interval)", xlim=(-0.02, 1.02))
    axes.set(title="Jaccard by diagnosis", ylim=(-0.6, len(names) - 0.4))
    axes.grid(alpha=0.3, axis="x")
    save_figure(figure, path)


def _escape(text: str) -> str:
    """Escape dollar signs, which matplotlib reads as mathematics."""
    return text.replace("$", r"\$")


def save_pairs(first: np.ndarray, second: np.ndarray, path: Path) -> None:
    """Plot each image's Jaccard in B against A, and the histogram of the differences."""
    figure = Figure(figsize=(WIDTH_IN, 7.6), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 1.2))
    above.scatter(first, second, s=12, color=POINTS, alpha=0.7, linewidths=0)
    above.plot([0, 1], [0, 1], color=LINE, lw=1)
    better = int(np.sum(first > second))
    worse = int(np.sum(first < second))
    above.text(0.97, 0.03, f"A better: {better} images", ha="right", va="bottom")
    above.text(0.03, 0.97, f"B better: {worse} images", ha="left", va="top")
    above.set(xlabel="Jaccard in A", ylabel="Jaccard in B", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    change = first - second
    reach = max(0.01, float(np.abs(change).max()))
    below.hist(change, np.linspace(-reach, reach, 42), color=POINTS, edgecolor="white", linewidth=0.4)
    below.axvline(0, color=LINE, lw=1)
    below.axvline(change.mean(), color=MARK, ls="--", lw=1.8, label=f"mean {change.mean():+.4f}")
    below.set(xlabel="difference in Jaccard, A minus B", ylabel="images")
    below.legend()
    for axes in (above, below):
        axes.grid(alpha=0.3)
    save_figure(figure, path)
