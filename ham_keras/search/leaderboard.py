"""Leaderboard of a search, read from its trial folders: printed table, CSV and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ham_keras.files import load_csv, load_json, save_csv
from ham_keras.reports.pictures import PREDICTION, save_figure
from ham_keras.runs import Run
from ham_keras.runs.history import best_row
from ham_keras.search.folder import SearchFolder
from ham_keras.search.space import Range, TuneConfig

Row = dict[str, Any]


def read_leaderboard(search: SearchFolder, config: TuneConfig) -> list[Row]:
    """Return one row per trial, best validation Jaccard first, trials without one last.

    `epochs` includes the epochs of the trials that this trial continues. `seconds` and `memory_mb` (peak) only cover
    the trial's own process.
    """
    rows = [_read_trial(path, search, config) for path in sorted(search.trials.glob("trial_*/trial.json"))]
    rows.sort(key=lambda row: (row["val_jaccard"] is None, -(row["val_jaccard"] or 0), row["trial"]))
    return [{"rank": rank, **row} for rank, row in enumerate(rows, 1)]


def _read_trial(path: Path, search: SearchFolder, config: TuneConfig) -> Row:
    trial, run = load_json(path), Run(path.parent)
    values = trial["hyperparameters"]["values"]
    history = load_csv(run.history) if run.history.exists() else []
    outcome_path = search.outcome(trial["trial_id"])
    outcome = load_json(outcome_path) if outcome_path.exists() else {}
    searched = {key: space.decode(values[key]) for key, space in config.space.items()}
    monitor = searched.get("train.monitor", config.train.monitor)
    best = best_row(history, monitor) if history else None
    message = (trial["message"] or "").strip().splitlines()
    return {
        "trial": trial["trial_id"],
        "status": trial["status"].lower(),
        "val_jaccard": trial["score"] if trial["status"] == "COMPLETED" else None,
        "best_epoch": int(best["epoch"]) if best else None,
        "epochs": int(history[-1]["epoch"]) if history else 0,
        **searched,
        "seconds": outcome.get("seconds"),
        "memory_mb": outcome.get("memory_mb"),
        "error": outcome.get("error") or (message[-1] if message else None),
    }


def save_leaderboard(search: SearchFolder, config: TuneConfig) -> list[Row]:
    """Write leaderboard.csv and the figures; returns the rows."""
    rows = read_leaderboard(search, config)
    if rows:
        save_csv(search.leaderboard, rows)
        objective, parameters = search.pictures
        save_objective(rows, objective)
        save_parameters(rows, config, parameters)
    return rows


def print_leaderboard(rows: Sequence[Row], config: TuneConfig, limit: int = 10) -> None:
    """Print the best rows, and the errors of failed trials."""
    keys = list(config.space)
    widths = {key: max([len(key), *(len(_show(row[key])) for row in rows)]) + 2 for key in keys}
    print(f"{'rank':>4}  {'trial':6}{'Jaccard':>8}{'epochs':>8}" + "".join(f"{key:>{widths[key]}}" for key in keys))
    for row in [row for row in rows if row["val_jaccard"] is not None][:limit]:
        print(
            f"{row['rank']:>4}  {row['trial']:6}{row['val_jaccard']:8.4f}{row['epochs']:>8}"
            + "".join(f"{_show(row[key]):>{widths[key]}}" for key in keys)
        )
    for row in rows:
        if row["status"] == "failed":
            print(f"   -  {row['trial']:6}failed: {row['error']}")


def _show(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def save_objective(rows: Sequence[Row], path: Path) -> None:
    """Plot the objective of each trial in order, with the best so far; failed trials are marked at the bottom."""
    rows = sorted(rows, key=lambda row: row["trial"])
    figure = Figure(figsize=(9, 4.2))
    axes = figure.subplots()
    numbers = [number for number, row in enumerate(rows) if row["val_jaccard"] is not None]
    values = [rows[number]["val_jaccard"] for number in numbers]
    if values:
        points = axes.scatter(numbers, values, c=[rows[n]["epochs"] for n in numbers], cmap="viridis", s=36, zorder=3)
        axes.step(numbers, np.maximum.accumulate(values), where="post", color=PREDICTION, label="best so far")
        if len({rows[n]["epochs"] for n in numbers}) > 1:
            figure.colorbar(points, ax=axes, label="epochs trained")
    failed = [number for number, row in enumerate(rows) if row["status"] == "failed"]
    if failed:
        bottom = axes.get_xaxis_transform()
        axes.scatter(failed, [0.03] * len(failed), marker="x", color="black", transform=bottom, label="failed")
    axes.set(title="Search: best validation Jaccard of each trial", xlabel="trial", ylabel="mean Jaccard")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if values or failed:
        axes.legend(loc="lower right")
    save_figure(figure, path)


def save_parameters(rows: Sequence[Row], config: TuneConfig, path: Path) -> None:
    """Plot the objective against each hyperparameter, on a log axis if its range is logarithmic."""
    rows = [row for row in rows if row["val_jaccard"] is not None]
    columns = min(3, len(config.space))
    lines = -(-len(config.space) // columns)
    figure = Figure(figsize=(1 + 4 * columns, 3.6 * lines), layout="constrained")
    grid = np.atleast_1d(figure.subplots(lines, columns, sharey=True)).ravel()
    for axes in grid[len(config.space) :]:
        axes.set_axis_off()
    for axes, (key, space) in zip(grid, config.space.items(), strict=False):
        positions = _x_positions(axes, [row[key] for row in rows], space)
        points = axes.scatter(
            positions, [row["val_jaccard"] for row in rows], c=[row["epochs"] for row in rows], s=36, zorder=3
        )
        if rows:
            axes.scatter(positions[:1], [rows[0]["val_jaccard"]], s=130, facecolors="none", edgecolors=PREDICTION)
        axes.set(xlabel=key, title=f"{key}: best circled" if key == next(iter(config.space)) else key)
        axes.grid(alpha=0.3)
    for axes in grid[::columns]:
        axes.set_ylabel("mean validation Jaccard")
    if len({row["epochs"] for row in rows}) > 1:
        figure.colorbar(points, ax=grid.tolist(), label="epochs trained")
    save_figure(figure, path)


def _x_positions(axes: Axes, values: Sequence[Any], space: Range) -> list[float]:
    """Set up the x axis for a range; returns the positions of the values on it."""
    if space.choice is not None:
        axes.set_xticks(range(len(space.choice)), [str(choice) for choice in space.choice])
        axes.set_xlim(-0.5, len(space.choice) - 0.5)
        return [float(space.choice.index(value)) for value in values]
    if space.log is not None:
        axes.set_xscale("log")
    axes.set_xlim(space.lowest, space.highest)
    return [float(value) for value in values]
