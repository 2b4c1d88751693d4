"""`ham_keras.load`: segments as `predict` does, and rejects invalid input."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ham_keras
from ham_keras.config import load_config
from ham_keras.data.images import read_image
from ham_keras.data.records import find_records
from ham_keras.errors import HamError
from ham_keras.files import load_csv, load_json
from ham_keras.prediction.trained_run import Segmentation, TrainedRun
from ham_keras.preprocessing.resize import resize_image
from ham_keras.runs import Run


@pytest.fixture(scope="module")
def run(trained: Run) -> TrainedRun:
    return ham_keras.load(trained.folder)


@pytest.fixture(scope="module")
def paths(phantoms: Path) -> list[Path]:
    return [record.image_path for record in find_records(phantoms).records]


def test_segment_equals_predict(run: TrainedRun, trained: Run, paths: list[Path], tmp_path: Path) -> None:
    ham_keras.predict(trained.folder, paths[:3], tmp_path / "out", visible=False)
    rows = load_csv(tmp_path / "out" / "predictions.csv")
    for path, row in zip(paths[:3], rows, strict=True):
        found = run.segment(path)
        written = np.asarray(Image.open(tmp_path / "out" / f"{path.stem}_segmentation.png"))
        np.testing.assert_array_equal(255 * found.mask, written)
        assert (found.mask.dtype, found.mask.shape) == (np.uint8, (64, 96)) and set(np.unique(found.mask)) <= {0, 1}
        assert (found.probability.dtype, found.probability.shape) == (np.float32, (64, 96))
        np.testing.assert_array_equal(found.mask, found.probability > run.config.outline.threshold)
        assert (tmp_path / "out" / row["image"]).resolve() == path.resolve()
        measured = {"image_id": path.stem, "image": row["image"], **found.measurements}
        assert {key: str(value) for key, value in measured.items()} == row


def test_array_path_and_pil_image_give_the_same_result(run: TrainedRun, paths: list[Path], tmp_path: Path) -> None:
    pixels = np.asarray(Image.open(paths[0]))
    file = tmp_path / "a.png"
    Image.fromarray(pixels).save(file)
    turned = Image.fromarray(np.rot90(pixels))  # a quarter turn counterclockwise; EXIF 6 undoes it
    turned.getexif()[0x0112] = 6
    with_alpha = Image.fromarray(pixels).convert("RGBA")
    with_alpha.putalpha(7)
    expected = run.segment(pixels).probability
    with Image.open(file) as opened:
        for image in (str(file), file, opened, turned, with_alpha):
            np.testing.assert_array_equal(run.segment(image).probability, expected)


@pytest.mark.parametrize(
    ("image", "got"),
    [
        (np.zeros((8, 9, 3), np.float32), r"float32 \[8, 9, 3\]"),
        (np.zeros((8, 9), np.uint8), r"uint8 \[8, 9\]"),
        (np.zeros((8, 9, 4), np.uint8), r"uint8 \[8, 9, 4\]"),
        (np.zeros((1, 8, 9, 3), np.uint8), r"uint8 \[1, 8, 9, 3\]"),
        (np.zeros((0, 9, 3), np.uint8), r"uint8 \[0, 9, 3\]"),
        (None, r"object \[\]"),
    ],
)
def test_invalid_array_raises(run: TrainedRun, image: Any, got: str) -> None:
    with pytest.raises(HamError, match=rf"^image: expected uint8 RGB \[H, W, 3\], 0\.\.255, .* or a path; got {got}$"):
        run.segment(image)


def test_unreadable_image_raises(run: TrainedRun, paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(paths[0].read_bytes()[:800])
    for image in (tmp_path / "gone.jpg", tmp_path / "cut.png"):
        with pytest.raises(HamError, match=rf"{image}: not a readable image"):
            run.segment(image)
    with Image.open(tmp_path / "cut.png") as cut:
        for image in (cut, Image.fromarray(np.zeros((8, 9), np.float32)), [[1], [2, 3]]):
            with pytest.raises(HamError, match=r"^image: not readable \("):
                run.segment(image)


def test_segment_many_yields_results_and_errors_in_order(run: TrainedRun, paths: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.touch()
    given = [*paths[:18], broken, paths[0]]  # more than one batch, with a repeated file
    found = list(run.segment_many(map(str, given)))
    assert [path for path, _ in found] == given
    for path, result in found:
        if path == broken:
            assert isinstance(result, HamError) and str(result).startswith(f"{broken}: not a readable image")
        else:
            assert isinstance(result, Segmentation)
            np.testing.assert_allclose(result.probability, run.segment(path).probability, atol=1e-5)
    assert list(run.segment_many([])) == []
    with pytest.raises(HamError, match=r"expected several image files; for one call segment\(\)"):
        run.segment_many(str(paths[0]))


def test_segment_many_reads_lazily(run: TrainedRun, paths: list[Path]) -> None:
    read = []
    results = run.segment_many(path for path in paths * 10 if read.append(path) is None)
    next(results)
    assert len(read) < len(paths) * 10 / 2
    results.close()


def test_model_config_and_scores(run: TrainedRun, trained: Run, paths: list[Path]) -> None:
    assert run.config == load_config(trained.config)
    assert run.scores["test"] == load_json(trained.summary("test"))
    assert {weight.dtype for weight in run.model.weights} == {"float32"} and run.model is run.model
    small = run.model(resize_image(read_image(paths[0]), 32, 32).numpy()[None].astype(np.float32), training=False)
    large = Image.fromarray(np.asarray(small)[0, ..., 0]).resize((96, 64), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(run.segment(paths[0]).probability, np.asarray(large), atol=1e-4)
    assert repr(run) == f"<TrainedRun {trained.folder}: unet resnet18, 32x32>"


def test_missing_or_wrong_weights_raise(trained: Run, tmp_path: Path) -> None:
    shutil.copy(trained.config, tmp_path / "config.json")
    with pytest.raises(HamError, match=r"model\.weights\.h5: not there yet; train the run first"):
        ham_keras.load(tmp_path)
    text = trained.config.read_text().replace('"resnet18"', '"mobilenet"')
    (tmp_path / "config.json").write_text(text)
    shutil.copy(trained.weights, tmp_path / "model.weights.h5")
    with pytest.raises(HamError, match=r"model\.weights\.h5: does not fit .*config\.json"):
        ham_keras.load(tmp_path)
