"""The folder of a search: what lies where, whether it may be continued, and who works on it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ham_keras.config import load_config_as, to_json
from ham_keras.errors import HamError
from ham_keras.runs import differences, locked, save_text
from ham_keras.search.space import TuneConfig

Role = Literal["alone", "chief", "worker"]


@dataclass(frozen=True)
class SearchFolder:
    """The paths of a search."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "search.json"

    @property
    def split(self) -> Path:
        return self.folder / "split.json"

    @property
    def environment(self) -> Path:
        return self.folder / "environment.json"

    @property
    def trials(self) -> Path:
        """KerasTuner's folder; below it each trial is a run folder."""
        return self.folder / "trials"

    def trial(self, trial_id: str) -> Path:
        return self.trials / f"trial_{trial_id}"

    def outcome(self, trial_id: str) -> Path:
        """How the trial ended, see `trials.run_trial`."""
        return self.trial(trial_id) / "outcome.json"

    @property
    def leaderboard(self) -> Path:
        return self.folder / "leaderboard.csv"

    @property
    def pictures(self) -> tuple[Path, Path]:
        return self.folder / "objective.png", self.folder / "parameters.png"

    @property
    def best_config(self) -> Path:
        """Written last: where it is, the search is finished."""
        return self.folder / "best_config.json"

    @property
    def contents(self) -> tuple[Path, ...]:
        """All that a search writes, its config last."""
        return (
            self.best_config, *self.pictures, self.leaderboard, self.trials, self.environment, self.split, self.config,
        )  # fmt: skip


def tuner_id() -> str:
    """What KerasTuner calls this process."""
    return os.environ.get("KERASTUNER_TUNER_ID", "tuner0")


def role() -> Role:
    """What KERASTUNER_* make of this process, as KerasTuner reads them.

    Raises:
        HamError: some of the three variables are missing.
    """
    names = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
    missing = [name for name in names if not os.environ.get(name)]
    if len(missing) == len(names):
        return "alone"
    if missing:
        raise HamError(f"{missing[0]}: not set; chief and workers each need {', '.join(names)}, or none of them")
    return "chief" if "chief" in tuner_id() else "worker"


@contextmanager
def open_search(config: TuneConfig, *, overwrite: bool = False) -> Iterator[SearchFolder]:
    """Hold this config's search, made when there is none, until the `with` block ends.

    A worker waits until its chief has made it.

    Raises:
        HamError: the folder is not a search, is another config's, or is held by another process.
    """
    search = SearchFolder(Path(config.run.dir) / str(config.run.name))
    worker = role() == "worker"
    if worker:
        if not search.config.exists():
            print(f"{search.folder}: waiting for the chief to make it")
        while not search.config.exists():
            time.sleep(0.5)
    elif search.folder.exists() and not search.config.exists():
        strangers = [child for child in search.folder.iterdir() if not child.name.startswith(".")]
        if strangers:
            raise HamError(
                f"{search.folder}: exists and is not a search (it holds {strangers[0].name}); choose run.name=NAME"
            )
    with locked(search.folder, f".{tuner_id()}.lock" if worker else ".lock"):
        if overwrite and not worker and search.config.exists():
            for path in search.contents:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if search.config.exists():
            different = differences(load_config_as(TuneConfig, search.config), config)
            if different:
                raise HamError(
                    f"{search.folder}: is a search of another config (differs in {different}); choose run.name=NAME "
                    f"for a new one, or --overwrite to delete this one"
                )
        else:
            save_text(search.config, to_json(config))
        yield search
