"""Several runs: the mean of their probabilities, the same from Python, `predict`, `evaluate` and the served graph."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import ham_keras
from ham_keras.config import Config, to_json
from ham_keras.crossval_folder import CrossvalConfig, CrossvalFolder
from ham_keras.data.images import read_image
from ham_keras.data.records import Record, find_records
from ham_keras.data.truth import read_truth
from ham_keras.demo.page import render_header
from ham_keras.environment import describe_environment
from ham_keras.errors import HamError
from ham_keras.evaluate import evaluate
from ham_keras.evaluate import main as evaluate_main
from ham_keras.export import export
from ham_keras.files import load_csv, load_json, save_json
from ham_keras.models.build import build_model
from ham_keras.models.loading import load_model
from ham_keras.predict import Outcome
from ham_keras.predict import main as predict_main
from ham_keras.prediction.arguments import split_inputs, split_overrides
from ham_keras.prediction.ensemble import describe_settings, load_ensemble
from ham_keras.prediction.postprocessing import postprocess
from ham_keras.prediction.predictor import Predictor, load_predictor
from ham_keras.prediction.trained_run import TrainedRun
from ham_keras.preprocessing.resize import resize_image
from ham_keras.runs import Run, load_run
from ham_keras.scores.scores import count, score
from ham_keras.settings import Data, Outline

Make = Callable[..., Run]


@pytest.fixture(scope="module")
def records(phantoms: Path) -> dict[str, Record]:
    return {record.image_id: record for record in find_records(phantoms).records}


@pytest.fixture(scope="module")
def images(records: dict[str, Record]) -> list[np.ndarray]:
    return [read_image(record.image_path) for record in list(records.values())[:3]]


@pytest.fixture(scope="module")
def make(tiny_config: Any, trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make a run folder of a network with random weights and the split of `trained`."""

    def make(name: str, seed: int, folder: Path | None = None, **sections: Any) -> Run:
        config: Config = tiny_config(folder or tmp_path_factory.mktemp("runs"), **sections)
        run = Run((folder or Path(config.run.dir)) / name)
        run.folder.mkdir(parents=True)
        run.config.write_text(to_json(config.model_copy(update={"run": config.run.model_copy(update={"name": name})})))
        shutil.copy(trained.split, run.split)
        save_json(run.environment, describe_environment("CPU", "float32"))
        keras.utils.set_random_seed(seed)
        model = build_model(config.model)
        # Statistics of noise, so that probabilities are neither 0 nor 1.
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
        model(np.random.default_rng(seed).uniform(0, 255, (4, 64, 64, 3)).astype(np.float32), training=True)
        model.save_weights(run.weights)
        return run

    return make


@pytest.fixture(scope="module")
def runs(make: Make) -> list[Run]:
    """Two runs that differ in architecture and size."""
    other = {"architecture": "linknet", "backbone": "resnet18"}
    return [make("small", 1), make("large", 2, data={"image_size": [64, 96]}, model=other)]


@pytest.fixture(scope="module")
def folders(runs: list[Run]) -> list[Path]:
    return [run.folder for run in runs]


@pytest.fixture(scope="module")
def predictor(folders: list[Path]) -> Predictor:
    return load_predictor(folders)


@pytest.fixture
def unscored(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """`evaluate` checks everything but runs no network; what the scores would be made from."""
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "ham_keras.prediction.evaluation.evaluate_ensemble",
        lambda ensemble, home, records, name, made_from, **options: made.append({**made_from, "images": len(records)}),
    )
    return made


