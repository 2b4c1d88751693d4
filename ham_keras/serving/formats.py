"""Write an exported network: as a SavedModel, for ONNX Runtime or for OpenVINO."""

from __future__ import annotations

import errno
import importlib
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ham_keras.errors import HamError
from ham_keras.prediction.branches import build_branches, common_size
from ham_keras.serving.signatures import build_signatures
from ham_keras.serving.warmup import save_warmup_requests
from ham_keras.settings import Data, Outline
from ham_keras.trust.assess import Assessor
from ham_keras.trust.file import Trust

LARGEST_BYTES = 2**31 - 2**26  # of the weights in a SavedModel: protocol buffers hold 2 GiB, the rest is for the graph

Members = Sequence[tuple[keras.Model, Data]]
Writer = Callable[[Members, Outline, Path, str, Trust | None], None]


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
    try:
        tf.saved_model.save(tf.Module(), str(folder), signatures=signatures)
    except (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:  # a full disk, a file size limit
        number = errno.ENOSPC if isinstance(error, tf.errors.ResourceExhaustedError) else errno.EFBIG
        raise OSError(number, os.strerror(number)) from None
    requests = folder / "assets.extra" / "tf_serving_warmup_requests"
    save_warmup_requests(requests, name, signatures, common_size(build_branches(members)), outline.threshold)


def write_onnx(members: Members, outline: Outline, folder: Path, name: str, trust: Trust | None = None) -> None:
    """Write `<name>.onnx` with Keras' export and tf2onnx: the network alone, without post-processing and trust.

    Raises:
        HamError: tf2onnx is not installed, or the networks' preprocessing differs.
    """
    _require("tf2onnx", "onnx", "onnx tf2onnx")
    _keras_export(members, folder / f"{name}.onnx", "onnx")


def write_openvino(members: Members, outline: Outline, folder: Path, name: str, trust: Trust | None = None) -> None:
    """Write `<name>.xml` and `<name>.bin`, OpenVINO's IR, with Keras' export: the network alone, as `write_onnx`.

    Raises:
        HamError: openvino is not installed, or the networks' preprocessing differs.
    """
    _require("openvino", "openvino", "openvino")
    _keras_export(members, folder / f"{name}.xml", "openvino")


WRITERS: dict[str, Writer] = {
    "saved_model": write_saved_model,
    "onnx": write_onnx,
    "openvino": write_openvino,
}


def _require(module: str, form: str, packages: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError:
        raise HamError(f"--format {form}: {module} is not installed; pip install {packages}") from None


def _keras_export(members: Members, path: Path, form: str) -> None:
    branches = build_branches(members)
    if len(branches) > 1:
        raise HamError(
            f"--format {form}: the runs' preprocessing differs, e.g. in data.image_size, so that no image fits all "
            f"networks; only saved_model supports that"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    images = keras.InputSpec(shape=(None, *branches[0].size, 3), dtype="float32", name="images")
    options: dict[str, Any] = {"format": form, "input_signature": [images], "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras accesses np.object, for tf2onnx
        _average([network for network, _ in members]).export(str(path), **options)


def _average(models: Sequence[keras.Model]) -> keras.Model:
    """One model with the mean of the models' outputs."""
    if len(models) == 1:
        return keras.Model(models[0].inputs, models[0].outputs)
    image = keras.Input((None, None, 3), name="image")
    renamed = [keras.Model(each.input, each.output, name=f"member_{i}") for i, each in enumerate(models)]
    return keras.Model(image, keras.layers.Average()([model(image) for model in renamed]))
