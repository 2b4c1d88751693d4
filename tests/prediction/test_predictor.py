"""The network on photographs: the same answer alone and in company, mirror images averaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ham_keras.data.images import read_image, resize_probability
from ham_keras.data.records import find_records
from ham_keras.errors import HamError
from ham_keras.models.loading import load_model
from ham_keras.prediction import predictor
from ham_keras.prediction.predictor import Segmented, Segmenter, batches, load_segmenter
from ham_keras.preprocessing.steps import Resize
from ham_keras.runs import Run, load_run
from ham_keras.settings import Outline

STEPS = Resize(32, 32)


@pytest.fixture(scope="module")
def paths(phantoms: Path) -> list[Path]:
    return [record.image_path for record in find_records(phantoms).records]


def probabilities(segmenter: Segmenter, paths: list[Path]) -> list[np.ndarray]:
    return [found for _, found in segmenter.segment_files(paths, lambda _, segmented: segmented.probability)]


def test_is_the_runs_network_resized_to_each_image(trained: Run, paths: list[Path]) -> None:
    model = load_model(*load_run(trained.folder))
    found = probabilities(load_segmenter(trained.folder), paths[:3])
    for path, probability in zip(paths, found, strict=False):
        small = model(STEPS(read_image(path)).numpy()[None].astype(np.float32), training=False)
        np.testing.assert_allclose(probability, resize_probability(small, 64, 96)[0, ..., 0], atol=1e-5)


def test_company_does_not_change_an_answer(trained: Run, paths: list[Path]) -> None:
    segmenter = load_segmenter(trained.folder)
    together = probabilities(segmenter, paths)
    assert len(together) == 24  # a full batch and half a one
    for index in (0, 15, 23):
        np.testing.assert_allclose(probabilities(segmenter, [paths[index]])[0], together[index], atol=1e-5)
        image = np.asarray(Image.open(paths[index]))
        assert np.abs(segmenter.segment(image).probability - together[index]).max() < 0.05  # another JPEG decoder


def test_mirror_images_are_turned_back_and_averaged(trained: Run, paths: list[Path]) -> None:
    model = load_model(*load_run(trained.folder))
    image = STEPS(read_image(paths[0])).numpy()
    mirrored = [np.ascontiguousarray(image[::y, ::x]) for y in (1, -1) for x in (1, -1)]
    answers = model(np.stack(mirrored).astype(np.float32), training=False).numpy()[..., 0]
    expected = np.mean([answers[0], answers[1][:, ::-1], answers[2][::-1], answers[3][::-1, ::-1]], axis=0)
    assert np.abs(answers[0] - expected).max() > 0.01  # the network has a sense of direction
    found = load_segmenter(trained.folder, Outline(tta=True)).segment(image)
    np.testing.assert_allclose(found.probability, expected, atol=1e-5)


def test_broken_files_keep_their_place(trained: Run, paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(paths[0].read_bytes()[:-300])
    (tmp_path / "text.jpg").write_text("no image")
    files = [tmp_path / "cut.jpg", paths[0], tmp_path / "text.jpg", tmp_path / "gone.jpg", paths[1]]
    segmenter = load_segmenter(trained.folder)
    found = list(segmenter.segment_files(files, lambda path, segmented: (path, segmented.lesion.shape)))
    assert [path for path, _ in found] == files
    assert [isinstance(result, HamError) for _, result in found] == [True, False, True, True, False]
    assert found[4][1] == (paths[1], (64, 96))


def test_a_fault_in_finishing_is_not_taken_for_a_broken_file(trained: Run, paths: list[Path]) -> None:
    def full(path: Path, segmented: Segmented) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        list(load_segmenter(trained.folder).segment_files(paths[:1], full))


def test_batches_end_at_16_images_or_before_the_pixels_are_too_many(
    monkeypatch: pytest.MonkeyPatch, paths: list[Path], tmp_path: Path
) -> None:
    assert [len(batch) for batch in batches(paths)] == [16, 8]
    monkeypatch.setattr(predictor, "BATCH_PIXELS", 3 * 64 * 96 + 1)
    assert [len(batch) for batch in batches(paths[:7])] == [3, 3, 1]
    Image.new("RGB", (300, 200)).save(tmp_path / "large.png")
    files = [paths[0], tmp_path / "large.png", tmp_path / "gone.jpg", paths[1]]
    assert list(batches(files)) == [[files[0]], [files[1]], files[2:]]
