"""Train a config with the training loop only, without scores and report."""

from __future__ import annotations

from typing import Any

import keras

from ham_keras.data.records import find_records
from ham_keras.data.splits import make_split, select
from ham_keras.runs import open_run
from ham_keras.training.checkpoint import Progress
from ham_keras.training.loop import train_run


def run_training(config: Any, *callbacks: keras.callbacks.Callback) -> tuple[Any, Progress]:
    records = find_records(config.data.root).records
    split = make_split(records, config.data.split.model_dump(), seed=0)
    sides = {name: select(records, ids, name) for name, ids in split.items()}
    with open_run(config) as run:
        return run, train_run(config, run, sides, "float32", callbacks=callbacks, visible=False)
