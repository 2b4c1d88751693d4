"""Write an exported network: as a SavedModel, for ONNX Runtime, for OpenVINO or for LiteRT."""

from __future__ import annotations

import errno
import importlib.util
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from ham_keras.errors import HamError
from ham_keras.prediction.branches import Branch, build_branches, common_size
from ham_keras.serving.int8 import quantize_openvino
from ham_keras.serving.litert import write_flatbuffer
from ham_keras.serving.representative import Images
from ham_keras.serving.signatures import build_signatures, save_signatures
from ham_keras.serving.warmup import save_warmup_requests
from ham_keras.settings import Data, Outline
from ham_keras.trust.assess import Assessor
from ham_keras.trust.file import Trust

LARGEST_BYTES = 2**31 - 2**26  # of the weights in a SavedModel: protocol buffers hold 2 GiB, the rest is for the graph

Members = Sequence[tuple[keras.Model, Data]]
Writer = Callable[..., None]  # as `write_saved_model`


def write_saved_model(members: Members, outline: Outline, folder: Path, name: str, trust: Trust | None = None) -> None:
    """Write a SavedModel: signatures around the frozen networks, with warm-up requests for TensorFlow Serving.

    With `trust`, files sent to it are also assessed.

    Raises:
        HamError: the weights are too large for one SavedModel.
    """
    weight_bytes = sum(4 * network.count_params() for network, _ in members)
    if weight_bytes > LARGEST_BYTES:
        raise HamError(
            f"--format saved_model: the weights of {len(members)} networks are {weight_bytes / 2**30:.1f} GiB, and "
            f"frozen ones are limited to {LARGEST_BYTES / 2**30:.1f} GiB; export fewer runs"
        )
    signatures = build_signatures(members, outline, None if trust is None else Assessor(trust))
    save_signatures(signatures, folder)
    requests = folder / "assets.extra" / "tf_serving_warmup_requests"
    save_warmup_requests(requests, name, signatures, common_size(build_branches(members)), outline.threshold)


def write_onnx(members: Members, outline: Outline, folder: Path, name: str, trust: Trust | None = None) -> None:
    """Write `<name>.onnx` with Keras' export and tf2onnx: the network alone, without post-processing and trust.

    Raises:
        HamError: tf2onnx is not installed, or the networks' preprocessing differs.
    """
    require_packages("onnx", "float32")
    _keras_export(members, folder / f"{name}.onnx", "onnx")


def write_openvino(
    members: Members,
    outline: Outline,
    folder: Path,
    name: str,
    trust: Trust | None = None,
    *,
    images: Images | None = None,
) -> None:
    """Write `<name>.xml` and `<name>.bin`, OpenVINO's IR, with Keras' export: the network alone, as `write_onnx`.

    Args:
        images: quantises the network to int8, calibrated on these, uint8 RGB [N, h, w, 3] at the network's size.

    Raises:
        HamError: openvino or nncf is not installed, or the networks' preprocessing differs.
    """
    require_packages("openvino", "int8" if images is not None else "float32")
    if images is None:
        _keras_export(members, folder / f"{name}.xml", "openvino")
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as part:  # so that a killed export leaves nothing elsewhere
        whole = Path(part) / f"{name}.xml"
        _keras_export(members, whole, "openvino")
        with explaining_full_disk():
            quantize_openvino(whole, folder / f"{name}.xml", images)


def write_litert(
    members: Members,
    outline: Outline,
    folder: Path,
    name: str,
    trust: Trust | None = None,
    *,
    precision: str = "float32",
    images: Images | None = None,
) -> None:
    """Write `<name>.tflite`: the network alone, for one image at a time; see `litert.write_flatbuffer`.

    Raises:
        HamError: the networks' preprocessing differs.
    """
    write_flatbuffer(folder / f"{name}.tflite", _only_branch(members, "litert"), precision, images)


WRITERS: dict[str, Writer] = {
    "saved_model": write_saved_model,
    "onnx": write_onnx,
    "openvino": write_openvino,
    "litert": write_litert,
}


def require_packages(form: str, precision: str) -> None:
    """Check that the packages of a format are installed.

    Raises:
        HamError: one is not.
    """
    needed = {"onnx": ("tf2onnx", "onnx tf2onnx"), "openvino": ("openvino", "openvino")}
    pairs = [(f"--format {form}", *needed[form])] if form in needed else []
    if (form, precision) == ("openvino", "int8"):
        pairs.append((f"--precision {precision}", "nncf", "nncf"))
    for option, module, packages in pairs:
        try:
            importlib.util.find_spec(module) or importlib.import_module(module)
        except ImportError:
            raise HamError(f"{option}: {module} is not installed; pip install {packages}") from None


def _only_branch(members: Members, form: str) -> Branch:
    branches = build_branches(members)
    if len(branches) > 1:
        raise HamError(
            f"--format {form}: the runs' preprocessing differs, e.g. in data.image_size, so that no image fits all "
            f"networks; only saved_model supports that"
        )
    return branches[0]


def _keras_export(members: Members, path: Path, form: str) -> None:
    size = _only_branch(members, form).size
    path.parent.mkdir(parents=True, exist_ok=True)
    images = keras.InputSpec(shape=(None, *size, 3), dtype="float32", name="images")
    options: dict[str, Any] = {"format": form, "input_signature": [images], "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras accesses np.object, for tf2onnx
        with explaining_full_disk():
            _average([network for network, _ in members]).export(str(path), **options)


@contextmanager
def explaining_full_disk() -> Iterator[None]:
    """Raise the OSError of a full disk where OpenVINO raises a RuntimeError about its stream."""
    try:
        yield
    except RuntimeError as error:
        if "iostream" not in str(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None


def _average(models: Sequence[keras.Model]) -> keras.Model:
    """One model with the mean of the models' outputs."""
    if len(models) == 1:
        return keras.Model(models[0].inputs, models[0].outputs)
    image = keras.Input((None, None, 3), name="image")
    renamed = [keras.Model(each.input, each.output, name=f"member_{i}") for i, each in enumerate(models)]
    return keras.Model(image, keras.layers.Average()([model(image) for model in renamed]))
