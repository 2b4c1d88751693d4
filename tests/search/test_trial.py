"""One trial: the run it trains, and all possible outcomes."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.config import load_config, load_config_as, parse_config_as, to_json
from ham_keras.data.records import find_records
from ham_keras.errors import HamError
from ham_keras.files import load_csv, save_json, save_text
from ham_keras.runs import Run
from ham_keras.search import trial as trial_module
from ham_keras.search.folder import SearchFolder
from ham_keras.search.space import TuneConfig
from ham_keras.search.trial import train_trial
from ham_keras.search.tuner import build_hyperparameters

SPACE = {
    "train.batch_size": {"choice": [4, 6]},
    "train.learning_rate": {"log": [1e-4, 1e35]},
    "train.schedule.warmup_epochs": {"linear": [0, 2]},
}


def make_search(folder: Path, phantoms: Path, **sections: Any) -> SearchFolder:
    settings = {
        "run": {"name": "tune", "dir": str(folder)},
        "data": {"root": str(phantoms), "image_size": 32},
        "model": {"backbone": "resnet18", "encoder_weights": None},
        "train": {"epochs": 2, "precision": "float32", "loss": "dice_bce"},
        "space": SPACE,
        **sections,
    }
    search = SearchFolder(folder / "tune")
    save_text(search.config, to_json(parse_config_as(TuneConfig, settings, "tune")))
    ids = [record.image_id for record in find_records(phantoms).records]
    save_json(search.split, {"train": ids[:12], "val": ids[12:18], "test": ids[18:]})
    return search


def add_trial(search: SearchFolder, trial_id: str, **values: Any) -> Run:
    """Write a trial in KerasTuner's format."""
    space = build_hyperparameters(load_config_as(TuneConfig, search.config))
    space.values = {
        "train.batch_size": values.get("batch_size", 4),
        "train.learning_rate": values.get("rate", 1e-3),
        "train.schedule.warmup_epochs": values.get("warmup", 0.0),
        **values.get("hyperband", {}),
    }
    trial = keras_tuner.engine.trial.Trial(space, trial_id)
    save_json(search.trial(trial_id) / "trial.json", trial.get_state())
    return Run(search.trial(trial_id))


@pytest.mark.slow
def test_trial_is_a_run_with_its_values(phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search, batches = make_search(tmp_path, phantoms, train={"epochs": 1, "precision": "float32"}), []
    original_fit = tf.keras.Model.fit

    def fit(self: Any, dataset: tf.data.Dataset, **options: Any) -> Any:
        batches.extend(len(images) for images, _ in dataset)
        return original_fit(self, dataset, **options)

    monkeypatch.setattr(tf.keras.Model, "fit", fit)
    run = add_trial(search, "0", batch_size=6)
    outcome = train_trial(search, "0")
    assert outcome["error"] is None and outcome["memory_mb"] > 100
    assert batches == [6, 6]
    assert outcome["val_jaccard"] == float(load_csv(run.history)[0]["val_jaccard"])
    assert load_config(run.config).train.batch_size == 6
    assert run.split.read_text() == search.split.read_text()


@pytest.mark.slow
def test_trial_that_continues_another_matches_uninterrupted_trial(phantoms: Path, tmp_path: Path) -> None:
    search = make_search(tmp_path, phantoms)
    add_trial(search, "0", hyperband={"tuner/epochs": 1, "tuner/initial_epoch": 0})
    add_trial(search, "1", hyperband={"tuner/epochs": 2, "tuner/initial_epoch": 1, "tuner/trial_id": "0"})
    add_trial(search, "2", hyperband={"tuner/epochs": 2, "tuner/initial_epoch": 0})
    outcomes = [train_trial(search, trial_id) for trial_id in ("0", "1", "2")]
    assert [outcome["error"] for outcome in outcomes] == [None] * 3
    assert outcomes[1]["val_jaccard"] == outcomes[2]["val_jaccard"]
    with np.load(search.trial("1") / "resume.npz") as parts, np.load(search.trial("2") / "resume.npz") as whole:
        for name in whole:
            if name != "progress":  # which contains durations
                np.testing.assert_array_equal(parts[name], whole[name])
    assert len(load_csv(Run(search.trial("1")).history)) == 2
    # The resume state moved to the second trial. The weights stay, because they may remain the best.
    first = Run(search.trial("0"))
    assert first.weights.exists() and not first.resume_state.exists()


def run_out_of_memory(*_: Any) -> None:
    tf.zeros([1 << 50])  # more than any machine can allocate


@pytest.mark.parametrize(
    ("values", "fault", "error", "fatal"),
    [
        pytest.param({"rate": 1e35}, None, r"^\S+ is not finite after epoch 1$", False, marks=pytest.mark.slow),
        ({"warmup": 2.0}, None, r"schedule.warmup_epochs is 2, but epochs is 1", False),
        ({}, run_out_of_memory, "^out of memory: .*OOM when allocating", False),
        ({}, functools.partial(int, "seven"), "^(ValueError|TypeError): ", False),
        ({}, HamError("ISIC_1.jpg: broken"), "^ISIC_1.jpg: broken$", True),
    ],
)  # fmt: skip
def test_failed_trial_reports_its_error(
    phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: Any, fault: Any, error: str, fatal: bool
) -> None:
    search = make_search(tmp_path, phantoms, train={"epochs": 1, "precision": "float32", "loss": "dice_bce"})
    add_trial(search, "0", **values)
    if isinstance(fault, HamError):
        monkeypatch.setattr(trial_module, "build_compiled_model", lambda *_: (_ for _ in ()).throw(fault))
    elif fault:
        monkeypatch.setattr(trial_module, "build_compiled_model", fault)
    outcome = train_trial(search, "0")
    assert outcome["val_jaccard"] is None and outcome["fatal"] is fatal
    assert re.search(error, outcome["error"]), outcome["error"]
