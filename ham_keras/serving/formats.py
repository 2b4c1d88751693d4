"""Write an exported network: as a SavedModel, for ONNX Runtime or for OpenVINO."""

from __future__ import annotations

import errno
import importlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ham_keras.config import Config
from ham_keras.errors import HamError
from ham_keras.serving.signatures import build_signatures
from ham_keras.serving.warmup import save_warmup_requests

Writer = Callable[[keras.Model, Config, Path, str], None]


def write_saved_model(model: keras.Model, config: Config, folder: Path, name: str) -> None:
    """Write a SavedModel: signatures around the frozen network, with warm-up requests for TensorFlow Serving."""
    signatures = build_signatures(model, config.data, config.outline)
    try:
        tf.saved_model.save(tf.Module(), str(folder), signatures=signatures)
    except (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:  # a full disk, a file size limit
        number = errno.ENOSPC if isinstance(error, tf.errors.ResourceExhaustedError) else errno.EFBIG
        raise OSError(number, os.strerror(number)) from None
    requests = folder / "assets.extra" / "tf_serving_warmup_requests"
    height_px, width_px = config.data.image_size
    save_warmup_requests(requests, name, height_px, width_px, config.outline.threshold)


def write_onnx(model: keras.Model, config: Config, folder: Path, name: str) -> None:
    """Write `<name>.onnx` with Keras' export and tf2onnx.

    Raises:
        HamError: tf2onnx is not installed.
    """
    _require("tf2onnx", "onnx", "onnx tf2onnx")
    _keras_export(model, config, folder / f"{name}.onnx", "onnx")


def write_openvino(model: keras.Model, config: Config, folder: Path, name: str) -> None:
    """Write `<name>.xml` and `<name>.bin`, OpenVINO's IR, with Keras' export.

    Raises:
        HamError: openvino is not installed.
    """
    _require("openvino", "openvino", "openvino")
    _keras_export(model, config, folder / f"{name}.xml", "openvino")


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


def _keras_export(model: keras.Model, config: Config, path: Path, form: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = keras.InputSpec(shape=(None, *config.data.image_size, 3), dtype="float32", name="images")
    options: dict[str, Any] = {"format": form, "input_signature": [images], "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras accesses np.object, for tf2onnx
        keras.Model(model.inputs, model.outputs).export(str(path), **options)
