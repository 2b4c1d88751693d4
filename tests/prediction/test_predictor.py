"""Predictions do not depend on the batch, and test-time augmentation averages mirror images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ham_keras.data.images import read_image, resize_probability
from ham_keras.data.records import find_records
from ham_keras.errors import HamError, OutOfMemoryError
from ham_keras.models.loading import load_model
from ham_keras.prediction import predictor as predictor_module
from ham_keras.prediction.predictor import Prediction, Predictor, batches, load_predictor
from ham_keras.preprocessing.steps import Resize
from ham_keras.runs import Run, load_run
from ham_keras.settings import Outline

STEPS = Resize(32, 32)


@pytest.fixture(scope="module")
def paths(phantoms: Path) -> list[Path]:
    return [record.image_path for record in find_records(phantoms).records]


def probabilities(predictor: Predictor, paths: list[Path]) -> list[np.ndarray]:
    return [found for _, found in predictor.predict_files(paths, lambda _, prediction: prediction.probability)]


def test_probability_is_network_output_resized_to_the_image(trained: Run, paths: list[Path]) -> None:
    model = load_model(*load_run(trained.folder))
    found = probabilities(load_predictor(trained.folder), paths[:3])
    for path, probability in zip(paths[:3], found, strict=True):
        small = model(STEPS(read_image(path)).numpy()[None].astype(np.float32), training=False)
        np.testing.assert_allclose(probability, resize_probability(small, 64, 96)[0, ..., 0], atol=1e-5)


def test_prediction_does_not_depend_on_the_batch(trained: Run, paths: list[Path]) -> None:
    predictor = load_predictor(trained.folder)
    batched = probabilities(predictor, paths)
    assert len(batched) == 24  # a full batch and half of one
    for index in (0, 15, 23):
        np.testing.assert_allclose(probabilities(predictor, [paths[index]])[0], batched[index], atol=1e-5)
        image = np.asarray(Image.open(paths[index]))
        assert np.abs(predictor.predict(image).probability - batched[index]).max() < 0.1  # different JPEG decoder


def test_tta_mirrors_outputs_back_and_averages_them(trained: Run, paths: list[Path]) -> None:
    model = load_model(*load_run(trained.folder))
    image = STEPS(read_image(paths[0])).numpy()
    mirrored = [np.ascontiguousarray(image[::y, ::x]) for y in (1, -1) for x in (1, -1)]
    outputs = model(np.stack(mirrored).astype(np.float32), training=False).numpy()[..., 0]
    expected = np.mean([outputs[0], outputs[1][:, ::-1], outputs[2][::-1], outputs[3][::-1, ::-1]], axis=0)
    assert np.abs(outputs[0] - expected).max() > 0.01  # the network is not symmetric
    found = load_predictor(trained.folder, Outline(tta=True)).predict(image)
    np.testing.assert_allclose(found.probability, expected, atol=1e-5)


def test_broken_files_are_yielded_in_order(trained: Run, paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(paths[0].read_bytes()[:-300])
    (tmp_path / "text.jpg").write_text("no image")
    files = [tmp_path / "cut.jpg", paths[0], tmp_path / "text.jpg", tmp_path / "gone.jpg", paths[1]]
    predictor = load_predictor(trained.folder)
    found = list(predictor.predict_files(files, lambda path, prediction: (path, prediction.mask.shape)))
    assert [path for path, _ in found] == files
    assert [isinstance(result, HamError) for _, result in found] == [True, False, True, True, False]
    assert found[4][1] == (paths[1], (64, 96))


def test_error_in_finish_is_raised(trained: Run, paths: list[Path]) -> None:
    def full(path: Path, prediction: Prediction) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        list(load_predictor(trained.folder).predict_files(paths[:1], full))


def test_batches_are_limited_by_images_and_pixels(
    monkeypatch: pytest.MonkeyPatch, paths: list[Path], tmp_path: Path
) -> None:
    assert [len(batch) for batch in batches(paths)] == [16, 8]
    monkeypatch.setattr(predictor_module, "BATCH_PIXELS", 3 * 64 * 96 + 1)
    assert [len(batch) for batch in batches(paths[:7])] == [3, 3, 1]
    Image.new("RGB", (300, 200)).save(tmp_path / "large.png")
    files = [paths[0], tmp_path / "large.png", tmp_path / "gone.jpg", paths[1]]
    assert list(batches(files)) == [[files[0]], [files[1]], files[2:]]


def test_lack_of_memory_names_the_way_out(trained: Run, phantoms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(Predictor, "_answers", fail)
    paths = [record.image_path for record in find_records(phantoms).records[:2]]
    with pytest.raises(OutOfMemoryError, match=r"^out of memory: OOM .*; close other programs, .*CUDA_VISIBLE_DEVICES"):
        list(load_predictor(trained.folder).predict_files(paths, lambda *_: None))
