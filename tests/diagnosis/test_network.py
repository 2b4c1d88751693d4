"""The network that is trained on the diagnoses: it must not tell the trees what it knows by heart."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.config import Config
from ham_keras.data.augmentation.batch import augment_batch, draw_key
from ham_keras.data.records import Record
from ham_keras.diagnose import diagnose
from ham_keras.diagnosis import network
from ham_keras.diagnosis.config import CropAugment, NetworkSettings
from ham_keras.diagnosis.diagnoser import Diagnoser
from ham_keras.diagnosis.folder import DiagnosisFolder
from ham_keras.errors import HamError
from ham_keras.files import load_csv, load_json, save_json
from ham_keras.predict import predict
from ham_keras.runs import Run, load_run
from ham_keras.scores.classification import auc


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
    settings = NetworkSettings(folds=2, refit=True, epochs=25, learning_rate=3e-3, augment=CropAugment(engine="none"))
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


def test_crops_are_augmented_as_images_with_other_draws_in_each_epoch() -> None:
    crops = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3), dtype=np.uint8)
    settings = NetworkSettings(epochs=2, batch_size=4, augment=CropAugment(scale=0.2))
    ids = [f"i{number}" for number in range(6)]
    examples = tf.constant(crops), tf.range(6), tf.ones(6)
    batches = list(network.augmented_batches(examples, settings, ids, seed=3))
    assert [len(images) for images, _, _ in batches] == [4, 2, 4, 2]
    labels = np.concatenate([labels for _, labels, _ in batches])
    assert sorted(labels[:6]) == sorted(labels[6:]) == list(range(6)) and list(labels[:6]) != list(labels[6:])
    images = np.concatenate([images for images, _, _ in batches])
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        key = tf.constant([draw_key(3, place // 6, ids[label], "augment")])
        pixels = np.concatenate([crops[label], np.zeros((8, 8, 1), np.uint8)], -1)[None]
        np.testing.assert_allclose(image, augment_batch(tf.constant(pixels), key, settings.augment)[0][0], atol=1e-3)
        assert np.abs(image - crops[label]).max() > 1


SETTINGS = {"trained": True, "masks": "annotated", "scored_masks": "predicted", "doubt": False, "encoders": []}
NETWORK = {"folds": 2, "refit": True, "epochs": 1, "batch_size": 4}


@pytest.fixture(scope="module")
def refitted(small_diagnosis: Any, tmp_path_factory: pytest.TempPathFactory) -> DiagnosisFolder:
    start = {"base_margin": "network"}
    config = small_diagnosis(tmp_path_factory.mktemp("refitted"), features=SETTINGS, network=NETWORK, classifier=start)
    return diagnose(config, visible=False).run


def test_run_with_a_trained_network(refitted: DiagnosisFolder) -> None:
    own, trees = (load_csv(refitted.scores("test") / f"{name}.csv") for name in ("network", "per_image"))
    assert [row["image_id"] for row in own] == [row["image_id"] for row in trees]
    assert all(float(row["p_mel"]) + float(row["p_nv"]) == pytest.approx(1, abs=1e-5) for row in own)
    assert "trained network" in {row["group"] for row in load_csv(refitted.importance_groups)}
    assert [*Diagnoser(refitted.folder).extractor.names[-2:]] == ["network_mel", "network_nv"]
    page = (refitted.report("test") / "report.html").read_text()
    assert "encoder segmentation, 2 folds, 1 epochs, new images answered by one network trained on all" in page
    assert "its own probabilities: macro auc" in page


def test_predictions_are_by_the_network_of_all_images(
    refitted: DiagnosisFolder, trained: Run, two_diagnoses: Path, tmp_path: Path
) -> None:
    scored = load_csv(refitted.scores("test") / "per_image.csv")
    paths = [two_diagnoses / "images" / f"{row['image_id']}.jpg" for row in scored]
    predict(trained.folder, paths, tmp_path / "out", diagnosis=refitted.folder, visible=False)
    for row, expected in zip(load_csv(tmp_path / "out" / "predictions.csv"), scored, strict=True):
        assert float(row["p_mel"]) == pytest.approx(float(expected["p_mel"]), abs=1e-3)
    with np.load(refitted.features / "test" / "chunk_0000.npz", allow_pickle=False) as chunk:
        crops = chunk["crops"]
    settings, config = refitted.load().network, load_run(trained.folder)
    alone = network.load_network(network.network_path(refitted.classifier, 2), settings, *config, 2)
    answers = np.load(refitted.answers("test"))
    np.testing.assert_allclose(answers, network.TrainedNetworks([alone])(crops), atol=1e-5)
    fold = network.load_network(network.network_path(refitted.classifier, 0), settings, *config, 2)
    assert np.abs(answers - network.TrainedNetworks([fold])(crops)).max() > 1e-3


def test_interrupted_networks_are_kept_and_give_the_same(
    refitted: DiagnosisFolder, small_diagnosis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_diagnosis(tmp_path, features=SETTINGS, network=NETWORK)
    save, saved = network.save_all_weights, []

    def die_after_the_first(model: Any, path: Path) -> None:
        if saved:
            raise KeyboardInterrupt
        save(model, path)
        saved.append(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(network, "save_all_weights", die_after_the_first)
        diagnose(config, visible=False)
    time = saved[0].stat().st_mtime_ns
    run = diagnose(config, visible=False).run
    assert saved[0].stat().st_mtime_ns == time
    for side in ("train", "val", "test"):
        np.testing.assert_allclose(np.load(run.answers(side)), np.load(refitted.answers(side)), atol=1e-3)


def test_networks_of_another_classifier_are_errors(refitted: DiagnosisFolder, tmp_path: Path) -> None:
    copy = tmp_path / "diagnosis"
    shutil.copytree(refitted.folder, copy)
    weights = copy / "classifier" / "network_2.weights.h5"
    shutil.copy(copy / "classifier" / "network_0.weights.h5", weights)
    with pytest.raises(HamError, match="its networks are not those of its classifier; run diagnose with --overwrite"):
        Diagnoser(copy)
    weights.unlink()
    with pytest.raises(HamError, match=r"network_2\.weights\.h5: is missing; run diagnose with --overwrite"):
        Diagnoser(copy)
    weights.write_bytes(b"not HDF5")
    classifier = load_json(copy / "classifier" / "classifier.json")
    classifier["networks_sha256"] = network.network_digests(copy / "classifier", refitted.load().network)
    save_json(copy / "classifier" / "classifier.json", classifier)
    with pytest.raises(HamError, match=r"network_2\.weights\.h5: not the weights of this network .*--overwrite"):
        Diagnoser(copy)
