"""KerasTuner's oracles and tuner, extended so that long searches survive interruptions and failed trials."""

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
from ham_keras.search.space import TuneConfig, is_integer

OBJECTIVE = "val_jaccard"
MAX_STARTS = 5
TRIAL_COMMAND = (sys.executable, "-m", "ham_keras.search.trial")  # runs a trial and writes its outcome.json


class ResumableOracle(keras_tuner.Oracle):
    """Adds fault tolerance to KerasTuner's oracles.

    Files are written atomically, and an interrupted trial continues. A trial during which the search itself ended
    repeatedly counts as failed. Consecutive failed trials do not end a search.
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
        if self.starts[trial.trial_id] > MAX_STARTS:
            trial.status = "FAILED"
            trial.message = f"the search ended {MAX_STARTS} times during this trial"
            self.end_trial(trial)
            return self.create_trial(tuner_id)
        self.save()
        return trial

    @keras_tuner.synchronized
    def end_trial(self, trial: Any) -> None:
        super().end_trial(trial)
        self.save()  # KerasTuner saves while the trial still counts as running
        try:
            self.after_trial()
        except OSError as error:  # if this reached the chief's server, the lock would never be released
            warn(f"{error.filename}: {error.strerror}")

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | {"starts": dict(self.starts)}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.starts = Counter(state["starts"])
        for trial_id in set(self.trials) - set(self.start_order):
            del self.trials[trial_id]  # it never ran: the search was killed before recording its start

    def save(self) -> None:
        save_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Any) -> None:
        save_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())


class HyperbandOracle(ResumableOracle, keras_tuner.oracles.HyperbandOracle):
    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Sample the next trial. Failed trials count as the worst; KerasTuner would wait for them and skip rounds."""
        failed = [trial for trial in self.trials.values() if trial.status == "FAILED"]
        for trial in failed:
            trial.status, trial.score = "COMPLETED", -1.0
        try:
            return super().populate_space(trial_id)
        finally:
            for trial in failed:
                trial.status, trial.score = "FAILED", None


class BayesianOptimizationOracle(ResumableOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    pass


class RandomSearchOracle(ResumableOracle, keras_tuner.oracles.RandomSearchOracle):
    pass


def build_oracle(config: TuneConfig) -> ResumableOracle:
    """Build the oracle for the algorithm and space of the config."""
    search = config.search
    # KerasTuner replaces a seed of 0 by a random one.
    shared = {"hyperparameters": build_hyperparameters(config), "seed": search.seed + 1}
    if search.algorithm == "hyperband":
        return HyperbandOracle(
            max_epochs=config.train.epochs, factor=search.factor, hyperband_iterations=search.iterations, **shared
        )
    if search.algorithm == "bayesian_optimization":
        return BayesianOptimizationOracle(max_trials=search.trials, **shared)
    return RandomSearchOracle(max_trials=search.trials, **shared)


def build_hyperparameters(config: TuneConfig) -> keras_tuner.HyperParameters:
    """Convert the space to KerasTuner; `Range.decode` converts sampled values back."""
    space = keras_tuner.HyperParameters()
    for key, values in config.space.items():
        if values.choice is not None:
            space.Choice(key, [values.encode(value) for value in values.choice])
        else:
            add = space.Int if is_integer(config, key) else space.Float
            add(key, values.lowest, values.highest, sampling="log" if values.log else "linear")
    return space


class SearchTuner(keras_tuner.Tuner):
    """Runs each trial of the search in a new process, and prints its values and result.

    A trial fails if it runs out of memory, diverges or has inconsistent values. Any other HamError, such as a broken
    image, would affect every trial and ends the search.
    """

    def __init__(self, config: TuneConfig, search: SearchFolder) -> None:
        super().__init__(build_oracle(config), directory=str(search.folder), project_name=search.trials.name)
        self.config = config
        self.folder = search
        self.waiting = False
        self.save()  # from now on the search can be continued

    def _populate_initial_space(self) -> None:
        """Does nothing: the space is known. KerasTuner would build a network to discover it."""

    def pre_create_trial(self) -> None:
        if self.waiting:
            time.sleep(1)  # the oracle is waiting for trials of other workers
        self.waiting = True

    def on_trial_begin(self, trial: Any) -> None:
        self.waiting = False
        values = trial.hyperparameters.values
        description = ", ".join(f"{key} {space.decode(values[key])}" for key, space in self.config.space.items())
        if "tuner/epochs" in values:
            description += f", epochs {values['tuner/initial_epoch'] + 1} to {values['tuner/epochs']}"
        if "tuner/trial_id" in values:
            description += f" of trial {values['tuner/trial_id']}"
        print(f"trial {trial.trial_id}: {description}", flush=True)

    def run_trial(self, trial: Any, **_: Any) -> dict[str, float]:
        outcome_path = self.folder.outcome(trial.trial_id)
        outcome_path.unlink(missing_ok=True)
        command = [*TRIAL_COMMAND, str(self.folder.folder), trial.trial_id]
        # The trial exits when its standard input closes, which happens when this process ends.
        with (
            open(outcome_path.with_name("log.txt"), "a") as log,
            subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log) as process,
        ):
            status = process.wait()
        if outcome_path.exists():
            outcome = load_json(outcome_path)
        else:
            killed = status == -signal.SIGKILL
            reason = "was killed by the system (out of memory?)" if killed else f"exited with status {status}"
            outcome = {"error": f"its process {reason}; see {log.name}", "fatal": False}
            save_json(outcome_path, outcome)
        if outcome["fatal"]:
            raise keras_tuner.errors.FatalError(outcome["error"])
        if outcome["error"]:
            warn(f"trial {trial.trial_id} failed: {outcome['error']}")
            raise keras_tuner.errors.FailedTrialError(outcome["error"])
        print(f"trial {trial.trial_id}: validation Jaccard {outcome[OBJECTIVE]:.4f}", flush=True)
        return {OBJECTIVE: outcome[OBJECTIVE]}
