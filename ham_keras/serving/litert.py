"""Write the network for LiteRT, formerly TensorFlow Lite: phones and small computers (ai.google.dev/edge/litert)."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from ham_keras.files import save_bytes
from ham_keras.prediction.branches import Branch
from ham_keras.serving.representative import Images, one_by_one
from ham_keras.serving.signatures import freeze, save_signatures


def write_flatbuffer(path: Path, branch: Branch, precision: str, images: Images | None = None) -> None:
    """Write a .tflite file with the signature serving_default, for one image at a time.

    It takes `image`, uint8 RGB [1, h, w, 3], 0..255 at the network's size, and returns `probability`, float32
    [1, h, w, 1], whatever the precision. Normalisation is in the graph. Resizing with antialiasing and the removal of
    hairs are not: LiteRT has no such operations of its own.

    Args:
        precision: "float32"; "float16", which halves the weights, computed in the device's own precision; or "int8",
            weights and activations, calibrated on the images.
        images: of the training set, uint8 RGB [N, h, w, 3] at the network's size, for "int8".
    """
    network = freeze(branch, tta=False, batch=1)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([1, *branch.size, 3], tf.uint8, "image")])
    def signature(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": network(tf.cast(image, tf.float32))[0]}

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as saved, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the converter, about statistics that it then collects
        save_signatures({"serving_default": signature}, Path(saved))
        converter = tf.lite.TFLiteConverter.from_saved_model(saved)
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if images is not None:
            converter.representative_dataset = lambda: ([image] for image in one_by_one(images, np.uint8))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        save_bytes(path, converter.convert())
