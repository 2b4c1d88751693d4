"""What `fit` runs for each step: nothing in Python and no copy from the device that can wait."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from ham_keras.training.average import WeightAverage

LOGGED_STEPS = 10


def prepare_step(
    model: keras.Model, average: WeightAverage | None, steps_per_epoch: int, *, every: int = LOGGED_STEPS
) -> None:
    """Make `fit` update averages within the graph of a step, and copy metrics from the device every few steps.

    Averages are that of the weights, and over several devices those of BatchNormalization's moving statistics: Keras 3
    leaves each device its own and saves those of the first.

    Keras copies the logs of a step to Python numbers as soon as a callback counts batches, and a GPU waits. Here, steps
    of an epoch other than 1, 1 + `every`, 1 + 2 `every` ... have no logs. `fit` then returns none either:
    `epoch_metrics` has them.
    """
    updates: list[Callable[[], None]] = []
    if model.distribute_strategy.num_replicas_in_sync > 1:
        updates.append(lambda: average_statistics(model))
    if average is not None:
        updates.append(lambda: average.update())  # which keeps the average; a method of tf.function does not
    if updates:
        model.train_step = _followed_by(type(model).train_step.__get__(model), updates)
    model.make_train_function(force=True)
    if every > 1:
        model.train_function = _sparsely_logged(model.train_function, steps_per_epoch, every)


def epoch_metrics(model: keras.Model) -> dict[str, float]:
    """The metrics of the epoch so far, by name, sorted."""
    metrics = sorted(model.get_metrics_result().items())
    return {name: float(keras.ops.convert_to_numpy(value)) for name, value in metrics}


def average_statistics(model: keras.Model) -> None:
    """Give all devices the mean of their moving means and variances. Outside `Strategy.run`, or in a `merge_call`."""
    for variable in model.non_trainable_variables:
        if variable.path.endswith(("/moving_mean", "/moving_variance")):
            values = variable.value.values
            variable.value.assign(tf.add_n([tf.identity(value) for value in values]) / len(values))


def _followed_by(step: Callable[..., Any], updates: Sequence[Callable[[], None]]) -> Callable[..., Any]:
    def update(strategy: tf.distribute.Strategy | None = None) -> None:
        for each in updates:
            each()

    def step_and_updates(data: Any) -> Any:
        logs = step(data)
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            context.merge_call(update)
        else:
            update()
        return logs

    return step_and_updates


def _sparsely_logged(
    step: Callable[..., Mapping[str, Any]], steps_per_epoch: int, every: int
) -> Callable[..., Mapping[str, Any]]:
    counter = itertools.count()

    def logged_step(iterator: Any) -> Mapping[str, Any]:
        logs = step(iterator)
        return logs if next(counter) % steps_per_epoch % every == 0 else {}

    return logged_step
