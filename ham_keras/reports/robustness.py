"""Plots and tables of a run's scores on changed images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ham_keras.data.changes.catalogue import CHANGES, STRENGTHS
from ham_keras.errors import warn
from ham_keras.files import load_json
from ham_keras.reports.pictures import save_figure
from ham_keras.reports.plots import LINE, MARK, POINTS
from ham_keras.runs import Run
from ham_keras.scores.bootstrap import show_interval
from ham_keras.scores.scores import THRESHOLD
from ham_keras.settings import FEWEST_LESIONS
from ham_keras.trust.file import file_digest

Summary = Mapping[str, Any]
COLUMNS = 5  # panels in a row
PANEL_IN = (2.35, 2.0)
LEAST_GAP = 0.04  # between the two directions of a change that are shown
COLOURS = (LINE, MARK)  # of the runs; the expected Jaccard of each is dashed


def load_robustness(run: Run, name: str) -> dict[str, Any] | None:
    """The summary of a run's scores on changed images of a set; None if there is none, or of changes.

    Warns if it is damaged, or of other weights than the run has now.
    """
    path = run.robustness(name) / "summary.json"
    if not path.exists():
        return None
    try:
        summary = dict(load_json(path))
        if summary["weights_sha256"] != file_digest(run.weights):
            warn(f"{path}: of other weights; left out of the report; measure again with --overwrite")
            return None
        return summary if summary["changes"] else None
    except (OSError, ValueError, KeyError, TypeError):
        warn(f"{path}: damaged; left out of the report; write it again with `python -m ham_keras.robustness`")
        return None


def save_panels(summaries: Sequence[Summary], path: Path) -> None:
    """Plot the mean Jaccard against the strength, with a small panel per change: of one run, or of two."""
    names = [name for name in CHANGES if all(name in each["changes"] for each in summaries)]
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(max(columns * PANEL_IN[0], 4), rows * PANEL_IN[1] + 0.7), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(grid.flat, names, strict=False):
        for summary, colour in zip(summaries, COLOURS, strict=False):
            _plot_change(axes, summary, name, colour, directions=len(summaries) == 1)
        change = CHANGES[name]
        axes.set_title(change.title, fontsize=10)
        axes.set_xticks(range(STRENGTHS + 1), ["clean", *(f"{amount:g}" for amount in change.amounts)], fontsize=7)
        axes.set_xlabel(change.unit, fontsize=7, labelpad=1)
        axes.axhline(THRESHOLD, color=POINTS, ls=":", lw=1)
        axes.grid(alpha=0.3)
        axes.tick_params(axis="y", labelsize=8)
    for axes in grid[:, 0]:
        axes.set_ylabel("mean Jaccard", fontsize=8)
    lines = {str(line.get_label()): line for axes in grid.flat for line in axes.lines}
    legend = [(line, label) for label, line in lines.items() if not label.startswith("_")]
    figure.legend(*zip(*legend, strict=True), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    save_figure(figure, path)


def _plot_change(axes: Any, summary: Summary, name: str, colour: str, *, directions: bool) -> None:
    """Plot one run's curve with its interval, its expected Jaccard, and points for the two directions."""
    parts = [{"strength": 0, **summary["clean"]}, *summary["changes"][name]["strengths"]]
    x = [part["strength"] for part in parts]
    run = _label(str(summary["run"]))
    axes.plot(x, [part["jaccard"]["mean"] for part in parts], "o-", ms=3, color=colour, lw=1.6, label=run)
    intervals = [part["jaccard"]["interval"] or [part["jaccard"]["mean"]] * 2 for part in parts]
    axes.fill_between(x, *zip(*intervals, strict=True), color=colour, alpha=0.15, lw=0)
    if all("expected_jaccard" in part for part in parts):
        expected = [part["expected_jaccard"] for part in parts]
        axes.plot(x, expected, "--", color=colour, lw=1.2, label=f"{run}: expected Jaccard")
    if directions:
        _plot_directions(axes, parts[1:])


def _plot_directions(axes: Any, parts: Sequence[Summary]) -> None:
    """Plot the two directions of a change as points, if they differ at the highest strength."""
    known = [part for part in parts if len(part.get("directions", {})) == 2]
    if not known:
        return
    ends = {name: entry["jaccard"]["mean"] for name, entry in known[-1]["directions"].items()}
    if max(ends.values()) - min(ends.values()) < LEAST_GAP:
        return
    x = [part["strength"] for part in known]
    upper = max(ends, key=lambda name: ends[name])
    for name, end in ends.items():
        values = [part["directions"][name]["jaccard"]["mean"] for part in known]
        axes.plot(x, values, "^" if name == upper else "v", ms=3, color=POINTS, label="_direction")
        axes.annotate(
            name, (x[-1], end), (-5, 0), textcoords="offset points", fontsize=6.5, color=LINE, ha="right",
            va="bottom" if name == upper else "top",
        )  # fmt: skip


def _label(text: str) -> str:
    """A text without what matplotlib reads as mathematics or as a hidden label."""
    return text.replace("$", r"\$").lstrip("_") or "run"


