"""Training progress: the progress bar, TensorBoard logs and checks for divergence."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from ham_keras.errors import DivergedError, warn
from ham_keras.models.memory import first_line

ADVICE = "lower train.learning_rate or set train.precision=float32, with run.name=NAME or --overwrite for the new run"


class EpochBar(keras.callbacks.Callback):
    """Progress bar of one epoch, in images; stops training when the loss is not finite.

    Only some steps have logs, see `prepare_step`. Their loss is a mean of the epoch so far, so none is missed.

    Raises:
        DivergedError: the loss is NaN or infinite; the message names epoch and step.
    """

    def __init__(self, epoch: int, epochs: int, images: int, batch_size: int, *, visible: bool = True) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.remaining = images
        self.epoch = epoch + 1
        self.bar = tqdm(total=images, desc=f"epoch {epoch + 1}/{epochs}", unit=" images", disable=not visible)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if logs:
            try:
                check_loss(logs["loss"], f"in epoch {self.epoch}, by step {batch + 1}")
            except DivergedError:
                self.bar.close()
                raise
            self.bar.set_postfix({name: f"{logs[name]:.4f}" for name in ("loss", "jaccard")}, refresh=False)
        seen = min(self.batch_size, self.remaining)
        self.remaining -= seen
        self.bar.update(seen)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self.bar.close()


def check_loss(loss: float, where: str) -> None:
    """Stop a training that has diverged.

    Raises:
        DivergedError: the loss is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise DivergedError(f"the loss is {loss} {where}", ADVICE)


def check_weights(model: keras.Model, where: str) -> None:
    """Stop a training with weights that are not finite.

    The loss need not show them: oneDNN's fused BatchNormalization and ReLU turns NaN into 0.

    Raises:
        DivergedError: a weight or a moving statistic is NaN or infinite.
    """
    for variable in model.variables:
        if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
            raise DivergedError(f"{variable.path} is not finite {where}", ADVICE)


def log_to_tensorboard(folder: Path, history: Sequence[Mapping[str, Any]], *, overwrite: bool = False) -> None:
    """Write history rows as TensorBoard scalars; `overwrite` deletes earlier logs first.

    An error, such as a full disk, is only a warning: history.csv holds the same numbers.
    """
    if overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        writer = tf.summary.create_file_writer(str(folder))
        with writer.as_default():
            for row in history:
                for name, value in row.items():
                    if name != "epoch":
                        tf.summary.scalar(name, value, step=int(row["epoch"]))
        writer.close()
    except (tf.errors.OpError, OSError) as error:
        warn(f"{folder}: not written ({first_line(error)}); training continues")
