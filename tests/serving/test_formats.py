"""Writing an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from limits import largest_file
from untrained import enlarge_mfsnet_logits

from ham_keras.errors import FULL
from ham_keras.models.build import build_model
from ham_keras.serving.formats import Writer, write_litert, write_onnx, write_openvino, write_saved_model
from ham_keras.settings import Outline


def test_full_disk_is_a_system_error(tiny: Any, tmp_path: Path) -> None:
    images = keras.Input((32, 32, 3))
    model = keras.Model(images, keras.layers.Conv2D(1, 1, activation="sigmoid")(images))
    with largest_file(1000), pytest.raises(OSError) as raised:
        write_saved_model([(model, tiny().data)], Outline(), tmp_path / "1", "tiny")
    assert raised.value.errno in FULL


@pytest.mark.parametrize("write", [write_litert, write_openvino, write_onnx])
def test_full_disk_is_a_system_error_in_every_format(write: Writer, tiny: Any, tmp_path: Path) -> None:
    """Also with files that are deleted at the end, which are then in the folder of the export."""
    images = keras.Input((None, None, 3))
    hidden = keras.layers.Conv2D(512, 3, padding="same")(images)
    model = keras.Model(images, keras.layers.Conv2D(1, 1, activation="sigmoid")(hidden))
    (tmp_path / "1").mkdir()
    with largest_file(20_000), pytest.raises(OSError) as raised:
        write([(model, tiny().data)], Outline(), tmp_path / "1", "tiny")
    assert raised.value.errno in FULL


@pytest.mark.parametrize("backbone", ["mobilenet", "vgg16"])
def test_onnx_takes_images_as_they_are(backbone: str, tiny: Any, tmp_path: Path) -> None:
    """Also where the backbone wants them normalised, or in BGR: the constants are in the graph, not among its inputs.

    Upsampling and normalisation over the batch are single operations, which the runtime can join with others.
    """
    onnx, onnxruntime = map(pytest.importorskip, ("onnx", "onnxruntime"))
    config = tiny(model={"backbone": backbone})
    model = build_model(config.model)
    write_onnx([(model, config.data)], Outline(), tmp_path, "tiny")
    session = onnxruntime.InferenceSession(str(tmp_path / "tiny.onnx"))
    assert [given.name for given in session.get_inputs()] == ["images"]
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    (answer,) = session.run(None, {"images": images})
    np.testing.assert_allclose(answer, model(images), atol=1e-5)
    kinds = [node.op_type for node in onnx.load(tmp_path / "tiny.onnx").graph.node]
    assert kinds.count("Resize") == 5 and not {"Tile", "Cast"} & {*kinds}
    assert kinds.count("Mul") <= 1  # of the image; Keras' BatchNormalization leaves one for each that is not folded


@pytest.mark.parametrize("form", ["onnx", "openvino", "litert"])
def test_mfsnet_answers_the_same_in_every_format(form: str, tiny: Any, tmp_path: Path) -> None:
    config = tiny(model={"architecture": "mfsnet", "backbone": "mobilenet"})
    keras.utils.set_random_seed(0)
    model = build_model(config.model)
    enlarge_mfsnet_logits(model)
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.uint8)
    expected = model(images.astype(np.float32)).numpy()
    assert np.ptp(expected) > 0.05, np.ptp(expected)
    members = [(model, config.data)]
    if form == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        write_onnx(members, Outline(), tmp_path, "tiny")
        session = onnxruntime.InferenceSession(str(tmp_path / "tiny.onnx"))
        (answer,) = session.run(None, {"images": images.astype(np.float32)})
    elif form == "openvino":
        core = pytest.importorskip("openvino").Core()
        write_openvino(members, Outline(), tmp_path, "tiny")
        compiled = core.compile_model(tmp_path / "tiny.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        answer = compiled(images.astype(np.float32))[0]
    else:
        litert = pytest.importorskip("ai_edge_litert.interpreter")
        write_litert(members, Outline(), tmp_path, "tiny")
        interpreter = litert.Interpreter(model_content=(tmp_path / "tiny.tflite").read_bytes())
        answer = interpreter.get_signature_runner("serving_default")(image=images)["probability"]
    np.testing.assert_allclose(answer, expected, atol=1e-4)
