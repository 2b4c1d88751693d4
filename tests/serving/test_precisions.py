"""Networks exported in int8 and float16 answer as in float32, nearly."""

from __future__ import annotations

import filecmp
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ham_keras.config import load_config
from ham_keras.data.records import find_records
from ham_keras.data.splits import load_split
from ham_keras.errors import HamError
from ham_keras.export import export, main
from ham_keras.files import load_json
from ham_keras.models.loading import load_model
from ham_keras.prediction.ensemble import load_ensemble
from ham_keras.runs import Run, load_run
from ham_keras.serving import representative
from ham_keras.serving.representative import find_representative, read_representative


@pytest.fixture(scope="module")
def images(trained: Run) -> np.ndarray:
    """The run's training images at the network's size, float32 [N, 32, 32, 3]."""
    ensemble = load_ensemble(trained.folder)
    return read_representative(ensemble, find_representative(ensemble)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(trained: Run, images: np.ndarray) -> np.ndarray:
    """The float32 network's probabilities of these images."""
    return load_model(*load_run(trained.folder))(images, training=False).numpy()


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return (first & second).sum() / (first | second).sum()


def test_openvino_in_int8_answers_as_in_float32(
    trained: Run, images: np.ndarray, expected: np.ndarray, tmp_path: Path
) -> None:
    openvino = pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    place, again = (export(trained.folder, tmp_path / "model", form="openvino", precision="int8") for _ in range(2))
    core, exact = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(place / "tiny.xml", "CPU", exact)
    answers = np.concatenate([compiled(image[None])[0].copy() for image in images])  # the next call overwrites it
    assert answers.shape == expected.shape
    middle = (expected.min() + expected.max()) / 2  # a threshold that this briefly trained network reaches
    assert overlap(answers > middle, expected > middle) > 0.95
    model = core.read_model(place / "tiny.xml")
    model.reshape(images.shape)
    np.testing.assert_allclose(core.compile_model(model, "CPU", exact)(images)[0], answers, atol=1e-5)
    float32_bytes = 4 * load_model(*load_run(trained.folder)).count_params()
    assert (place / "tiny.bin").stat().st_size < 0.3 * float32_bytes
    assert filecmp.cmp(place / "tiny.bin", again / "tiny.bin", shallow=False)
    described = load_json(place / "assets.extra" / "metadata.json")
    assert (described["format"], described["precision"]) == ("openvino", "int8")
    assert described["calibration"] == {"images": 12, "of": "the training images of tiny, evenly spaced"}
    assert described["signatures"]["network"]["inputs"]["images"]["shape"] == [1, 32, 32, 3]
    assert str(tmp_path) not in (place / "tiny.xml").read_text()


@pytest.mark.parametrize(
    ("precision", "agreement", "bytes_per_weight"), [("float32", 0.999, 4), ("float16", 0.98, 2), ("int8", 0.9, 1)]
)
def test_litert_answers_as_the_run(
    precision: str,
    agreement: float,
    bytes_per_weight: int,
    trained: Run,
    images: np.ndarray,
    expected: np.ndarray,
    tmp_path: Path,
) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    place = export(trained.folder, tmp_path / "model", form="litert", precision=precision)
    content = (place / "tiny.tflite").read_bytes()
    run = litert.Interpreter(model_content=content).get_signature_runner("serving_default")
    answers = np.concatenate([run(image=image[None].astype(np.uint8))["probability"] for image in images])
    assert (answers.shape, answers.dtype) == (expected.shape, np.float32)
    assert overlap(answers > 0.5, expected > 0.5) > agreement
    weights = load_model(*load_run(trained.folder)).count_params()
    assert len(content) == pytest.approx(bytes_per_weight * weights, rel=0.1)
    described = load_json(place / "assets.extra" / "metadata.json")
    assert (described["format"], described["precision"]) == ("litert", precision)
    assert (described["calibration"] is not None) == (precision == "int8")
    signature = described["signatures"]["serving_default"]
    assert signature["inputs"]["image"]["shape"] == [1, *images.shape[1:]]
    assert signature["outputs"]["probability"]["shape"] == [1, *answers.shape[1:]]
    assert signature["left_to_the_caller"] == ["preprocessing", "resize bilinearly to the image", "threshold"]


def test_representative_images_are_evenly_spaced_training_images(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(representative, "IMAGES", 3)
    found = find_representative(load_ensemble(trained.folder))
    train = load_split(trained.split)["train"]
    assert [record.image_id for record in found] == [train[0], train[6], train[11]]  # of 12; 5.5 is rounded to even


def test_impossible_precisions_are_refused(trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        HamError, match=r"^--precision int8: --format onnx has only float32; --format openvino or litert"
    ):
        main([str(trained.folder), "--format", "onnx", "--precision", "int8", "--output", str(tmp_path / "model")])
    with pytest.raises(HamError, match=r"^--precision int4: --format openvino has only float32, int8$"):
        export(trained.folder, tmp_path / "model", form="openvino", precision="int4")
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(HamError, match=r"^--precision int8: nncf is not installed; pip install nncf$"):
        export(trained.folder, tmp_path / "model", form="openvino", precision="int8")
    assert list(tmp_path.iterdir()) == []


def test_missing_training_images_are_one_line(trained: Run, phantoms: Path, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    moved = tmp_path / "runs" / "moved"
    shutil.copytree(trained.folder, moved)
    settings: dict[str, Any] = load_config(moved / "config.json").model_dump(by_alias=True)
    settings["data"]["root"] = str(tmp_path / "gone")
    (moved / "config.json").write_text(json.dumps(settings))
    message = r"^data\.root: .*gone: no such data folder; --precision int8 needs the run's training images; .*FOLDER$"
    with pytest.raises(HamError, match=message):
        export(moved, tmp_path / "model", form="openvino", precision="int8")
    given = find_representative(load_ensemble(moved, [f"data.root={phantoms}"]))
    assert set(given) <= set(find_records(phantoms).records)
    split = load_json(moved / "split.json")
    split["train"][0] = "another"
    (moved / "split.json").write_text(json.dumps(split))
    with pytest.raises(HamError, match=r"split\.json: train: 1 of 12 ids have no image and mask in the data folder"):
        find_representative(load_ensemble(moved, [f"data.root={phantoms}"]))
