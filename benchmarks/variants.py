"""Train variants of one config and compare their scores, paired by image, with a bootstrap over lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.config import load_config
from ham_keras.data.records import Record
from ham_keras.environment import describe_environment
from ham_keras.files import load_csv, save_json
from ham_keras.prediction.ensemble import Ensemble
from ham_keras.prediction.evaluation import evaluate_ensemble
from ham_keras.runs import Run
from ham_keras.scores.bootstrap import interval_over
from ham_keras.scores.scores import THRESHOLD
from ham_keras.train import train

Row = dict[str, Any]
SCORES = {"jaccard": "jaccard_native", "hausdorff95_px": "hausdorff95_px"}  # names and columns of per_image.csv


@dataclass(frozen=True)
class Variant:
    """Runs that differ in their seed only. `rows` are those of per_image.csv by image id, one dict a run."""

    name: str
    runs: list[Run]
    rows: list[dict[str, dict[str, str]]]

    @property
    def minutes(self) -> float:
        """Of training a run."""
        if not self.runs:
            return 0.0
        seconds = [sum(float(row["seconds"]) for row in load_csv(run.history)) for run in self.runs]
        return float(np.mean(seconds)) / 60

    def column(self, name: str) -> np.ndarray:
        """A column in the images' order, averaged over the runs."""
        return np.array([[float(row[name]) for row in rows.values()] for rows in self.rows]).mean(axis=0)

    @property
    def lesions(self) -> list[str]:
        return [row["lesion_id"] for row in self.rows[0].values()]


def train_variant(name: str, config: str, overrides: Mapping[str, Any], runs: Path, seeds: int = 1) -> Variant:
    """Train and score a shipped config with `overrides`, once for each seed; finished runs are not repeated."""
    trained = []
    for seed in range(seeds):
        settings = {**overrides, "run.name": f"{name}-{seed}", "run.dir": str(runs), "train.seed": seed}
        trained.append(train(load_config(config, settings)).run)
    return Variant(name, trained, [rows_of(run, "test") for run in trained])


def score_rows(ensemble: Ensemble, home: Run, records: Sequence[Record], name: str) -> dict[str, dict[str, str]]:
    """The rows of scores/<name>/per_image.csv in `home` by image id; finished scorings are not repeated."""
    if not home.summary(name).exists():
        evaluate_ensemble(ensemble, home, records, name, {"data": name})
    return rows_of(home, name)


def rows_of(run: Run, name: str) -> dict[str, dict[str, str]]:
    return {row["image_id"]: row for row in load_csv(run.scores(name) / "per_image.csv")}


def describe(variant: Variant, reference: Variant | None = None) -> Row:
    """Mean Jaccard and 95 % Hausdorff distance with intervals; with a reference, also the differences to it."""
    row: Row = {
        "name": variant.name,
        "images": len(variant.lesions),
        "seeds": len(variant.runs),
        "below_065": float(np.mean(variant.column("jaccard_native") < THRESHOLD)),
        "minutes": round(variant.minutes, 1),
    }
    for name, column in SCORES.items():
        values = variant.column(column)
        row[name] = {"mean": float(values.mean()), "interval": interval_over(values, variant.lesions)}
    if reference is not None and reference is not variant:
        row |= differences(variant, reference)
    return row


def differences(variant: Variant, reference: Variant) -> Row:
    """The scores of `variant` minus those of `reference`, paired by image: {name_difference: {"mean", "interval"}}."""
    row: Row = {}
    for name, column in SCORES.items():
        difference = variant.column(column) - reference.column(column)
        interval = interval_over(difference, variant.lesions)
        row[f"{name}_difference"] = {"mean": float(difference.mean()), "interval": interval}
    return row


def save_table(rows: Sequence[Row], setting: Mapping[str, Any], path: Path) -> None:
    """Write the rows with the setting and the environment, and print them."""
    precision = "mixed_bfloat16 on a CPU that has it"
    save_json(path, {"setting": dict(setting), "environment": describe_environment("CPU", precision), "rows": rows})
    for row in rows:
        print({key: value for key, value in row.items() if value is not None})