def test_probability_is_the_mean_of_the_members(folders: list[Path], images: list[np.ndarray]) -> None:
    """Each member's probabilities, at the image's size, are worked out without our predictor: Pillow resizes them."""
    image = np.asarray(Image.fromarray(images[0]).resize((384, 256)))  # larger than both networks
    both, found = ham_keras.load(folders), []
    for folder in folders:
        run = ham_keras.load(folder)
        assert isinstance(run, TrainedRun)
        small = resize_image(image, *run.config.data.image_size).numpy()[None].astype(np.float32)
        output = Image.fromarray(run.model(small, training=False).numpy()[0, ..., 0])
        found.append(np.asarray(output.resize(image.shape[1::-1], Image.Resampling.BILINEAR)))
        np.testing.assert_allclose(run.segment(image).probability, found[-1], atol=1e-4)
    lesion = both.segment(image)
    np.testing.assert_allclose(lesion.probability, np.mean(found, axis=0), atol=1e-4)
    assert np.abs(found[0] - found[1]).max() > 0.1
    np.testing.assert_array_equal(lesion.mask, lesion.probability > 0.5)


def test_order_of_members_does_not_matter(folders: list[Path], predictor: Predictor, images: list[np.ndarray]) -> None:
    one, other = predictor.predict(images[1]), load_predictor(folders[::-1]).predict(images[1])
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-6)
    np.testing.assert_allclose(one.network_probability, other.network_probability, atol=1e-6)
    assert one.network_probability.shape == (64, 96, 1)  # the largest


def test_one_member_equals_the_run(trained: Run, images: list[np.ndarray]) -> None:
    single, alone = ham_keras.load(trained.folder), ham_keras.load([trained.folder])
    assert type(alone) is type(single)
    np.testing.assert_array_equal(alone.segment(images[0]).probability, single.segment(images[0]).probability)


def test_members_with_the_same_preprocessing_share_it() -> None:
    def constant(value: float) -> Any:
        return lambda images, training: value + tf.zeros_like(images[..., :1])

    sizes = {0.1: 32, 0.2: 32, 0.3: 32, 0.8: 64}  # the mean is 0.35, not that of both sizes, 0.5
    members = [(constant(value), Data(image_size=[size, size])) for value, size in sizes.items()]
    found = Predictor(members, Outline()).predict(np.zeros((40, 50, 3), np.uint8))
    assert [share.shape for share in found.shares] == [(32, 32, 1), (64, 64, 1)]
    np.testing.assert_allclose(found.probability, np.full((40, 50), 0.35), atol=1e-6)


