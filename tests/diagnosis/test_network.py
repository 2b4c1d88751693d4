"""The network that is trained on the diagnoses: it must not tell the trees what it knows by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.config import Config
from ham_keras.data.records import Record
from ham_keras.diagnose import diagnose
from ham_keras.diagnosis import network
from ham_keras.diagnosis.config import NetworkSettings
from ham_keras.diagnosis.diagnoser import Diagnoser
from ham_keras.files import load_csv
from ham_keras.runs import Run
from ham_keras.scores.classification import auc
from ham_keras.settings import Augment


def small_network(settings: NetworkSettings, run: Run, config: Config, classes: int, *, load: bool = True) -> Any:
    """Two dense layers instead of an encoder: they learn noise by heart in seconds."""
    image = keras.Input((4, 4, 3))
    hidden = keras.layers.Dense(256, "relu")(keras.layers.Flatten()(keras.layers.Rescaling(1 / 64, -2)(image)))
    return keras.Model(image, keras.layers.Dense(classes, "softmax", dtype="float32")(hidden))


@pytest.mark.filterwarnings("error:.*shuffle=True.*")
def test_noise_labels_are_known_by_heart_but_not_out_of_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random labels the AUC of each network is high on its own images and 0.5 on those of the fold left out."""
    monkeypatch.setattr(network, "build_network", small_network)
    rng = np.random.default_rng(0)
    lesions = 150
    crops = rng.integers(0, 255, (lesions, 4, 4, 3), dtype=np.uint8).repeat(2, 0)  # two equal images of each lesion
    labels = rng.permutation(np.arange(lesions) % 2).repeat(2)
    names = [("mel", "nv")[label] for label in labels]
    records = [Record(f"i{n:03}", f"l{n // 2}", name, Path("a"), Path("b")) for n, name in enumerate(names)]
    settings = NetworkSettings(folds=2, refit=True, epochs=25, learning_rate=3e-3, augment=Augment(engine="none"))
    run, config = Run(tmp_path), Config()

    def train() -> tuple[network.TrainedNetworks, Any]:
        return network.train_networks(tmp_path, settings, run, config, crops, labels, records, 2, visible=False)

    networks, unseen = train()
    assert auc(unseen[:, 1], labels == 1) == pytest.approx(0.5, abs=0.12)
    assert auc(networks(crops)[:, 1], labels == 1) > 0.9  # trained on all of them
    halves = NetworkSettings(folds=2)
    for model in network.load_networks(tmp_path, halves, run, config, 2).models:
        assert auc(network.TrainedNetworks([model])(crops)[:, 1], labels == 1) > 0.7  # it has seen half of the images
    times = [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    assert np.array_equal(train()[1], unseen)
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())] == times  # loaded, not trained again


def test_networks_answer_with_the_mean_of_their_log_probabilities() -> None:
    crops = np.random.default_rng(0).integers(0, 255, (70, 4, 4, 3), dtype=np.uint8)  # more than a batch
    models = [small_network(NetworkSettings(), Run(Path()), Config(), 2) for _ in range(2)]
    expected = np.mean([np.log(model(crops.astype(np.float32)).numpy()) for model in models], 0)
    np.testing.assert_allclose(network.TrainedNetworks(models)(crops), expected, atol=1e-5)


def test_augmentation_of_the_crops_is_that_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each epoch has every crop once, with its label, in another order."""
    crops = np.repeat(np.arange(6, dtype=np.uint8), 4 * 4 * 3).reshape(6, 4, 4, 3)
    settings = NetworkSettings(epochs=2, batch_size=4, augment=Augment(engine="native", brightness=0, contrast=0))
    examples = tf.constant(crops), tf.range(6), tf.ones(6)
    batches = list(network.augmented_batches(examples, settings, [f"i{n}" for n in range(6)], seed=0))
    assert [len(images) for images, _, _ in batches] == [4, 2, 4, 2]
    labels = np.concatenate([labels for _, labels, _ in batches])
    assert sorted(labels[:6]) == sorted(labels[6:]) == list(range(6)) and list(labels[:6]) != list(labels[6:])
    images = np.concatenate([images for images, _, _ in batches])
    np.testing.assert_allclose(images, np.broadcast_to(labels[:, None, None, None], images.shape), atol=1e-3)


def test_run_with_a_trained_network(small_diagnosis: Any, two_diagnoses: Path, tmp_path: Path) -> None:
    settings = {"trained": True, "masks": "annotated", "scored_masks": "annotated", "doubt": False, "encoders": []}
    config = small_diagnosis(tmp_path, features=settings, network={"folds": 2, "epochs": 1, "batch_size": 4})
    run = diagnose(config, visible=False).run
    own, trees = (load_csv(run.scores("test") / f"{name}.csv") for name in ("network", "per_image"))
    assert [row["image_id"] for row in own] == [row["image_id"] for row in trees]
    assert all(float(row["p_mel"]) + float(row["p_nv"]) == pytest.approx(1, abs=1e-5) for row in own)
    assert "trained network" in {row["group"] for row in load_csv(run.importance_groups)}
    assert [*Diagnoser(run.folder).extractor.names[-2:]] == ["network_mel", "network_nv"]
