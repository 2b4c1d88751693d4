"""A table of results: one row per run, stored as JSON and printed as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.config import Config
from ham_keras.crossval_folder import CrossvalFolder
from ham_keras.environment import without_paths
from ham_keras.errors import HamError
from ham_keras.files import load_csv, load_json, save_json
from ham_keras.runs import check_name, load_run
from ham_keras.runs.named import check_is_run
from ham_keras.scores.bootstrap import interval_over, show_interval
from ham_keras.scores.pairing import read_scores
from ham_keras.scores.scores import THRESHOLD

Row = dict[str, Any]


def row_of_run(folder: Path | str, split: str | None = None, scored_set: str = "test") -> Row:
    """The results of a finished run, or of a cross-validation's folds as one ensemble, at the masks' own size.

    Args:
        split: the name of the split.
        scored_set: a folder in scores/: the test split, or what `evaluate --name` was given.

    Raises:
        HamError: the folder is neither, it is not finished, or the set was not scored.
    """
    check_name("--set", scored_set)
    crossval = CrossvalFolder(Path(folder))
    is_crossval = crossval.config.exists()
    runs = crossval.folds if is_crossval else [load_run(folder)[0]]
    check_is_run(runs[0].folder, "a row of results")
    if not all(run.finished for run in runs):
        raise HamError(f"{folder}: not finished yet; finish training first")
    scored = crossval.ensemble if is_crossval else runs[0]
    if not scored.summary(scored_set).exists():
        raise HamError(f"{scored.summary(scored_set)}: missing; score it first: python -m ham_keras.evaluate {folder}")
    config = crossval.load() if is_crossval else runs[0].load()
    environment, summary = load_json(runs[0].environment), load_json(scored.summary(scored_set))
    seconds = sum(float(row["seconds"]) for run in runs for row in load_csv(run.history))
    data = config.data
    by = (f"by {data.group_by}" if data.group_by else "by image") + (" and diagnosis" if data.stratify else "")
    return {
        "config": without_paths(environment["command"]),
        "weights": initial_weights(config),
        "split": split or (Path(data.split_file).name if data.split_file else f"{by}, seed {data.seed}"),
        "images": summary["images"],
        "lesions": summary["lesions"],
        "mean": summary["native"]["jaccard"]["mean"],
        "interval": summary["native"]["jaccard"]["interval"],
        "below_065": summary["native"]["below_0.65"],
        "minutes": round(seconds / 60, 1),
        "hardware": f"{environment['cpu']}, {environment['cpu_threads']} threads, {environment['precision']}",
        "date": environment["date"][:10],
    }


def initial_weights(config: Config) -> str:
    """What a network started from, in words: "random", "ImageNet", the name of a weights file, or another run."""
    model = config.model
    if model.initial_weights is not None:
        return f"from {Path(model.initial_weights).name}"
    if model.encoder_weights is None:
        return "random"
    name = Path(model.encoder_weights).name
    return "ImageNet" if "imagenet" in name.lower() else name


def row_of_scores(per_image: Path | str, lesions: Path | str) -> Row:
    """The results in a per_image.csv made elsewhere, with the lesion ids of a run scored on the same images.

    Raises:
        HamError: the two do not contain the same images.
    """
    values = {image_id: float(row["jaccard_native"]) for image_id, row in read_scores(per_image).items()}
    run, config = load_run(lesions)
    known = read_scores(run.scores("test") / "per_image.csv", ("lesion_id",))
    if values.keys() != known.keys():
        raise HamError(f"{per_image} and {lesions}: do not contain the same images")
    names = [known[image_id]["lesion_id"] for image_id in values]
    jaccard = np.array(list(values.values()))
    return {
        "images": len(values),
        "lesions": len(set(names)),
        "mean": float(jaccard.mean()),
        "interval": interval_over(jaccard.tolist(), names, resamples=config.score.bootstrap_resamples),
        "below_065": float(np.mean(jaccard < THRESHOLD)),
    }


def add_row(table: Path, row: Row) -> None:
    """Add a row to the table, replacing a row of the same name."""
    rows = load_table(table) if table.exists() else []
    names = [old["name"] for old in rows]
    if row["name"] in names:
        rows[names.index(row["name"])] = row
    else:
        rows.append(row)
    save_json(table, rows)


def load_table(table: Path) -> list[Row]:
    """The rows of a table.

    Raises:
        HamError: the file is not a table of results.
    """
    try:
        rows = load_json(table)
        if not isinstance(rows, list) or not all(isinstance(row["name"], str) for row in rows):
            raise ValueError("expected a list of rows with names")
        return rows
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HamError(f"{table}: not a table of results: {error}") from None


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        f"| | mean Jaccard | 95 % interval | below {THRESHOLD:g} | encoder | images | minutes | split |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['name']} | **{row['mean']:.4f}** | {show_interval(row['interval'], row.get('lesions'))} | "
            f"{100 * row['below_065']:.1f} % | {row.get('weights') or ''} | {row['images']} | {row['minutes']:.0f} | "
            f"{row['split']} |"
        )
    return "\n".join(lines)
