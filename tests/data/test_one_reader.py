"""Audit, training, evaluation, prediction, report and served graph read, or refuse, unusual files identically."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from odd_files import LESION, PIXELS, draw

from ham_keras.data.audit import audit
from ham_keras.data.encoded import read_head
from ham_keras.data.images import read_image
from ham_keras.data.inspection.folder import Audit
from ham_keras.data.integrity import JPEG, PNG
from ham_keras.data.mask_warnings import mask_warnings
from ham_keras.data.masks import resize_mask
from ham_keras.data.pipeline import Examples, make_eval_dataset
from ham_keras.data.problems import UNREADABLE
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.truth import read_truth
from ham_keras.errors import HamError
from ham_keras.models.loading import load_model
from ham_keras.prediction.evaluation import evaluate_images
from ham_keras.prediction.predictor import load_predictor
from ham_keras.preprocessing.resize import resize_image
from ham_keras.reports.failures import measure_records
from ham_keras.runs import Run, load_run
from ham_keras.serving.signatures import build_signatures
from ham_keras.settings import Data

HEIGHT_PX, WIDTH_PX = LESION.shape
# The operation that turns LESION and PIXELS upright, by the name of the file.
TURNS = {
    "lying_left": np.rot90,
    "lying": lambda pixels: np.rot90(pixels, -1),
    "transposed": lambda pixels: np.swapaxes(pixels, 0, 1),
}
UNTURNED_MASK = {"mirrored": np.fliplr, "upside_down": lambda pixels: np.rot90(pixels, 2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Record], dict[str, bool]]:
    root = tmp_path_factory.mktemp("odd") / "data"
    valid = draw(root)
    records = decide_masks(find_records(root).records)
    assert {record.image_id for record in records} == valid.keys()
    return records, valid


@pytest.fixture(scope="module")
def valid(folder: tuple[list[Record], dict[str, bool]]) -> list[Record]:
    return [record for record in folder[0] if folder[1][record.image_id]]


@pytest.fixture(scope="module")
def broken(folder: tuple[list[Record], dict[str, bool]]) -> list[Record]:
    return [record for record in folder[0] if not folder[1][record.image_id]]


@pytest.fixture(scope="module")
def audited(folder: tuple[list[Record], dict[str, bool]]) -> Audit:
    return audit(folder[0][0].image_path.parent.parent)


def line_of(error: Any) -> str:
    assert "\n" not in str(error)
    return str(error)


def expected(record: Record, pixels: np.ndarray, *, mask: bool = False) -> np.ndarray:
    turns = TURNS if mask else TURNS | UNTURNED_MASK
    name = next((name for name in turns if record.image_id.startswith(f"photograph_{name}")), None)
    return pixels if name is None else turns[name](pixels)


def test_valid_files_have_the_drawn_pixels(valid: list[Record]) -> None:
    for record in valid:
        np.testing.assert_array_equal(read_truth(record).lesion, expected(record, LESION, mask=True), record.image_id)
        image, drawn = read_image(record.image_path), expected(record, PIXELS)
        assert image.shape == drawn.shape, record.image_id
        grey = "grey" in record.image_id
        difference = np.abs(image.mean(2) - drawn.mean(2)) if grey else np.abs(image.astype(int) - drawn)
        assert difference.mean() < 25, record.image_id  # JPEG, palettes and grey change colours, but nothing is white
        if record.image_path.suffix != ".jpg" and not grey and "palette" not in record.image_id:
            np.testing.assert_array_equal(image, drawn, record.image_id)


def test_unclear_rotations_are_counted(folder: tuple[list[Record], dict[str, bool]]) -> None:
    (line,) = mask_warnings(folder[0])
    assert line.startswith(f"2 of {len(folder[0])} pairs have an image or a mask rotated by EXIF")
    assert "photograph_mirrored_jpg.png" in line


def test_training_reads_the_same_pixels(valid: list[Record]) -> None:
    examples = Examples(valid, Data(image_size=[HEIGHT_PX, WIDTH_PX], cache="memory"), visible=False)
    batches = list(make_eval_dataset(examples, batch_size=8))
    images, masks = (np.concatenate([batch[part].numpy() for batch in batches]) for part in (0, 1))
    for record, image, mask in zip(valid, images, masks, strict=True):
        assert np.array_equal(image, resize_image(read_image(record.image_path), HEIGHT_PX, WIDTH_PX)), record.image_id
        assert np.array_equal(mask[..., 0], resize_mask(read_truth(record).lesion, HEIGHT_PX, WIDTH_PX))


def test_audit_reads_the_same_and_finds_the_files_that_stop_training(valid: list[Record], audited: Audit) -> None:
    unread = {problem.image_ids[0] for problem in audited.problems if problem.kind in UNREADABLE}
    pairs = {pair.record.image_id: pair for pair in audited.pairs}
    assert unread == pairs.keys() - {record.image_id for record in valid}
    for record in valid:
        pair, lesion = pairs[record.image_id], read_truth(record).lesion
        assert pair.image_size == read_image(record.image_path).shape[1::-1]
        assert (pair.mask_size, pair.lesion_fraction) == (lesion.shape[::-1], lesion.mean())


def test_evaluation_and_report_read_the_same(trained: Run, valid: list[Record]) -> None:
    rows = [row for row, _, _ in evaluate_images(load_predictor(trained.folder), valid, visible=False)]
    measured = measure_records(valid, visible=False)
    for record, row in zip(valid, rows, strict=True):
        lesion = read_truth(record).lesion
        assert (row["image_id"], row["height_px"], row["width_px"]) == (record.image_id, *lesion.shape)
        assert row["lesion_fraction"] == pytest.approx(lesion.mean(), abs=1e-6)
        assert measured[record.image_id].lesion_fraction == lesion.mean()


def test_prediction_and_served_graph_read_the_same(trained: Run, valid: list[Record]) -> None:
    predictor = load_predictor(trained.folder)
    _, config = load_run(trained.folder)
    serve = build_signatures([(load_model(trained, config), config.data)], config.outline)["serve_bytes"]
    paths = [record.image_path for record in valid]
    served = 0
    for path, prediction in predictor.predict_files(paths, lambda _, prediction: prediction):
        assert np.array_equal(prediction.image, read_image(path)), path.name
        head = read_head(path)
        if path.read_bytes().startswith((JPEG, PNG)) and head is not None and head.orientation == 1:
            answer = serve(tf.constant([path.read_bytes()]))["mask_bytes"].numpy()[0]
            lesion = tf.io.decode_png(answer).numpy()[..., 0] // 255
            assert np.mean(lesion == prediction.mask) > 0.99, path.name
            served += 1
    assert served > 20


def test_broken_files_raise_the_same_error_everywhere(trained: Run, broken: list[Record], audited: Audit) -> None:
    _, config = load_run(trained.folder)
    model, predictor = load_model(trained, config), load_predictor(trained.folder)
    serve = build_signatures([(model, config.data)], config.outline)["serve_bytes"]
    details = {p.image_ids[0]: p.detail for p in audited.problems if p.kind in UNREADABLE}
    for record in broken:
        of_image = record.image_id.startswith("photograph")
        lines = {}
        with pytest.raises(HamError) as error:
            if of_image:
                read_image(record.image_path)
            else:
                read_truth(record)
        line = line_of(error.value)
        for cache in ("memory", "none"):
            with pytest.raises(HamError) as error:
                examples = Examples([record], Data(image_size=[32, 32], cache=cache), visible=False)
                with examples.naming_broken_files():
                    list(make_eval_dataset(examples, batch_size=1))
            lines[f"training, {cache}"] = line_of(error.value)
        with pytest.raises(HamError) as error:
            list(evaluate_images(predictor, [record], visible=False))
        lines["evaluation"] = line_of(error.value)
        with pytest.raises(HamError) as error:
            measure_records([record], visible=False)
        lines["report"] = line_of(error.value)
        if of_image:
            ((_, refused),) = predictor.predict_files([record.image_path], lambda _, prediction: prediction)
            lines["prediction"] = line_of(refused)
            data = record.image_path.read_bytes()
            lenient = ("ends_early_png", "frames_png", "half_jpg", "zeros_inside_jpg")
            served = "lying" not in record.image_id and not record.image_id.endswith(lenient)
            if served and data.startswith((JPEG, PNG)):
                with pytest.raises(tf.errors.InvalidArgumentError):
                    serve(tf.constant([data]))
        assert set(lines.values()) == {line}, record.image_id
        assert details[record.image_id] in line
        assert line.startswith(str(record.image_path if of_image else record.mask_path))
