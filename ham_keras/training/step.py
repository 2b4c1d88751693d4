"""What `fit` runs for each step: nothing in Python and no copy from the device that can wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from ham_keras.training.average import WeightAverage

LOGGED_STEPS = 10


def prepare_step(model: keras.Model, average: WeightAverage | None, *, every: int = LOGGED_STEPS) -> None:
    """Make `fit` update the average within the graph of a step, and copy metrics from the device every few steps.

    Keras copies the logs of a step to Python numbers as soon as a callback counts batches, and a GPU waits. Here, steps
    other than 1, 1 + `every`, 1 + 2 `every` ... have no logs. `fit` then returns none either: `epoch_metrics` has them.
    """
    if average is not None:
        model.train_step = _with_average(type(model).train_step.__get__(model), average)
    model.make_train_function(force=True)
    if every > 1:
        model.train_function = _sparsely_logged(model.train_function, every)


def epoch_metrics(model: keras.Model) -> dict[str, float]:
    """The metrics of the epoch so far, by name, sorted."""
    metrics = sorted(model.get_metrics_result().items())
    return {name: float(keras.ops.convert_to_numpy(value)) for name, value in metrics}


def _with_average(step: Callable[..., Any], average: WeightAverage) -> Callable[..., Any]:
    def step_and_average(data: Any) -> Any:
        logs = step(data)
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            context.merge_call(lambda strategy: average.update())
        else:
            average.update()
        return logs

    return step_and_average


def _sparsely_logged(step: Callable[..., Mapping[str, Any]], every: int) -> Callable[..., Mapping[str, Any]]:
    steps = 0

    def logged_step(iterator: Any) -> Mapping[str, Any]:
        nonlocal steps
        logs = step(iterator)
        steps += 1
        return logs if steps % every == 1 else {}

    return logged_step
