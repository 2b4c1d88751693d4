"""Averages of the weights."""

from __future__ import annotations

import keras
import numpy as np

from ham_keras.training.average import WeightAverage


def build() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])


def test_average_matches_worked_out_values_and_is_swapped_in_and_out() -> None:
    model = build()
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    average = WeightAverage(model, 0.9)
    for value in (1.0, 2.0):
        for weight in model.weights:
            weight.assign(np.full(weight.shape, value))
        average.update()
    # momentum is (1 + 1) / (10 + 1) after the first step and (1 + 2) / (10 + 2) after the second
    expected = 3 / 12 * (9 / 11 * 1.0) + 9 / 12 * 2.0
    with average.swapped():
        for weight in model.weights:
            np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-6)
    for weight in model.weights:
        np.testing.assert_array_equal(weight.numpy(), 2.0)


def test_momentum_reaches_its_maximum() -> None:
    model = build()
    average = WeightAverage(model, 0.5)
    average.steps.assign(1000)
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))
    before = [variable.numpy() for variable in average.averages]
    average.update()
    for old, new in zip(before, average.averages, strict=True):
        np.testing.assert_allclose(new.numpy(), 0.5 * old + 0.5)


def test_initial_weights_have_their_share_and_are_part_of_the_state() -> None:
    model = build()
    for weight in model.weights:
        weight.assign(np.full(weight.shape, 4.0))
    average = WeightAverage(model, 0.0, initial_share=0.25)
    for weight in model.weights:
        weight.assign(np.full(weight.shape, 8.0))
    average.update()
    with average.swapped():
        for weight in model.weights:
            np.testing.assert_array_equal(weight.numpy(), 0.25 * 4.0 + 0.75 * 8.0)
    for weight in model.weights:
        np.testing.assert_array_equal(weight.numpy(), 8.0)
    assert len(average.variables) == 2 * len(model.weights) + 1
    assert len(WeightAverage(model, 0.9).variables) == len(model.weights) + 1
