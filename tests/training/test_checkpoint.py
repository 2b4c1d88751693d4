"""Resume state and weight average."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from ham_keras.errors import HamError
from ham_keras.training.checkpoint import Progress, WeightAverage, load_state, save_state, save_weights


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_state_comes_back_as_it_was(tmp_path: Path) -> None:
    model, other = build(), build()
    model.fit(np.ones((8, 3)), np.zeros((8, 2)), verbose=0)
    progress = Progress(3, 0.75, 2, [{"epoch": 1, "loss": 0.5}])
    save_state(tmp_path / "resume.npz", [*model.variables, *model.optimizer.variables], progress)
    state = [*other.variables, *other.optimizer.variables]
    assert load_state(tmp_path / "resume.npz", state) == progress
    for saved, loaded in zip([*model.variables, *model.optimizer.variables], state, strict=True):
        np.testing.assert_array_equal(saved.numpy(), loaded.numpy())
    assert [path.name for path in tmp_path.iterdir()] == ["resume.npz"]


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_a_state_that_is_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "resume.npz"
    if content is None:
        save_state(path, [np.zeros(3)], Progress())
    else:
        path.write_bytes(content)
    with pytest.raises(HamError, match=r"resume\.npz: not a resume state of this run"):
        load_state(path, build().variables)


def test_average_worked_out_and_swapped() -> None:
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


def test_average_reaches_its_momentum() -> None:
    model = build()
    average = WeightAverage(model, 0.5)
    average.steps.assign(1000)
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))
    before = [variable.numpy() for variable in average.averages]
    average.update()
    for old, new in zip(before, average.averages, strict=True):
        np.testing.assert_allclose(new.numpy(), 0.5 * old + 0.5)


def test_saved_weights_are_the_model_alone(tmp_path: Path) -> None:
    model, other = build(), build()
    save_weights(model, tmp_path / "model.weights.h5")
    save_weights(keras.Model(other.inputs, other.outputs), tmp_path / "bare.weights.h5")
    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    assert sizes[0] == sizes[1]
    other.load_weights(tmp_path / "model.weights.h5")
    for a, b in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
