"""One trial of a search in a separate process, with the model, pipeline and training loop of a run.

    python -m ham_keras.search.trial runs/tune 0003

The search starts this process. When it ends, all memory of the trial is freed (TensorFlow 2.21 keeps the variables of
trained networks, 240 MB for each ResNet18 U-Net). If the system kills it for lack of memory, the search continues.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import tensorflow as tf

from ham_keras.config import Config, load_config_as, to_json
from ham_keras.data.pipeline import Examples
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import load_split, select
from ham_keras.errors import DivergedError, HamError, OutOfMemoryError, SettingError
from ham_keras.files import replacing, save_json, save_text
from ham_keras.models.devices import build_strategy
from ham_keras.models.memory import first_line
from ham_keras.models.precision import choose_precision
from ham_keras.runs import Run
from ham_keras.search.folder import SearchFolder
from ham_keras.search.space import TuneConfig, trial_config
from ham_keras.training.compiled import build_compiled_model
from ham_keras.training.loop import steps_per_epoch, train_model


class TrialModel(keras_tuner.HyperModel):
    """Builds and trains the network of one trial; any key can differ between trials, also the batch size."""

    def __init__(self, config: TuneConfig, search: SearchFolder, records: Mapping[str, Sequence[Record]]) -> None:
        super().__init__()
        self.config = config
        self.search = search
        self.records = records

    def config_for(self, hp: keras_tuner.HyperParameters, name: str | None = None) -> Config:
        values = {key: space.decode(hp.values[key]) for key, space in self.config.space.items()}
        return trial_config(self.config, values, name)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        config = self.config_for(hp)
        steps = steps_per_epoch(config.train.batch_size, len(self.records["train"]), tf.distribute.get_strategy())
        return build_compiled_model(config, choose_precision(config.train.precision, config.train.devices), steps)

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, *, folder: Path) -> dict[str, float]:
        """Train in the trial's folder; continues after a kill, or from the trial that this one extends."""
        config, run = self.config_for(hp, folder.name), Run(folder)
        save_text(run.config, to_json(config))
        save_text(run.split, self.search.split.read_text())
        if "tuner/trial_id" in hp.values:
            previous = Run(self.search.trial(hp.values["tuner/trial_id"]))
            if previous.weights.exists() and not run.weights.exists():  # they may remain the best
                with replacing(run.weights) as part:
                    shutil.copyfile(previous.weights, part)
            if previous.resume_state.exists():
                os.replace(previous.resume_state, run.resume_state)
        train, val = (Examples(self.records[side], config.data, visible=False) for side in ("train", "val"))
        epochs = hp.values.get("tuner/epochs")
        return {"val_jaccard": train_model(model, config, run, train, val, epochs=epochs, visible=False).best_jaccard}


def train_trial(search: SearchFolder, trial_id: str) -> dict[str, Any]:
    """Train one trial and return its outcome.

    Returns:
        the content of outcome.json: the best `val_jaccard`, or the `error` of a failed trial; whether the error is
        `fatal`, so that every trial would fail; `seconds`, and the peak memory `memory_mb` (Linux).
    """
    start = time.perf_counter()
    outcome: dict[str, Any] = {"val_jaccard": None, "error": None, "fatal": False}
    try:
        outcome |= _build_and_train(search, trial_id)
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        outcome["error"] = f"out of memory: {first_line(error)}"
    except OutOfMemoryError as error:
        outcome["error"] = str(error)
    except DivergedError as error:
        outcome["error"] = error.reason
    except HamError as error:
        outcome |= {"error": str(error), "fatal": True}
    except Exception as error:
        traceback.print_exc()
        outcome["error"] = f"{type(error).__name__}: {first_line(error)}"
    return outcome | {"seconds": round(time.perf_counter() - start, 1), "memory_mb": _peak_memory_mb()}


def _build_and_train(search: SearchFolder, trial_id: str) -> dict[str, Any]:
    config = load_config_as(TuneConfig, search.config)
    trial = keras_tuner.engine.trial.Trial.load(str(search.trial(trial_id) / "trial.json"))
    hp, split = trial.hyperparameters, load_split(search.split)
    found = find_records(str(config.data.root)).records
    records = decide_masks(found, config.data.repair_masks, config.data.lesion_values)
    model = TrialModel(config, search, {side: select(records, split[side], side) for side in ("train", "val")})
    with build_strategy(config.train.devices).scope():
        try:
            network = model.build(hp)
        except HamError as error:
            return {"error": str(error), "fatal": not _depends_on_values(error, model, hp)}
    return model.fit(hp, network, folder=search.trial(trial_id))


def _depends_on_values(error: HamError, model: TrialModel, hp: keras_tuner.HyperParameters) -> bool:
    """Return whether other values could avoid the error: these are inconsistent, or select the failing network."""
    try:
        model.config_for(hp)
    except HamError:
        return True
    if not isinstance(error, SettingError):
        return False
    section = error.key.partition(".")[0]
    return any(key == error.key or (section == "model" and key.startswith("model.")) for key in model.config.space)


def _peak_memory_mb() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), None)


def end_with_parent() -> None:
    """Exit when standard input closes, which happens when the parent process is killed."""

    def watch() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    end_with_parent()
    this_search, this_trial = SearchFolder(Path(sys.argv[1])), sys.argv[2]
    save_json(this_search.outcome(this_trial), train_trial(this_search, this_trial))
