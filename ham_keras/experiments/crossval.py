"""K-fold cross-validation: its folds and the out-of-fold scores."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.config import Config
from ham_keras.crossval_folder import CrossvalConfig, CrossvalFolder
from ham_keras.data.folds import fold_split, make_folds
from ham_keras.data.records import Record
from ham_keras.data.selection import select_subsets
from ham_keras.errors import HamError
from ham_keras.files import load_csv, replacing_folder, save_csv, save_json
from ham_keras.scores.quality import quality_of_rows
from ham_keras.scores.summary import summarise


def open_crossval(config: CrossvalConfig, *, overwrite: bool = False) -> AbstractContextManager[CrossvalFolder]:
    """Open the cross-validation folder of a config; see `WorkFolder.opened`."""
    return CrossvalFolder(Path(config.run.dir) / str(config.run.name)).opened(config, overwrite=overwrite)


def draw_folds(config: CrossvalConfig, folder: CrossvalFolder, records: Sequence[Record]) -> list[Record]:
    """Write the split of each fold if it does not exist yet, and return the records of all folds.

    All images of the config's split are assigned to folds. With `data.split_file`, its "test" images are held out, so
    that all folds can be scored on them.

    Raises:
        HamError: see `select_subsets` and `make_folds`.
    """
    sides = select_subsets(config.data, folder.split, list(records))
    kept = ("train", "val") if config.data.split_file is not None else ("train", "val", "test")
    used = [record for side in kept for record in sides[side]]
    options: dict[str, Any] = {"seed": config.data.seed, "group_by": config.data.group_by}
    folds = make_folds(used, config.folds, **options)
    val_share = len(sides["val"]) / (len(sides["train"]) + len(sides["val"]))
    for number in range(config.folds):
        path = folder.splits / f"fold_{number}.json"
        if not path.exists():
            save_json(path, fold_split(used, folds, number, val_share, **options))
    return used


def fold_config(config: CrossvalConfig, folder: CrossvalFolder, number: int) -> Config:
    """The config of one fold's run."""
    settings = config.model_dump(by_alias=True, exclude={"folds"})
    settings["run"] = {"name": folder.fold(number).folder.name, "dir": str(folder.folder)}
    settings["data"] |= {"split_file": str((folder.splits / f"fold_{number}.json").resolve()), "sample": None}
    return Config.model_validate(settings)


def save_out_of_fold(config: CrossvalConfig, folder: CrossvalFolder) -> dict[str, Any]:
    """Write oof/ from the finished folds: per_image.csv, summary.json and masks/.

    Returns:
        The content of summary.json: as `summarise`, and "folds": the mean Jaccard of each fold at the masks' own size,
        their "mean" and their standard deviation "std".

    Raises:
        HamError: a fold lacks the mask of an image, because it was scored again without.
    """
    rows: list[dict[str, Any]] = []
    with replacing_folder(folder.out_of_fold) as part:
        (part / "masks").mkdir()
        for number in range(config.folds):
            scores = folder.fold(number).scores("test")
            scored = load_csv(scores / "per_image.csv")
            rows += [{**row, "fold": number} for row in scored]
            for row in scored:
                name = f"{row['image_id']}_segmentation.png"
                mask, target = scores / "masks" / name, part / "masks" / name
                if not mask.exists():
                    run = folder.fold(number).folder
                    raise HamError(f"{mask}: missing; run `python -m ham_keras.evaluate {run} --save-masks` again")
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(mask, target)
        rows.sort(key=lambda row: row["image_id"])
        common = [name for name in rows[0] if all(name in row for row in rows)]  # a small fold has no trust.json
        rows = [{name: row[name] for name in common} for row in rows]
        save_csv(part / "per_image.csv", rows)
        means = [_mean_jaccard([row for row in rows if row["fold"] == number]) for number in range(config.folds)]
        summary: dict[str, Any] = {"run": folder.folder.name, "set": "oof"}
        summary |= summarise(rows, resamples=config.score.bootstrap_resamples)
        if quality := quality_of_rows(rows):
            summary["trust"] = quality
        summary["folds"] = {"jaccard": means, "mean": float(np.mean(means)), "std": float(np.std(means, ddof=1))}
        save_json(part / "summary.json", summary)
    return summary


def _mean_jaccard(rows: Sequence[dict[str, Any]]) -> float:
    return float(np.mean([float(row["jaccard_native"]) for row in rows]))


def _link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it if the file system has no links."""
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
