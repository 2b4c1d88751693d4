"""Folders written by revision 74ad5ed can still be read, scored, resumed and exported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from former_run import (
    EPOCHS,
    EPOCHS_DONE,
    JACCARDS,
    THRESHOLD,
    draw_predictions,
    draw_run,
    draw_search,
    draw_weights,
    former_variables,
    save_former_scores,
)

import ham_keras
from ham_keras.config import load_config, load_config_as
from ham_keras.data.records import find_records
from ham_keras.errors import HamError
from ham_keras.files import load_csv, load_json
from ham_keras.models.loading import load_model
from ham_keras.runs import Run, load_run
from ham_keras.search.space import TuneConfig
from ham_keras.training.average import WeightAverage
from ham_keras.training.checkpoint import load_state
from ham_keras.training.compiled import build_compiled_model
from ham_keras.tune import tune


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, phantoms: Path) -> Run:
    """A finished run, scored."""
    folder = tmp_path_factory.mktemp("former") / "runs" / "former"
    draw_run(folder, phantoms)
    summary = ham_keras.evaluate(folder, visible=False)
    save_former_scores(folder, phantoms, summary)
    return Run(folder)


@pytest.fixture
def killed(tmp_path: Path, phantoms: Path) -> Iterator[tuple[Run, list[np.ndarray]]]:
    """An unfinished run and the arrays of its resume state, whose 230 MB are deleted after the test."""
    run = Run(tmp_path / "runs" / "former")
    yield run, draw_run(run.folder, phantoms, finished=False)
    run.resume_state.unlink(missing_ok=True)


def test_weights_are_loaded_into_the_right_variables(run: Run) -> None:
    model = load_model(*load_run(run.folder))
    found = {variable.path: variable.numpy() for variable in model.variables}
    assert len(found) == len(former_variables()) == 148
    for row, value in zip(former_variables(), draw_weights(1), strict=True):
        np.testing.assert_array_equal(found[row["variable"]], value, err_msg=row["variable"])


def test_resume_state_is_loaded_into_the_right_variables(killed: tuple[Run, list[np.ndarray]]) -> None:
    run, arrays = killed
    config = load_config(run.config)
    model = build_compiled_model(config, "float32", steps_per_epoch=3)
    average = WeightAverage(model, 0.9)
    progress = load_state(run.resume_state, [*model.variables, *model.optimizer.variables, *average.variables])
    assert (progress.epoch, progress.best_epoch) == (EPOCHS_DONE, EPOCHS_DONE)
    assert [str(row["epoch"]) for row in progress.history] == [row["epoch"] for row in load_csv(run.history)]
    waiting = iter(arrays)
    network = {variable.path: variable.numpy() for variable in model.variables}
    for row in former_variables():
        np.testing.assert_array_equal(network[row["variable"]], next(waiting), err_msg=row["variable"])
    adam = {variable.path.rpartition("/")[2]: variable.numpy() for variable in model.optimizer.variables}
    assert adam["iteration"] == next(waiting) == 6
    for row in former_variables():
        if row["trained"] == "1":
            for moment in ("momentum", "velocity"):
                name = f"{row['variable'].replace('/', '_')}_{moment}"
                np.testing.assert_array_equal(adam[name], next(waiting), err_msg=name)
    for variable, averaged in zip(model.variables, average.averages, strict=True):
        np.testing.assert_array_equal(averaged, next(waiting), err_msg=variable.path)
    assert average.steps == next(waiting) and list(waiting) == []


@pytest.mark.slow
def test_killed_run_is_resumed(killed: tuple[Run, list[np.ndarray]], capsys: Any) -> None:
    run, _ = killed
    before = load_csv(run.history)
    result = ham_keras.train(load_config(run.config), visible=False)
    assert f"continuing after epoch {EPOCHS_DONE} of {EPOCHS}" in capsys.readouterr().out
    after = load_csv(run.history)
    assert len(after) == EPOCHS and [row["val_jaccard"] for row in after[:-1]] == [row["val_jaccard"] for row in before]
    assert run.finished and result.summary["images"] == 6
    assert (run.report("test") / "report.html").exists()
    environment = load_json(run.environment)
    assert environment["git_revision"].startswith("74ad5ed") and len(environment["continued"]) == 1


def test_finished_run_is_scored_again_and_on_another_split(run: Run, phantoms: Path) -> None:
    former = load_json(run.summary("test"))
    assert former["threshold"] == THRESHOLD
    assert ham_keras.evaluate(run.folder, visible=False)["native"] == former["native"]
    save_former_scores(run.folder, phantoms, former)
    with pytest.raises(HamError, match=r"holds scores made with .*0\.4; choose --name NAME"):
        ham_keras.evaluate(run.folder, overrides=["score.threshold=0.3"], visible=False)
    assert ham_keras.evaluate(run.folder, "val", visible=False)["images"] == 6
    scores = ham_keras.load(run.folder).scores
    assert scores.keys() == {"test", "val"} and scores["test"] == load_json(run.summary("test"))


def test_threshold_of_the_former_config_is_applied(run: Run, phantoms: Path) -> None:
    found = ham_keras.load(run.folder).segment(find_records(phantoms).records[0].image_path)
    np.testing.assert_array_equal(found.mask, found.probability > THRESHOLD)
    assert 0.01 < found.mask.mean() < 0.99 and (found.mask != (found.probability > 0.5)).any()


def test_predictions_are_resumed(run: Run, phantoms: Path, tmp_path: Path) -> None:
    images = [record.image_path for record in find_records(phantoms).records]
    (tmp_path / "predictions").mkdir()
    draw_predictions(tmp_path / "predictions", run.folder, images)
    outcome = ham_keras.predict(run.folder, images, tmp_path / "predictions", visible=False)
    assert (outcome.predicted, outcome.skipped) == (0, 24)
    (tmp_path / "predictions" / f"{images[3].stem}_segmentation.png").unlink()
    outcome = ham_keras.predict(run.folder, images, tmp_path / "predictions", visible=False)
    assert (outcome.predicted, outcome.skipped) == (1, 23)
    assert len(load_csv(tmp_path / "predictions" / "predictions.csv")) == 24


@pytest.mark.slow
def test_run_is_reported(run: Run, phantoms: Path) -> None:
    page = ham_keras.report(run.folder, visible=False)
    assert page == run.report("test") / "report.html"
    assert f"{load_json(run.summary('test'))['native']['jaccard']['mean']:.4f}" in page.read_text()


@pytest.mark.slow
def test_run_is_exported_with_its_threshold(run: Run, phantoms: Path, tmp_path: Path) -> None:
    place = ham_keras.export(run.folder, tmp_path / "model")
    signatures = tf.saved_model.load(str(place)).signatures
    path = find_records(phantoms).records[0].image_path
    served = signatures["serve_bytes"](tf.constant([path.read_bytes()]))
    expected = ham_keras.load(run.folder).segment(path)
    np.testing.assert_array_equal(tf.io.decode_png(served["mask_bytes"][0])[..., 0], 255 * expected.mask)


def test_search_is_resumed_and_reports_its_results(tmp_path: Path, phantoms: Path, capsys: Any) -> None:
    folder = tmp_path / "runs" / "former"
    draw_search(folder, phantoms)
    config = load_config_as(TuneConfig, folder / "search.json")
    search = tune(config)
    assert not (search.trial("2")).exists()
    rows = load_csv(search.leaderboard)
    assert [(row["trial"], float(row["val_jaccard"])) for row in rows] == [("1", JACCARDS[1]), ("0", JACCARDS[0])]
    assert load_config(search.best_config).train.learning_rate == pytest.approx(0.008167, abs=1e-6)
    capsys.readouterr()
    tune(config)
    assert f"{folder} is finished" in capsys.readouterr().out
