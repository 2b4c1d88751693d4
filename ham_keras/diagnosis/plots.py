"""Plots of a classifier's scores: ROC curves, reliability, confusion matrix, importances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ham_keras.diagnosis.trees import Floats, Labels
from ham_keras.reports.pictures import save_figure
from ham_keras.reports.plots import LINE, MARK, POINTS, WIDTH_IN
from ham_keras.scores.classification import MELANOMA, auc

LARGEST_IMPORTANCES = 20
SHADES = ("#12355b", "#7a9cc6", "#c1440e", "#e0a458", "#3f7d58", "#8d6a9f", "#5d626b")


def save_roc(probabilities: Floats, labels: Labels, classes: Sequence[str], path: Path) -> None:
    """Plot the ROC curve of each diagnosis against the rest; melanoma's is thick."""
    figure = Figure(figsize=(WIDTH_IN, 5.2), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(classes):
        positive = labels == place
        if positive.all() or not positive.any():
            continue
        false, true = roc_curve(probabilities[:, place], positive)
        label = f"{name} ({int(positive.sum())} images): {auc(probabilities[:, place], positive):.3f}"
        axes.plot(
            false, true, color=SHADES[place % len(SHADES)], lw=3 if name == MELANOMA else 1.4, label=label,
            drawstyle="steps-post",
        )  # fmt: skip
    axes.plot([0, 1], [0, 1], color="#5d626b", ls=":", lw=1)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01), title="One against the rest")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", title="area under the curve")
    save_figure(figure, path)


def roc_curve(scores: Floats, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 - specificity and sensitivity at each threshold, from (0, 0) to (1, 1)."""
    order = np.argsort(-scores, kind="stable")
    hits, ordered = positive[order], scores[order]
    last = np.append(ordered[1:] != ordered[:-1], True)  # equal scores change sides together
    true, false = np.cumsum(hits)[last] / positive.sum(), np.cumsum(~hits)[last] / (~positive).sum()
    return np.append(0, false), np.append(0, true)


def save_reliability(bins: Sequence[Mapping[str, float]], path: Path) -> None:
    """Plot accuracy against confidence, and how many images have each confidence."""
    figure = Figure(figsize=(WIDTH_IN, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence = [each["confidence"] for each in bins]
    above.plot([0, 1], [0, 1], color="#5d626b", ls=":", label="calibrated")
    above.plot(confidence, [each["accuracy"] for each in bins], "o-", color=LINE, label="this classifier")
    above.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02), title="Reliability")
    above.legend(loc="upper left")
    below.bar(confidence, [each["images"] for each in bins], width=0.06, color=POINTS)
    below.set(xlabel="probability of the most probable diagnosis", ylabel="images")
    for axes in (above, below):
        axes.grid(alpha=0.3)
    save_figure(figure, path)


def save_confusion(counts: Sequence[Sequence[int]], classes: Sequence[str], path: Path) -> None:
    """Draw the confusion matrix: numbers of images, shaded by the share of each true diagnosis."""
    numbers = np.array(counts)
    shares = numbers / np.maximum(numbers.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(WIDTH_IN, 4.9), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), number in np.ndenumerate(numbers):
        colour = "white" if shares[row, column] > 0.55 else "#22252b"
        axes.text(column, row, str(number), ha="center", va="center", color=colour)
    places = range(len(classes))
    axes.set_xticks(places, classes)
    axes.set_yticks(places, [f"{name} ({total})" for name, total in zip(classes, numbers.sum(1), strict=True)])
    axes.set(xlabel="answer", ylabel="diagnosis", title="Confusion matrix")
    save_figure(figure, path)


def save_bars(labels: Sequence[str], values: Sequence[float], xlabel: str, title: str, path: Path) -> None:
    """Plot horizontal bars, the first on top."""
    figure = Figure(figsize=(WIDTH_IN, 1.2 + 0.26 * len(labels)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(labels)), values, color=POINTS)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.axvline(0, color=MARK, lw=1)
    axes.set(xlabel=xlabel, title=title)
    axes.grid(alpha=0.3, axis="x")
    save_figure(figure, path)


def save_importances_plot(rows: Sequence[Mapping[str, Any]], path: Path, words: Mapping[str, str]) -> None:
    """Plot the features with the largest mean |SHAP|, named in `words`."""
    shown = rows[:LARGEST_IMPORTANCES]
    labels = [words[row["feature"]] for row in shown]
    xlabel = "mean change of the log-odds of a diagnosis"
    save_bars(labels, [float(row["shap"]) for row in shown], xlabel, "Features that matter most", path)
