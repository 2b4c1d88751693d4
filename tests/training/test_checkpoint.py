"""Resume state and best weights."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from limits import largest_file

from ham_keras.errors import FULL, HamError
from ham_keras.training.checkpoint import Progress, load_state, restarted_progress, save_state, save_weights


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_saved_state_is_restored(tmp_path: Path) -> None:
    model, other = build(), build()
    model.fit(np.ones((8, 3)), np.zeros((8, 2)), verbose=0)
    progress = Progress(3, 0.75, 2, [{"epoch": 1, "loss": 0.5}])
    save_state(tmp_path / "resume.npz", [*model.variables, *model.optimizer.variables], progress)
    state = [*other.variables, *other.optimizer.variables]
    assert load_state(tmp_path / "resume.npz", state) == progress
    for saved, loaded in zip([*model.variables, *model.optimizer.variables], state, strict=True):
        np.testing.assert_array_equal(saved.numpy(), loaded.numpy())
    assert [path.name for path in tmp_path.iterdir()] == ["resume.npz"]


@pytest.mark.parametrize("content", [b"", b"not a zip file", None])
def test_invalid_state_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "resume.npz"
    if content is None:
        save_state(path, [np.zeros(3)], Progress())
    else:
        path.write_bytes(content)
    with pytest.raises(HamError, match=r"resume\.npz: not a resume state of this run"):
        load_state(path, build().variables)


def test_state_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    progress = {"epoch": 2, "best": 0.7, "best_epoch": 1, "history": [{"epoch": 1, "val_jaccard": 0.7}]}
    np.savez(tmp_path / "resume.npz", progress=np.array(json.dumps(progress)), variable_0=np.ones(3))
    variable = keras.Variable(np.zeros(3))
    found = load_state(tmp_path / "resume.npz", [variable])
    assert (found.epoch, found.best, found.best_epoch, found.best_jaccard, found.stopped) == (2, 0.7, 1, 0.7, False)
    np.testing.assert_array_equal(variable, np.ones(3))


@pytest.mark.parametrize(
    ("monitor", "values", "better"),
    [("jaccard", [0.2, 0.1, 0.2, 0.3], [True, False, False, True]), ("loss", [2, 3, 2, 1], [True, False, False, True])],
)
def test_is_better_depends_on_monitor(monitor: str, values: list[float], better: list[bool]) -> None:
    progress, found = Progress(), []
    for epoch, value in enumerate(values, 1):
        found.append(progress.is_better(value, monitor))
        if found[-1]:
            progress.best, progress.best_epoch = value, epoch
    assert found == better


def test_saved_weights_exclude_the_optimizer(tmp_path: Path) -> None:
    model, other = build(), build()
    save_weights(model, tmp_path / "model.weights.h5")
    save_weights(keras.Model(other.inputs, other.outputs), tmp_path / "bare.weights.h5")
    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    assert sizes[0] == sizes[1]
    other.load_weights(tmp_path / "model.weights.h5")
    for a, b in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_progress_of_a_finished_run_is_read_from_its_history() -> None:
    history = [
        {"epoch": str(epoch), "val_jaccard": str(jaccard), "val_loss": str(loss)}
        for epoch, jaccard, loss in ((1, 0.5, 0.3), (2, 0.75, 0.4), (3, 0.6, 0.25))
    ]
    progress = restarted_progress(history, "jaccard")
    assert (progress.epoch, progress.restarted, progress.best_epoch, progress.best) == (3, 3, 2, 0.75)
    assert progress.best_jaccard == 0.75 and progress.history[2] == {"epoch": 3, "val_jaccard": 0.6, "val_loss": 0.25}
    assert (restarted_progress(history, "loss").best_epoch, restarted_progress(history, "loss").best) == (3, 0.25)


def test_full_disk_keeps_the_last_state_and_weights(tmp_path: Path) -> None:
    model = build()
    state = [*model.variables, *model.optimizer.variables, keras.Variable(np.zeros(5000))]
    save_state(tmp_path / "resume.npz", state, Progress(1))
    save_weights(model, tmp_path / "model.weights.h5")
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name, write in (
        ("resume.npz", lambda path: save_state(path, state, Progress(2))),
        ("model.weights.h5", lambda path: save_weights(model, path)),
    ):
        with largest_file(3000), pytest.raises(OSError) as raised:
            write(tmp_path / name)
        assert raised.value.filename == str(tmp_path / name) and raised.value.errno in FULL
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept
    assert load_state(tmp_path / "resume.npz", state).epoch == 1