def save_expected(summary: Summary, path: Path) -> bool:
    """Plot the mean Jaccard of each condition against the mean expected one; returns False without a trust.json."""
    if "trust" not in summary:
        return False
    figure = Figure(figsize=(6.2, 5.2), layout="constrained")
    axes = figure.subplots()
    clean = summary["clean"]
    origin = np.array([clean["expected_jaccard"], clean["jaccard"]["mean"]])
    for name, change in summary["changes"].items():
        places = np.array(
            [origin, *((part["expected_jaccard"], part["jaccard"]["mean"]) for part in change["strengths"])]
        )
        axes.plot(places[:, 0], places[:, 1], lw=0.8, color="#9aa0a8", zorder=1)
        if np.abs(places[-1] - origin).max() > LEAST_GAP:
            axes.annotate(
                CHANGES[name].title, places[-1], (-6, 0), textcoords="offset points", fontsize=7, color=LINE,
                ha="right", va="center",
            )  # fmt: skip
    parts = [part for change in summary["changes"].values() for part in change["strengths"]]
    points = axes.scatter(
        [part["expected_jaccard"] for part in parts], [part["jaccard"]["mean"] for part in parts],
        c=[100 * part["review"] for part in parts], s=20, cmap="cividis", vmin=0, vmax=100, zorder=2,
    )  # fmt: skip
    figure.colorbar(points, label="review advised, % of the images")
    axes.plot(*origin, "D", color=MARK, ms=7, label="unchanged", ls="", zorder=3)
    low = min([*axes.get_xlim(), *axes.get_ylim()])
    high = max([*axes.get_xlim(), *axes.get_ylim()])
    axes.plot([low, high], [low, high], color=LINE, lw=1, label="as expected")
    axes.set(xlabel="mean expected Jaccard", ylabel="mean Jaccard")
    axes.set_title("Does the expected Jaccard fall where Jaccard falls?", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    save_figure(figure, path)
    return True


def rank_changes(summary: Summary) -> list[dict[str, Any]]:
    """The changes with the largest mean loss first: {"name", "title", "loss", "jaccard", "last"}.

    "last" is the summary of the highest strength.
    """
    ranked = [
        {"name": name, "title": CHANGES[name].title, **{key: change[key] for key in ("loss", "jaccard")},
         "last": change["strengths"][-1]}
        for name, change in summary["changes"].items() if change["strengths"]
    ]  # fmt: skip
    return sorted(ranked, key=lambda entry: -entry["loss"]["mean"])


def format_robustness(summary: Summary) -> str:
    """Format a summary as plain text: the changes by their mean loss, then the properties of the images."""
    clean = summary["clean"]
    heads = f"{'':16}{'Jaccard':>8}{'loss':>8}  {'95 % interval':20}{'strongest':>9}{'< 0.65':>8}"
    lines = [heads + (f"{'expected':>9}{'review':>8}" if "expected_jaccard" in clean else "")]
    lines.append(_line("unchanged", clean["jaccard"], None, clean))
    lines += [_line(each["title"], each["jaccard"], each["loss"], each["last"]) for each in rank_changes(summary)]
    if "mean" in summary:
        lines.append(_line("all changes", summary["mean"]["jaccard"], summary["mean"]["loss"], None))
    if clean["lesions"] < FEWEST_LESIONS:
        few = "too few lesions" if clean["lesions"] > 1 else "one lesion only"
        lines.append(f"{'':16}intervals over {clean['lesions']} lesions: {few}")
    if "trust" in summary:
        trust = summary["trust"]
        pearson, auroc, means = (
            "none" if trust[name] is None else f"{trust[name]:.4f}" for name in ("pearson", "auroc", "pearson_of_means")
        )
        failures, images = trust["failures"], trust["images"]
        advised = trust["review"] / images
        lines.append(f"\na review is advised for {advised:.1%} of all changed images, and for {trust['caught']} of the")
        lines[-1] += f" {failures} below {THRESHOLD}"
        lines.append(
            f"expected Jaccard over all changed images: Pearson {pearson}, AUROC of Jaccard < {THRESHOLD} {auroc}, "
            f"jaccard_at_least holds for {trust['at_least_coverage']:.1%};\n"
            f"over the means of the conditions: Pearson {means}"
        )
    for name, groups in summary["properties"].items():
        lines.append(f"\nunchanged, by {name}")
        for group, part in groups.items():
            interval = show_interval(part["jaccard"]["interval"], part["lesions"])
            expected = f", expected {part['expected_jaccard']:.4f}" if "expected_jaccard" in part else ""
            mean = part["jaccard"]["mean"]
            lines.append(f"  {group:18}{mean:8.4f}  {interval:18}{part['images']:5} images{expected}")
    return "\n".join(lines)


def _line(title: str, jaccard: Summary, loss: Summary | None, last: Summary | None) -> str:
    low, high = (loss and loss["interval"]) or (np.nan, np.nan)
    interval = "" if np.isnan(low) else f"{low:+.4f} to {high:+.4f}"
    line = f"{title:16}{jaccard['mean']:8.4f}{'' if loss is None else format(loss['mean'], '+.4f'):>8}  {interval:20}"
    if last is not None:
        line += f"{last['jaccard']['mean']:9.4f}{last['below_0.65']:8.1%}"
        if "expected_jaccard" in last:
            line += f"{last['expected_jaccard']:9.4f}{last['review']:8.1%}"
    return line.rstrip()
