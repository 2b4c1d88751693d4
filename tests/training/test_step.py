"""A training step as `fit` runs it: with the average, its logs, and compiled with XLA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.models.build import to_probability
from ham_keras.models.layers.batchnorm import BatchNormalization
from ham_keras.models.layers.convolution import Conv2D
from ham_keras.models.precision import dtype_policy
from ham_keras.settings import Train
from ham_keras.training.average import WeightAverage
from ham_keras.training.losses import NamedLoss
from ham_keras.training.metrics import build_metrics
from ham_keras.training.optimizer import build_optimizer
from ham_keras.training.step import epoch_metrics, prepare_step

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 1, (10, 8, 8, 8)).astype(np.float32)
MASKS = (IMAGES.mean(-1, keepdims=True) > 0.5).astype(np.float32)


def build(policy: str = "float32", *, jit_compile: bool = False) -> keras.Model:
    """A convolution with few pixels, BatchNormalization and the output of our networks, compiled as they are."""
    keras.utils.set_random_seed(0)
    with dtype_policy(policy):
        image = keras.Input((8, 8, 8))
        features = Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
        features = keras.layers.ReLU()(BatchNormalization(momentum=0.9)(features))
        features = Conv2D(8, 3, padding="same", use_bias=False)(features)
        features = keras.layers.ReLU()(BatchNormalization(momentum=0.9)(features))
        model = keras.Model(image, to_probability(Conv2D(1, 1)(keras.layers.UpSampling2D()(features))))
        # With this epsilon a step is nearly the gradient; Adam's own makes a step of the sign of a rounding error.
        optimizer = build_optimizer(Train(learning_rate=0.1, adam_epsilon=0.1), 3)
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=128.0)
        model.compile(optimizer, loss=NamedLoss("dice_bce"), metrics=build_metrics(0.5), jit_compile=jit_compile)
    return model


class Seen(keras.callbacks.Callback):
    """Remembers the names of each step's logs."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: list[set[str]] = []

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self.logs.append(set(logs or {}))


def fit(model: keras.Model, *callbacks: keras.callbacks.Callback) -> Any:
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, MASKS)).batch(4)  # two full ones and one of 2
    return model.fit(batches, callbacks=list(callbacks), shuffle=False, verbose=0).history


def test_first_step_is_traced_once() -> None:
    model, traced = build(), []
    model.optimizer.build(model.trainable_variables)
    step = model.train_step

    def counted(data: Any) -> Any:
        traced.append(1)
        return step(data)

    model.train_step = counted
    model.fit(IMAGES[:4], MASKS[:4], batch_size=2, verbose=0)
    assert len(traced) == 1


def test_average_in_the_step_is_that_after_the_step() -> None:
    within, after = build(), build()
    averages = [WeightAverage(model, 0.9) for model in (within, after)]
    prepare_step(within, averages[0], 3)
    fit(within)
    fit(after, keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: averages[1].update()))
    assert int(averages[0].steps.numpy()) == 3
    for ours, expected in zip(averages[0].variables, averages[1].variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy())
    for ours, expected in zip(within.weights, after.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy())


def test_metrics_are_copied_every_few_steps_and_complete_at_the_end() -> None:
    plain, sparse = build(), build()
    seen = Seen()
    history = fit(plain)
    prepare_step(sparse, None, 3, every=2)
    fit(sparse, seen)
    assert [bool(names) for names in seen.logs] == [True, False, True]
    assert epoch_metrics(sparse) == {name: values[-1] for name, values in history.items()}
    assert list(epoch_metrics(sparse)) == ["iou_score", "jaccard", "loss"] and seen.logs[0] == set(history)
    fit(sparse, seen)
    assert [bool(names) for names in seen.logs[3:]] == [True, False, True]  # counted from the start of each epoch


def test_callbacks_of_a_user_get_the_metrics_of_each_step() -> None:
    model, seen = build(), Seen()
    prepare_step(model, None, 3, every=1)
    fit(model, seen)
    assert seen.logs == [{"loss", "jaccard", "iou_score"}] * 3


# Twice the unit roundoff of half precisions, 16 times that of float32; and a fraction of what the weights moved.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "tolerance", "fraction"),
    [("float32", 2**-20, 1e-4), ("mixed_float16", 2**-10, 0.02), ("mixed_bfloat16", 2**-7, 0.1)],
)
def test_xla_trains_validates_and_infers_the_same(policy: str, tolerance: float, fraction: float) -> None:
    """A whole epoch with its short batch and the average, then validation of full and short batches, and inference."""
    models = [build(policy, jit_compile=compiled) for compiled in (False, True)]
    start = flat(models[0])
    found = []
    for model in models:
        average = WeightAverage(model, 0.5)
        prepare_step(model, average, 3)
        fit(model)
        losses = [epoch_metrics(model)["loss"]]
        losses.append(model.evaluate(IMAGES, MASKS, batch_size=4, verbose=0, return_dict=True)["loss"])
        infer = tf.function(lambda images, model=model: model(images, training=False), jit_compile=model.jit_compile)
        answers = [infer(IMAGES[:size]).numpy() for size in (4, 3)]
        found.append([*losses, *answers, *(each.numpy() for each in average.averages)])
    for plain, compiled in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, plain, atol=tolerance, rtol=tolerance)
    moved = np.linalg.norm(flat(models[0]) - start)
    assert moved > 0.01  # no step was skipped
    assert np.linalg.norm(flat(models[1]) - flat(models[0])) < fraction * moved


def flat(model: keras.Model) -> np.ndarray:
    return np.concatenate([np.ravel(weight.numpy()) for weight in model.trainable_variables])
