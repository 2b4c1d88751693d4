"""KerasTuner's algorithms and its loop over trials, made to survive what happens to long searches."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner

from ham_keras.errors import warn
from ham_keras.files import load_json, save_json
from ham_keras.search.folder import SearchFolder
from ham_keras.search.space import TuneConfig, is_whole

OBJECTIVE = "val_jaccard"
MOST_STARTS = 5
TRIAL = (sys.executable, "-m", "ham_keras.search.trial")  # what runs one, and ends by writing its outcome


class Durable(keras_tuner.Oracle):
    """What every algorithm here does beyond KerasTuner's own.

    Its files are whole at any moment, a trial that was interrupted goes on, one in which the search itself ended
    again and again is a failed trial, and no number of failed trials in a row ends a search.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(
            *args, objective=keras_tuner.Objective(OBJECTIVE, "max"), max_consecutive_failed_trials=None,
            allow_new_entries=False, **kwargs,
        )  # fmt: skip
        self.starts: Counter[str] = Counter()
        self.after_trial: Callable[[], object] = lambda: None
        self.verbose = 0

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Any:
        trial = super().create_trial(tuner_id)
        if trial.status != "RUNNING":
            return trial
        self.starts[trial.trial_id] += 1
        if self.starts[trial.trial_id] > MOST_STARTS:
            trial.status = "FAILED"
            trial.message = f"the search ended in it {MOST_STARTS} times"
            self.end_trial(trial)
            return self.create_trial(tuner_id)
        self.save()
        return trial

    @keras_tuner.synchronized
    def end_trial(self, trial: Any) -> None:
        super().end_trial(trial)
        self.save()  # KerasTuner saved while the trial was still counted as running
        try:
            self.after_trial()
        except OSError as error:  # it must not reach a chief's server, whose lock it would keep
            warn(f"{error.filename}: {error.strerror}")

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | {"starts": dict(self.starts)}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.starts = Counter(state["starts"])
        for trial_id in set(self.trials) - set(self.start_order):
            del self.trials[trial_id]  # killed before it was entered: it never ran

    def save(self) -> None:
        save_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Any) -> None:
        save_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())


class HyperbandOracle(Durable, keras_tuner.oracles.HyperbandOracle):
    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next trial's values. A failed trial counts as the worst; KerasTuner would wait for it and skip rounds."""
        failed = [trial for trial in self.trials.values() if trial.status == "FAILED"]
        for trial in failed:
            trial.status, trial.score = "COMPLETED", -1.0
        try:
            return super().populate_space(trial_id)
        finally:
            for trial in failed:
                trial.status, trial.score = "FAILED", None


class BayesianOptimizationOracle(Durable, keras_tuner.oracles.BayesianOptimizationOracle):
    pass


class RandomSearchOracle(Durable, keras_tuner.oracles.RandomSearchOracle):
    pass


def build_oracle(config: TuneConfig) -> Durable:
    """The algorithm that `search` asks for, over the search's space."""
    search = config.search
    shared = {"hyperparameters": build_hyperparameters(config), "seed": search.seed + 1}  # 0 would be drawn anew
    if search.algorithm == "hyperband":
        return HyperbandOracle(
            max_epochs=config.train.epochs, factor=search.factor, hyperband_iterations=search.iterations, **shared
        )
    if search.algorithm == "bayesian_optimization":
        return BayesianOptimizationOracle(max_trials=search.trials, **shared)
    return RandomSearchOracle(max_trials=search.trials, **shared)


def build_hyperparameters(config: TuneConfig) -> keras_tuner.HyperParameters:
    """The space in KerasTuner's terms; `Range.decode` turns its values into the config's."""
    space = keras_tuner.HyperParameters()
    for key, values in config.space.items():
        if values.choice is not None:
            space.Choice(key, [values.encode(value) for value in values.choice])
        else:
            draw = space.Int if is_whole(config, key) else space.Float
            draw(key, values.lowest, values.highest, sampling="log" if values.log else "linear")
    return space


class SearchTuner(keras_tuner.Tuner):
    """Starts a process for each trial until the algorithm has no more, and tells of each.

    A trial that runs out of memory or diverges, or whose values do not go together, is a failed trial. A HamError
    of another kind, such as a broken image, would meet every trial and ends the search.
    """

    def __init__(self, config: TuneConfig, search: SearchFolder) -> None:
        super().__init__(build_oracle(config), directory=str(search.folder), project_name=search.trials.name)
        self.config = config
        self.folder = search
        self.waiting = False
        self.save()  # from here on it can be continued

    def _populate_initial_space(self) -> None:
        """The space is known; KerasTuner would build a network to find it."""

    def pre_create_trial(self) -> None:
        if self.waiting:
            time.sleep(1)  # the algorithm waits for trials of other workers
        self.waiting = True

    def on_trial_begin(self, trial: Any) -> None:
        self.waiting = False
        values = trial.hyperparameters.values
        told = ", ".join(f"{key} {space.decode(values[key])}" for key, space in self.config.space.items())
        if "tuner/epochs" in values:
            told += f", epochs {values['tuner/initial_epoch'] + 1} to {values['tuner/epochs']}"
        if "tuner/trial_id" in values:
            told += f" of trial {values['tuner/trial_id']}"
        print(f"trial {trial.trial_id}: {told}", flush=True)

    def run_trial(self, trial: Any, **_: Any) -> dict[str, float]:
        place = self.folder.outcome(trial.trial_id)
        place.unlink(missing_ok=True)
        command = [*TRIAL, str(self.folder.folder), trial.trial_id]
        # The trial ends itself when its standard input closes: when this process is no more.
        with (
            open(place.with_name("log.txt"), "a") as log,
            subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log) as process,
        ):
            status = process.wait()
        if place.exists():
            outcome = load_json(place)
        else:
            reason = "killed by the system, out of memory?" if status == -signal.SIGKILL else f"ended with {status}"
            outcome = {"error": f"its process was {reason}; see {log.name}", "fatal": False}
            save_json(place, outcome)
        if outcome["fatal"]:
            raise keras_tuner.errors.FatalError(outcome["error"])
        if outcome["error"]:
            warn(f"trial {trial.trial_id} failed: {outcome['error']}")
            raise keras_tuner.errors.FailedTrialError(outcome["error"])
        print(f"trial {trial.trial_id}: validation Jaccard {outcome[OBJECTIVE]:.4f}", flush=True)
        return {OBJECTIVE: outcome[OBJECTIVE]}
