"""The folder of a cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ham_keras.config import Config
from ham_keras.runs import CalibratedFolder, Run


class CrossvalConfig(Config):
    """A run config and the number of folds."""

    folds: Annotated[int, Field(ge=2, le=100)] = Field(5, description="Number of folds; each is held out once.")


@dataclass(frozen=True)
class CrossvalFolder(CalibratedFolder):
    """The paths of a cross-validation folder; each fold is a run folder in it."""

    kind = "cross-validation"
    config_name = "crossval.json"
    config_type = CrossvalConfig

    @property
    def splits(self) -> Path:
        return self.folder / "splits"

    @property
    def out_of_fold(self) -> Path:
        """Out-of-fold scores and masks of all images; written last."""
        return self.folder / "oof"

    def fold(self, number: int) -> Run:
        return Run(self.folder / f"fold_{number}")

    @property
    def ensemble(self) -> Run:
        """Where the scores of all folds as one ensemble are; not a run itself."""
        return Run(self.folder / "ensemble")

    @property
    def folds(self) -> list[Run]:
        """The folds that have been started."""
        found = sorted(self.folder.glob("fold_*"), key=lambda path: int(path.name.rpartition("_")[2]))
        return [Run(path) for path in found]

    @property
    def begun_well(self) -> bool:
        """Whether a fold has saved an epoch."""
        return any(run.begun_well for run in self.folds)

    @property
    def contents(self) -> tuple[Path, ...]:
        fold_folders = (run.folder for run in self.folds)
        return (
            self.out_of_fold,
            self.trust,
            self.trust_table,
            self.ensemble.folder,
            *fold_folders,
            self.splits,
            self.split,
            self.config,
        )
