"""The network that is trained on the diagnoses: it must not tell the trees what it knows by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ham_keras.data.records import Record
from ham_keras.diagnose import diagnose
from ham_keras.diagnosis.config import Encoder, NetworkSettings
from ham_keras.diagnosis.diagnoser import Diagnoser
from ham_keras.diagnosis.network import augment, log_probabilities, train_networks
from ham_keras.files import load_csv
from ham_keras.runs import Run, load_run
from ham_keras.scores.classification import auc


def test_noise_labels_are_known_by_heart_but_not_out_of_fold(trained: Run, tmp_path: Path) -> None:
    """With random labels the AUC of each network is high on its own images and about 0.5 on those of its fold."""
    rng = np.random.default_rng(0)
    images, lesions = 64, 32
    crops = rng.integers(0, 255, (lesions, 32, 32, 3), dtype=np.uint8).repeat(2, 0)  # two equal images of each lesion
    labels = rng.permutation(np.arange(lesions) % 2).repeat(2)
    records = [
        Record(f"i{n:02}", f"l{n // 2:02}", ("mel", "nv")[labels[n]], Path("a"), Path("b")) for n in range(images)
    ]
    settings = NetworkSettings(
        encoder=Encoder(), folds=2, epochs=25, batch_size=16, learning_rate=1e-3, dropout=0.0, seed=1
    )
    run, config = load_run(trained.folder)
    networks, unseen = train_networks(tmp_path, settings, run, config, crops, labels, records, 2, visible=False)
    assert auc(unseen[:, 1], labels == 1) == pytest.approx(0.5, abs=0.25)
    # Each network has seen half of the images.
    known = [auc(log_probabilities(model, crops)[:, 1], labels == 1) for model in networks.models]
    assert min(known) > 0.7
    again, unseen_again = train_networks(tmp_path, settings, run, config, crops, labels, records, 2, visible=False)
    assert np.array_equal(unseen, unseen_again) and len(again.models) == 2  # loaded, not trained again


def test_augmentation_keeps_range_and_is_deterministic() -> None:
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)), tf.float32)
    one, two = (augment(images, tf.constant([3, 4], tf.int64)).numpy() for _ in range(2))
    assert np.array_equal(one, two) and one.shape == images.shape
    assert one.min() >= 0 and one.max() <= 255
    assert not np.array_equal(one, augment(images, tf.constant([5, 6], tf.int64)).numpy())


def test_run_with_a_trained_network(small_diagnosis: Any, two_diagnoses: Path, tmp_path: Path) -> None:
    settings = {"trained": True, "masks": "true", "scored_masks": "true", "doubt": False, "encoders": []}
    config = small_diagnosis(tmp_path, features=settings, network={"folds": 2, "epochs": 1, "batch_size": 4})
    run = diagnose(config, visible=False).run
    own, trees = (load_csv(run.scores("test") / f"{name}.csv") for name in ("network", "per_image"))
    assert [row["image_id"] for row in own] == [row["image_id"] for row in trees]
    assert all(float(row["p_mel"]) + float(row["p_nv"]) == pytest.approx(1, abs=1e-5) for row in own)
    assert "trained network" in {row["group"] for row in load_csv(run.importance_groups)}
    assert [*Diagnoser(run.folder).extractor.names[-2:]] == ["network_mel", "network_nv"]
