"""The folder of a search: its paths, and the role of each process that shares it."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ham_keras.errors import HamError, shown
from ham_keras.runs import WorkFolder
from ham_keras.search.space import TuneConfig

Role = Literal["alone", "chief", "worker"]


@dataclass(frozen=True)
class SearchFolder(WorkFolder):
    """The paths of a search."""

    kind = "search"
    config_name = "search.json"
    config_type = TuneConfig

    @property
    def trials(self) -> Path:
        """KerasTuner's folder, with one run folder per trial."""
        return self.folder / "trials"

    def trial(self, trial_id: str) -> Path:
        return self.trials / f"trial_{trial_id}"

    def outcome(self, trial_id: str) -> Path:
        """Result of a trial, see `trial.train_trial`."""
        return self.trial(trial_id) / "outcome.json"

    @property
    def leaderboard(self) -> Path:
        return self.folder / "leaderboard.csv"

    @property
    def pictures(self) -> tuple[Path, Path]:
        return self.folder / "objective.png", self.folder / "parameters.png"

    @property
    def best_config(self) -> Path:
        """Written last: the search is finished if this file exists."""
        return self.folder / "best_config.json"

    @property
    def contents(self) -> tuple[Path, ...]:
        return (
            self.best_config, *self.pictures, self.leaderboard, self.trials, self.environment, self.split, self.config,
        )  # fmt: skip

    @property
    def begun_well(self) -> bool:
        """Whether a trial has ended."""
        return self.best_config.exists() or any(self.trials.glob("trial_*/outcome.json"))


def tuner_id() -> str:
    """Return KerasTuner's name for this process."""
    return os.environ.get("KERASTUNER_TUNER_ID", "tuner0")


def role() -> Role:
    """Return the role that the KERASTUNER_* environment variables give this process.

    Raises:
        HamError: only some of the three variables are set.
    """
    names = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
    missing = [name for name in names if not os.environ.get(name)]
    if len(missing) == len(names):
        return "alone"
    if missing:
        raise HamError(f"{missing[0]}: not set; chief and workers each need {', '.join(names)}, or none of them")
    return "chief" if "chief" in tuner_id() else "worker"


def open_search(config: TuneConfig, *, overwrite: bool = False) -> AbstractContextManager[SearchFolder]:
    """Open and lock the folder of a search; see `WorkFolder.opened`.

    A worker waits until the chief has created the folder, and never deletes anything.
    """
    search = SearchFolder(Path(config.run.dir) / str(config.run.name))
    if role() != "worker":
        return search.opened(config, overwrite=overwrite)
    if not search.config.exists():
        print(f"{shown(search.folder)}: waiting for the chief to create it")
    while not search.config.exists():
        time.sleep(0.5)
    return search.opened(config, lock=f".{tuner_id()}.lock")
