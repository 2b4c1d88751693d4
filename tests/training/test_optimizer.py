"""Adam and AdamW against the Keras optimizers, and against steps worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.settings import Schedule, Train
from ham_keras.training.optimizer import Adam, AdamW, build_optimizer, remaining_schedule

RNG = np.random.default_rng(0)


def test_first_adam_step_is_learning_rate_times_gradient_sign() -> None:
    weight = keras.Variable([1.0, 2.0, 3.0])
    Adam(0.1, epsilon=1e-12).apply([tf.constant([5.0, -0.01, 0.0])], [weight])
    np.testing.assert_allclose(weight, [0.9, 2.1, 3.0], atol=1e-5)


def keras_adamw(*arguments: Any, **options: Any) -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.AdamW(*arguments, **options)
    optimizer.exclude_from_weight_decay(var_names=["offset"])
    return optimizer


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (Adam, keras.optimizers.Adam, {}),
        (Adam, keras.optimizers.Adam, {"global_clipnorm": 3.0}),
        (AdamW, keras_adamw, {"weight_decay": 0.3}),
        (AdamW, keras_adamw, {"weight_decay": 0.3, "global_clipnorm": 3.0}),
    ],
    ids=["adam", "adam clipped", "adamw", "adamw clipped"],
)
def test_steps_match_keras(ours: Any, theirs: Any, options: dict[str, float], traced: bool) -> None:
    rate = keras.optimizers.schedules.CosineDecay(1e-2, decay_steps=20)
    first = {"kernel": RNG.normal(size=(3, 3, 4, 8)), "offset": RNG.normal(size=8)}
    found = []
    for kind in (theirs, ours):
        optimizer = kind(rate, epsilon=1e-5, **options)
        weights = [keras.Variable(value.astype(np.float32), name=name) for name, value in first.items()]
        optimizer.build(weights)
        apply = tf.function(lambda *gradients: optimizer.apply(gradients, weights)) if traced else optimizer.apply  # noqa: B023
        rng = np.random.default_rng(1)
        for step in range(25):  # every other gradient exceeds the clip norm
            scale = 1.0 if step % 2 else 0.01
            gradients = [tf.constant(scale * rng.normal(size=value.shape), tf.float32) for value in first.values()]
            apply(*gradients) if traced else apply(gradients, weights)
        found.append([variable.numpy() for variable in (*weights, *optimizer.variables)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_kernels_decay_and_vectors_do_not() -> None:
    kernel, offset = keras.Variable([[2.0]]), keras.Variable([2.0])
    AdamW(0.5, weight_decay=0.1).apply([tf.constant([[0.0]]), tf.constant([0.0])], [kernel, offset])
    assert float(kernel[0, 0]) == pytest.approx(2 - 2 * 0.5 * 0.1)
    assert float(offset[0]) == 2.0


def test_optimizer_is_built_from_config() -> None:
    adam = build_optimizer(Train(adam_epsilon=1e-3), 10)
    assert type(adam) is Adam and (adam.epsilon, adam.weight_decay, adam.global_clipnorm) == (1e-3, None, None)
    adamw = build_optimizer(Train(optimizer="adamw", weight_decay=0.2, clip_norm=2.0), 10)
    assert type(adamw) is AdamW and (adamw.weight_decay, adamw.global_clipnorm) == (0.2, 2.0)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_clipping_uses_unscaled_gradients(policy: str) -> None:
    inner = Adam(0.1, beta_1=0.0, epsilon=1e8, global_clipnorm=5.0)  # so the step is rate / epsilon * gradient
    optimizer = keras.optimizers.LossScaleOptimizer(inner) if policy == "mixed_float16" else inner
    weights = [keras.Variable([0.0]), keras.Variable([0.0])]
    optimizer.build(weights)
    with tf.GradientTape() as tape:
        loss = optimizer.scale_loss(tf.reduce_sum(30.0 * weights[0] + 40.0 * weights[1]))
    optimizer.apply(tape.gradient(loss, [weight.value for weight in weights]), weights)
    moments = [float(inner._momentums[index][0]) for index in range(2)]
    assert moments == pytest.approx([3.0, 4.0], rel=1e-4)


def test_learning_rate_schedules_match_worked_out_values() -> None:
    def rates(**schedule: Any) -> list[float]:
        settings = Train(epochs=4, learning_rate=0.1, schedule=Schedule(**schedule))
        rate = build_optimizer(settings, 10)._learning_rate
        return [float(rate(step)) if callable(rate) else float(rate) for step in (0, 5, 10, 25, 40)]

    assert rates() == pytest.approx([0.1] * 5)
    assert rates(name="constant", warmup_epochs=1) == pytest.approx([0, 0.05, 0.1, 0.1, 0.1])
    cosine = [0.1 * (1 + math.cos(math.pi * step / 40)) / 2 for step in (0, 5, 10, 25, 40)]
    assert rates(name="cosine") == pytest.approx(cosine)
    assert rates(name="cosine", warmup_epochs=1) == pytest.approx([0, 0.05, 0.1, 0.05, 0], abs=1e-8)


def test_schedule_of_added_epochs_starts_again_and_ends_at_0(tiny: Any) -> None:
    """A run of 20 epochs continued to 30: 10 steps per epoch, two epochs of warm-up, cosine over the other eight."""
    settings = {"epochs": 30, "learning_rate": 0.1, "schedule": {"name": "cosine", "warmup_epochs": 2}}
    added = remaining_schedule(tiny(train=settings), 20)
    rate = build_optimizer(added.train, 10)._learning_rate
    assert [float(rate(step)) for step in (0, 10, 20, 60, 100)] == pytest.approx([0, 0.05, 0.1, 0.05, 0], abs=1e-7)
    assert remaining_schedule(tiny(train=settings), 29).train.schedule.warmup_epochs == 1
