"""The rows of `evaluate_images` are those of the plain definition, to the last digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from ham_keras.data.images import read_image
from ham_keras.data.records import find_records
from ham_keras.data.repair import decide_masks
from ham_keras.models.loading import load_model
from ham_keras.prediction.evaluation import evaluate_images
from ham_keras.prediction.predictor import load_predictor
from ham_keras.preprocessing.resize import resize_image
from ham_keras.runs import Run, load_run


def jaccard(truth: np.ndarray, mask: np.ndarray) -> float:
    return float((truth & mask).sum() / (truth | mask).sum())


def test_rows_are_those_of_the_definition(trained: Run, phantoms: Path) -> None:
    records = decide_masks(find_records(phantoms).records)[:16]
    rows = [row for row, _, _ in evaluate_images(load_predictor(trained.folder), records, visible=False)]
    small = tf.stack([resize_image(read_image(record.image_path), 32, 32) for record in records])
    network = load_model(*load_run(trained.folder))(tf.cast(small, tf.float32), training=False)
    native = tf.image.resize(network, [64, 96]).numpy()[..., 0] > 0.5
    for row, record, at_network, at_image in zip(rows, records, network.numpy()[..., 0] > 0.5, native, strict=True):
        truth = np.asarray(Image.open(record.mask_path).convert("L")) > 127
        averaged = truth.reshape(32, 2, 32, 3).mean(axis=(1, 3)) >= 0.5
        assert row["image_id"] == record.image_id
        assert row["jaccard_native"] == jaccard(truth, at_image)
        assert row["jaccard_network"] == jaccard(averaged, at_network)
        assert row["lesion_fraction"] == round(float(truth.mean()), 6)
