"""Adam in one operation against Keras' own, and against a step worked out by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.training.optimizer import Adam

RNG = np.random.default_rng(0)


def test_the_first_step_is_the_learning_rate_in_the_gradients_direction() -> None:
    weight = keras.Variable([1.0, 2.0, 3.0])
    Adam(0.1, epsilon=1e-12).apply([tf.constant([5.0, -0.01, 0.0])], [weight])
    np.testing.assert_allclose(weight, [0.9, 2.1, 3.0], atol=1e-5)


@pytest.mark.parametrize("traced", [True, False])
def test_steps_are_those_of_keras(traced: bool) -> None:
    rate = keras.optimizers.schedules.CosineDecay(1e-2, decay_steps=20)
    first = [RNG.normal(size=shape).astype(np.float32) for shape in ((3, 3, 4, 8), (8,))]
    found = []
    for kind in (keras.optimizers.Adam, Adam):
        optimizer, weights = kind(rate, epsilon=1e-5), [keras.Variable(value) for value in first]
        optimizer.build(weights)
        apply = tf.function(lambda *gradients: optimizer.apply(gradients, weights)) if traced else optimizer.apply  # noqa: B023
        rng = np.random.default_rng(1)
        for _ in range(25):
            gradients = [tf.constant(rng.normal(size=value.shape), tf.float32) for value in first]
            apply(*gradients) if traced else apply(gradients, weights)
        found.append([variable.numpy() for variable in (*weights, *optimizer.variables)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
