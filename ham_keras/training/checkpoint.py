"""The resume state: everything that a killed run needs, in one file, written whole or not at all."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ham_keras.errors import HamError
from ham_keras.files import replacing
from ham_keras.models.build import lesion_model


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        epoch: epochs that are done.
        best: the best value so far of what `train.monitor` names, in validation; its weights are in model.weights.h5.
        best_epoch: the epoch, counted from 1, that reached it; 0 before the first.
        history: one row for each epoch done.
        stopped: a callback of the user's ended the training.
    """

    epoch: int = 0
    best: float = -1.0
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False

    @property
    def best_jaccard(self) -> float:
        """The validation Jaccard of the best epoch."""
        return float(self.history[self.best_epoch - 1]["val_jaccard"])

    def is_better(self, value: float, monitor: str) -> bool:
        """Whether this value of `train.monitor` is better than the best so far."""
        return not self.best_epoch or (value < self.best if monitor == "loss" else value > self.best)


def save_state(path: Path, variables: Sequence[Any], progress: Progress) -> None:
    """Write variables (of model, optimizer and average, in the order they were made) and progress."""
    arrays: dict[str, Any] = {f"variable_{i}": np.asarray(variable) for i, variable in enumerate(variables)}
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(file, allow_pickle=False, progress=np.array(json.dumps(asdict(progress))), **arrays)


def load_state(path: Path, variables: Sequence[Any]) -> Progress:
    """Put a saved state into the variables and return its progress.

    Raises:
        HamError: the file is damaged or of another network.
    """
    try:
        with np.load(path, allow_pickle=False) as state:
            progress = Progress(**json.loads(str(state["progress"])))
            for i, variable in enumerate(variables):
                variable.assign(state[f"variable_{i}"])
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise HamError(f"{path}: not a resume state of this run ({error}); start again with --overwrite") from None
    return progress


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of a model's `lesion_model`, whole or not at all."""
    with replacing(path) as part:
        lesion_model(model).save_weights(part)
