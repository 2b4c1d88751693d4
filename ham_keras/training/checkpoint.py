"""The resume state: everything needed to continue a killed run, in one file that is written atomically."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ham_keras.errors import HamError
from ham_keras.files import replacing, save_bytes
from ham_keras.models.build import lesion_model, side_variables
from ham_keras.models.network import SupervisedModel


@dataclass
class Progress:
    """Progress of a run.

    Attributes:
        epoch: number of completed epochs.
        best: best validation value of `train.monitor` so far; model.weights.h5 holds the weights of that epoch.
        best_epoch: the epoch of that value, counted from 1; 0 before the first.
        history: one row per completed epoch.
        stopped: whether a user callback stopped the training.
        restarted: the epoch after which a finished run was continued, with a new optimizer and schedule; 0 if never.
    """

    epoch: int = 0
    best: float = -1.0
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False
    restarted: int = 0

    @property
    def best_jaccard(self) -> float:
        """The validation Jaccard of the best epoch."""
        return float(self.history[self.best_epoch - 1]["val_jaccard"])

    def is_better(self, value: float, monitor: str) -> bool:
        """Return whether this value of `train.monitor` is better than the best so far."""
        return not self.best_epoch or (value < self.best if monitor == "loss" else value > self.best)


def save_state(path: Path, variables: Sequence[Any], progress: Progress) -> None:
    """Write variables (of model, optimizer and average, in order of creation) and progress."""
    arrays: dict[str, Any] = {f"variable_{i}": np.asarray(variable) for i, variable in enumerate(variables)}
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(file, allow_pickle=False, progress=np.array(json.dumps(asdict(progress))), **arrays)


def load_state(path: Path, variables: Sequence[Any] = ()) -> Progress:
    """Restore the variables, if given, from a saved state and return its progress.

    Raises:
        HamError: the file is damaged or belongs to another network.
    """
    try:
        with np.load(path, allow_pickle=False) as state:
            progress = Progress(**json.loads(str(state["progress"])))
            for i, variable in enumerate(variables):
                variable.assign(state[f"variable_{i}"])
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise HamError(f"{path}: not a resume state of this run ({error}); start again with --overwrite") from None
    return progress


def restarted_progress(history: Sequence[Mapping[str, str]], monitor: str) -> Progress:
    """The progress of a finished run that is continued from its best weights, from the rows of its history.csv."""
    rows: list[dict[str, Any]] = [{name: float(value) for name, value in row.items()} for row in history]
    progress = Progress(epoch=len(rows), history=rows, restarted=len(rows))
    for epoch, row in enumerate(rows, 1):
        row["epoch"] = epoch
        if progress.is_better(row[f"val_{monitor}"], monitor):
            progress.best, progress.best_epoch = row[f"val_{monitor}"], epoch
    return progress


class _Memory(io.BytesIO):
    """Memory that Keras writes weights to as to a file."""

    def __str__(self) -> str:
        return "memory.weights.h5"


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of the model's `lesion_model` atomically."""
    save_all_weights(lesion_model(model), path)


def save_all_weights(model: keras.Model, path: Path) -> None:
    """Write all weights of a model atomically."""
    memory = _Memory()  # on a full disk, HDF5 would end the process with a segmentation fault
    model.save_weights(memory)
    save_bytes(path, memory.getbuffer())


def save_side_weights(model: SupervisedModel, path: Path) -> None:
    """Write the weights that `save_weights` omits, those of the side outputs, by name, atomically."""
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(file, allow_pickle=False, **{each.path: np.asarray(each) for each in side_variables(model)})
