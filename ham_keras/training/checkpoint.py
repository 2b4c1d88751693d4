"""The resume state: everything that a killed run needs, in one file, written whole or not at all."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ham_keras.errors import HamError
from ham_keras.files import replacing


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        epoch: epochs that are done.
        best: the best validation Jaccard so far; its weights are in model.weights.h5.
        best_epoch: the epoch, counted from 1, that reached it.
        history: one row for each epoch done.
    """

    epoch: int = 0
    best: float = -1.0
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class WeightAverage:
    """Exponential moving average of all weights of a model, BatchNormalization's statistics included.

    average <- momentum * average + (1 - momentum) * weight after each step, from the initial weights.
    Momentum starts low, min(momentum, (1 + step) / (10 + step)), so early epochs are not held back.
    """

    def __init__(self, model: keras.Model, momentum: float) -> None:
        self.momentum = momentum
        self.weights = [variable.value for variable in model.weights]
        self.averages = [tf.Variable(weight, trainable=False) for weight in self.weights]
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)

    @tf.function
    def update(self) -> None:
        self.steps.assign_add(1)
        steps = tf.cast(self.steps, tf.float32)
        momentum = tf.minimum(self.momentum, (1.0 + steps) / (10.0 + steps))
        for average, weight in zip(self.averages, self.weights, strict=True):
            average.assign(momentum * average + (1.0 - momentum) * weight)

    @property
    def variables(self) -> list[tf.Variable]:
        return [*self.averages, self.steps]

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Put the averages into the model, and the trained weights back."""
        trained = [weight.numpy() for weight in self.weights]
        for weight, average in zip(self.weights, self.averages, strict=True):
            weight.assign(average)
        try:
            yield
        finally:
            for weight, value in zip(self.weights, trained, strict=True):
                weight.assign(value)


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
    """Write a model's weights, without its optimizer, whole or not at all."""
    with replacing(path) as part:
        keras.Model(model.inputs, model.outputs).save_weights(part)
