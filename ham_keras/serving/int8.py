"""Post-training quantisation of an OpenVINO network to int8, with NNCF (github.com/openvinotoolkit/nncf)."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from pathlib import Path

import numpy as np

from ham_keras.serving.representative import Images, one_by_one


def quantize_openvino(source: Path, target: Path, images: Images) -> None:
    """Read OpenVINO's IR `source` and write it in int8 as `target`, both .xml, with their weights in .bin files.

    Weights are symmetric in int8, one scale a channel; activations are in 8 bits, with the ranges of these images. The
    biases then make up for the mean error. The same images give the same weights and ranges.

    The input is [1, h, w, 3]: with an open number of images, OpenVINO 2026.4.1 returned wrong probabilities for a
    single one of 32x32 pixels, right ones for two or more, and right ones for all after `model.reshape`.

    Args:
        images: of the training set, uint8 RGB [N, h, w, 3] at the network's size.
    """
    os.environ.setdefault("NNCF_CI", "1")  # otherwise NNCF reports its use over the network
    import nncf
    import openvino

    logging.getLogger("nncf").setLevel(logging.ERROR)
    dataset = nncf.Dataset(list(one_by_one(images, np.float32)))
    with contextlib.redirect_stdout(io.StringIO()):  # progress bars
        quantized = nncf.quantize(openvino.Core().read_model(source), dataset, subset_size=len(images))
    quantized.reshape([1, *images.shape[1:]])
    target.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(quantized, target, compress_to_fp16=False)