def test_mirror_images_are_averaged_in_each_member() -> None:
    def left(images: tf.Tensor, training: bool) -> tf.Tensor:  # 1 in the left half
        size = tf.shape(images)[2]
        return tf.cast(tf.range(size) < size // 2, tf.float32)[None, None, :, None] + 0 * images[..., :1]

    members = [(left, Data(image_size=[size, size])) for size in (32, 64)]
    image = np.zeros((64, 64, 3), np.uint8)
    assert Predictor(members, Outline()).predict(image).mask.mean() == 0.5
    np.testing.assert_array_equal(Predictor(members, Outline(tta=True)).predict(image).probability, 0.5)


def test_predict_evaluate_and_load_agree(
    folders: list[Path], records: dict[str, Record], predictor: Predictor, tmp_path: Path, capsys: Any
) -> None:
    first, second = map(str, folders)
    home = Run(tmp_path / "both")
    outline = ["outline.threshold=0.4", "outline.fill_holes=true"]
    assert evaluate_main([first, second, *outline, "--output", str(home.folder), "--save-masks"]) == 0
    assert f"{first} + {second}: test: 6 images" in capsys.readouterr().out
    summary = load_json(home.summary("test"))
    assert (summary["run"], summary["members"], summary["threshold"]) == ("small+large", ["small", "large"], 0.4)
    rows = load_csv(home.scores("test") / "per_image.csv")
    assert [row["image_id"] for row in rows] == load_json(Run(folders[0]).split)["test"]
    photos = [str(records[row["image_id"]].image_path) for row in rows]
    flags = ["--threshold", "0.4", "--fill-holes", "-o", str(tmp_path / "out")]
    assert predict_main([first, second, *photos, *flags]) == 0
    for row in rows:
        name, record = f"{row['image_id']}_segmentation.png", records[row["image_id"]]
        scored = np.asarray(Image.open(home.scores("test") / "masks" / name))
        np.testing.assert_array_equal(scored, np.asarray(Image.open(tmp_path / "out" / name)))
        probability = predictor.predict(read_image(record.image_path)).probability
        found = postprocess(probability, Outline(threshold=0.4, fill_holes=True))
        assert (found != scored // 255).sum() <= 1  # of 6144; another batch rounds differently
        jaccard = score(*count(read_truth(record).lesion, scored))["jaccard"]
        assert row["mask_repaired"] == "1" or float(row["jaccard_native"]) == pytest.approx(jaccard, abs=1e-9)


def test_served_graph_equals_predict(
    folders: list[Path], records: dict[str, Record], predictor: Predictor, tmp_path: Path
) -> None:
    place = export(folders, tmp_path / "both", overrides=["outline.keep_largest=true"])
    signatures = tf.saved_model.load(str(place)).signatures
    paths = [record.image_path for record in list(records.values())[:3]]
    answer = signatures["serve_bytes"](image_bytes=tf.constant([path.read_bytes() for path in paths]))
    different = 0
    for path, mask, small in zip(paths, answer["mask_bytes"].numpy(), answer["probability"].numpy(), strict=True):
        expected = predictor.predict(read_image(path))
        np.testing.assert_allclose(small, expected.network_probability[..., 0], atol=1e-3)
        found = np.asarray(Image.open(io.BytesIO(mask))) // 255
        different += int((found != postprocess(expected.probability, Outline(keep_largest=True))).sum())
        native = signatures["serving_default"](images=read_image(path)[None])["probability"][0]
        np.testing.assert_allclose(native, expected.probability, atol=1e-3)
    assert different <= 2
    metadata = load_json(place / "assets.extra" / "metadata.json")
    assert metadata["signatures"].keys() == signatures.keys()
    assert signatures.keys() == {"serving_default", "serve_bytes", "serve_bytes_threshold"}
    assert (metadata["name"], metadata["preprocessing"], metadata["scores"]) == ("small+large", None, None)
    assert [member["name"] for member in metadata["members"]] == ["small", "large"]
    assert [member["preprocessing"][0]["height_px"] for member in metadata["members"]] == [32, 64]
    assert [member["config"]["model"]["architecture"] for member in metadata["members"]] == ["unet", "linknet"]
    assert metadata["signatures"]["serve_bytes"]["outputs"]["probability"]["shape"] == ["N", 64, 96]


def test_impossible_exports_raise(folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HamError, match=r"^--output DIR: missing; it takes the mean of the 2 runs"):
        export(folders)
    monkeypatch.setattr("ham_keras.serving.formats.LARGEST_BYTES", 2**20)
    with pytest.raises(HamError, match=r"the weights of 2 networks are 0\.1 GiB, and frozen ones are limited"):
        export(folders, tmp_path / "other")
    pytest.importorskip("openvino")
    with pytest.raises(HamError, match=r"--format openvino: the runs' preprocessing differs"):
        export(folders, tmp_path / "other", form="openvino")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def twins(make: Make, runs: list[Run]) -> list[Path]:
    """Two runs with the same preprocessing."""
    return [runs[0].folder, make("twin", 3).folder]


@pytest.mark.parametrize("form", ["saved_model", "onnx", "openvino"])
def test_networks_of_one_size_are_exported_as_one(
    twins: list[Path], images: list[np.ndarray], tmp_path: Path, form: str
) -> None:
    small = np.stack([resize_image(image, 32, 32) for image in images]).astype(np.float32)
    networks = [load_model(*load_run(folder)) for folder in twins]
    expected = np.mean([network(small, training=False) for network in networks], axis=0)
    if form != "saved_model":
        pytest.importorskip({"onnx": "tf2onnx"}.get(form, form))
    place = export(twins, tmp_path / "pair", form=form)
    if form == "saved_model":
        answer = tf.saved_model.load(str(place)).signatures["serve_network"](images=small)["probability"][..., None]
    elif form == "onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(str(place / "small+twin.onnx"))
        answer = session.run(None, {session.get_inputs()[0].name: small})[0]
    else:
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        core = pytest.importorskip("openvino").Core()
        answer = core.compile_model(str(place / "small+twin.xml"), "CPU", exact)(small)[0]
    np.testing.assert_allclose(answer, expected, atol=1e-3)
    described = load_json(place / "assets.extra" / "metadata.json")
    assert described["preprocessing"] == described["members"][0]["preprocessing"]


@pytest.fixture(scope="module")
def crossval(make: Make, trained: Run, tiny_config: Any, tmp_path_factory: pytest.TempPathFactory) -> CrossvalFolder:
    """A cross-validation of two folds, which hold out the test images of its split."""
    found = CrossvalFolder(tmp_path_factory.mktemp("runs") / "crossed")
    found.folder.mkdir()
    settings = tiny_config(found.folder).model_dump(by_alias=True) | {"folds": 2}
    found.config.write_text(to_json(CrossvalConfig.model_validate(settings)))
    split = load_json(trained.split)
    save_json(found.split, split)
    ids = split["train"] + split["val"]
    for number in range(2):
        run = make(f"fold_{number}", 4 + number, found.folder)
        save_json(run.split, {"train": ids[4:], "val": ids[2:4], "test": ids[:2]})
    return found


def test_cross_validation_counts_as_its_folds(crossval: CrossvalFolder, trained: Run) -> None:
    ensemble = load_ensemble([crossval.folder, trained.folder])
    assert ensemble.names == ["crossed/fold_0", "crossed/fold_1", "tiny"]
    assert [member.run for member in ensemble.members[:2]] == crossval.folds
    assert describe_settings(load_ensemble(crossval.folder), Outline())["run"] == "crossed/fold_0+crossed/fold_1"
    # The test images of the cross-validation's split were held out from all folds.
    summary = evaluate(crossval.folder, visible=False)
    assert (summary["run"], summary["images"]) == ("crossed", 6)
    found = ham_keras.load(crossval.folder)
    assert repr(found) == "<TrainedEnsemble crossed/fold_0, crossed/fold_1>"
    assert found.scores == {"test": load_json(crossval.folder / "ensemble" / "scores" / "test" / "summary.json")}
    header = render_header(load_ensemble(crossval.folder), local=True)
    assert "Mean of 2 runs: <b>crossed/fold_0, crossed/fold_1</b>" in header and "on 6 test images" in header


def test_unfinished_cross_validation_raises(crossval: CrossvalFolder, tmp_path: Path) -> None:
    shutil.copytree(crossval.folder, tmp_path / "crossed")
    (tmp_path / "crossed" / "fold_1" / "model.weights.h5").unlink()
    with pytest.raises(HamError, match=r"fold_1/model\.weights\.h5: not there yet; finish the cross-validation"):
        ham_keras.load(tmp_path / "crossed")


def test_images_that_a_member_was_trained_on_are_not_scored(
    runs: list[Run], make: Make, phantoms: Path, tmp_path: Path, unscored: list[dict[str, Any]], capsys: Any
) -> None:
    other = make("other", 6)
    split = load_json(other.split)
    save_json(other.split, {**split, "val": split["test"][:2], "test": split["val"] + split["test"][2:]})
    folders = [runs[0].folder, other.folder]
    with pytest.raises(HamError, match=r"other: was trained or validated on 2 of these 6 test images or their lesions"):
        evaluate(folders, output=tmp_path)
    evaluate(folders, "val", output=tmp_path)
    evaluate(folders, data_root=phantoms, output=tmp_path)
    assert [each["images"] for each in unscored] == [6, 24]
    splits = [load_json(run.split) for run in (runs[0], other)]
    seen = {image_id for each in splits for side in ("train", "val") for image_id in each[side]}
    assert f"warning: {len(seen)} of these 24 images are" in capsys.readouterr().err


def test_lesion_that_crosses_the_split_itself_is_scored(
    runs: list[Run], make: Make, phantoms: Path, tmp_path: Path, unscored: list[dict[str, Any]]
) -> None:
    lesion_of = {record.image_id: record.lesion_id for record in find_records(phantoms).records}
    split = load_json(runs[0].split)
    several = next(name for name, images in Counter(lesion_of[each] for each in split["test"]).items() if images > 1)
    crossing = next(image_id for image_id in split["test"] if lesion_of[image_id] == several)
    sides = {**split, "val": [*split["val"], crossing], "test": [each for each in split["test"] if each != crossing]}
    folders = [make(name, seed).folder for seed, name in enumerate(("one", "two"))]
    for folder in folders:
        save_json(folder / "split.json", sides)
    # As a fold's, which has none of the test images.
    *val, last = split["val"]
    save_json(folders[1] / "split.json", {**sides, "val": [*val, crossing], "test": [last]})
    evaluate(folders, output=tmp_path)
    assert unscored[-1]["images"] == len(sides["test"])


def test_invalid_scoring_raises(folders: list[Path], trained: Run, tmp_path: Path) -> None:
    with pytest.raises(HamError, match=r"^--output DIR: missing; it takes the scores of the 2 runs"):
        evaluate(folders, visible=False)
    with pytest.raises(HamError, match=r"only for several runs; the scores of one are written to its folder"):
        evaluate(trained.folder, output=tmp_path, visible=False)
    with pytest.raises(HamError, match=r"--output .*: is a run; choose another folder"):
        evaluate(folders, output=trained.folder, visible=False)
    with pytest.raises(HamError, match=r"small: given twice; give each run once"):
        load_ensemble([*folders, folders[0]])
    with pytest.raises(HamError, match=r"expected at least one run folder"):
        ham_keras.load([])


def test_first_outline_applies_with_a_warning(
    runs: list[Run], make: Make, tmp_path: Path, unscored: list[dict[str, Any]], capsys: Any, monkeypatch: Any
) -> None:
    low = make("low", 7, outline={"threshold": 0.3, "tta": True})
    folders = [low.folder, runs[0].folder]
    warning = "warning: outline.threshold differs between the runs; if not set here, it is 0.3, as in low\n"
    warning += "warning: outline.tta differs between the runs; if not set here, it is True, as in low\n"
    assert load_ensemble(folders).agreed_outline() == Outline(threshold=0.3, tta=True)
    assert capsys.readouterr().err == warning
    taken: list[Any] = []
    monkeypatch.setattr("ham_keras.predict.predict", lambda *given, **_: taken.append(given) or Outcome(1, 1, 0, {}))
    assert predict_main([*map(str, folders), "a.jpg", "-o", str(tmp_path), "--threshold", "0.4"]) == 0
    assert taken[0][3] == Outline(threshold=0.4, tta=True)
    assert capsys.readouterr().err == warning  # once
    evaluate(folders, output=tmp_path, overrides=["outline.threshold=0.4", "outline.tta=false"])
    assert capsys.readouterr().err == ""
    assert (unscored[0]["threshold"], unscored[0]["tta"]) == (0.4, False)


def test_leading_run_folders_are_runs(folders: list[Path], tmp_path: Path) -> None:
    first, second = map(str, folders)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "config.json").write_text('{"camera": "a"}')  # not a run's
    assert split_inputs([first, second, str(photos), "a.jpg"]) == ([first, second], [str(photos), "a.jpg"])
    assert split_inputs(["no/run", "a.jpg"]) == (["no/run"], ["a.jpg"])
    with pytest.raises(HamError, match=r"large: the last argument; expected images after the runs"):
        split_inputs([first, second])
    with pytest.raises(HamError, match=r"large: a run after the image a\.jpg; give all runs before the images"):
        split_inputs([first, "a.jpg", second])
    assert split_overrides([first, "outline.tta=true", second]) == ([first, second], ["outline.tta=true"])
    with pytest.raises(HamError, match=r"nosuch: not a run folder"):
        evaluate_main([first, "nosuch"])
