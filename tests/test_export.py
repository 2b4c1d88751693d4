"""The exported model matches `evaluate`, handles any input, and only requires TensorFlow."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image
from serving import serve
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from ham_keras import client
from ham_keras import export as export_module
from ham_keras.data.images import decode_image, read_image
from ham_keras.data.masks import read_mask
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.data.records import Record, find_records
from ham_keras.errors import HamError
from ham_keras.evaluate import evaluate
from ham_keras.export import export, main
from ham_keras.files import load_csv, load_json, save_json
from ham_keras.models.loading import load_model
from ham_keras.predict import predict
from ham_keras.prediction.ensemble import Ensemble, load_ensemble
from ham_keras.prediction.predictor import load_predictor
from ham_keras.preprocessing.hairs import inpaint_hairs
from ham_keras.preprocessing.resize import resize_image
from ham_keras.runs import Run, load_run
from ham_keras.scores.scores import count, score
from ham_keras.serving.metadata import describe_export
from ham_keras.settings import Outline


@pytest.fixture(scope="module")
def exported(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(trained.folder, tmp_path_factory.mktemp("models") / "lesion")


@pytest.fixture(scope="module")
def signatures(exported: Path) -> Any:
    return tf.saved_model.load(str(exported)).signatures


@pytest.fixture(scope="module")
def tested(trained: Run, phantoms: Path) -> list[Record]:
    by_id = {record.image_id: record for record in find_records(phantoms).records}
    return [by_id[image_id] for image_id in load_json(trained.split)["test"]]


def encode(pixels: np.ndarray, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def serve_bytes(signatures: Any, *files: bytes) -> tuple[np.ndarray, list[np.ndarray]]:
    answer = signatures["serve_bytes"](image_bytes=tf.constant(list(files)))
    masks = [np.asarray(Image.open(io.BytesIO(mask))) for mask in answer["mask_bytes"].numpy()]
    return answer["probability"].numpy(), masks


def test_every_signature_returns_the_probabilities_of_the_run(
    trained: Run, tested: list[Record], signatures: Any
) -> None:
    model = load_model(*load_run(trained.folder))
    images = np.stack([resize_image(read_image(record.image_path), 32, 32) for record in tested]).astype(np.float32)
    expected = model(images, training=False).numpy()[..., 0]
    probability, _ = serve_bytes(signatures, *(record.image_path.read_bytes() for record in tested))
    np.testing.assert_allclose(probability, expected, atol=1e-3)
    answer = signatures["serve_network"](images=tf.constant(images))["probability"]
    np.testing.assert_allclose(answer, expected, atol=1e-3)
    full = tf.stack([decode_image(record.image_path.read_bytes()) for record in tested])
    native = signatures["serving_default"](images=full)["probability"].numpy()
    assert native.shape == (6, 64, 96)
    np.testing.assert_allclose(native, tf.image.resize(expected[..., None], [64, 96])[..., 0], atol=1e-3)


@pytest.fixture(scope="module")
def without_hairs(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The trained run, as if it removed hairs."""
    folder = tmp_path_factory.mktemp("hairs") / trained.folder.name
    shutil.copytree(trained.folder, folder)
    run = Run(folder)
    config = load_json(run.config)
    config["data"]["hair_removal"] = "inpaint"
    save_json(run.config, config)
    return run


def test_hairs_are_removed_in_predictions_and_served_models(without_hairs: Run, trained: Run, tmp_path: Path) -> None:
    image, _, hairs, _ = draw_phantom(3, 5, 5, (120, 90))
    assert hairs.any()
    model = tf.saved_model.load(str(export(without_hairs.folder, tmp_path / "model")))
    served, _ = serve_bytes(model.signatures, encode(image))
    network = load_model(*load_run(trained.folder))

    def probability(pixels: Any) -> np.ndarray:
        return np.asarray(network(resize_image(pixels, 32, 32)[None], training=False))[..., 0]

    np.testing.assert_allclose(served, probability(inpaint_hairs(tf.constant(image))), atol=1e-3)
    assert np.abs(served - probability(image)).max() > 2e-3
    removed = load_predictor(without_hairs.folder).predict(image).probability
    enlarged = tf.image.resize(served[0, ..., None], image.shape[:2])[..., 0]
    np.testing.assert_allclose(removed, enlarged, atol=1e-3)


@pytest.mark.parametrize("form", ["onnx", "openvino", "litert"])
def test_formats_of_the_network_alone_refuse_runs_that_remove_hairs(without_hairs: Run, form: str) -> None:
    with pytest.raises(HamError, match=f"--format {form}: .* removes hairs .*; use --format saved_model, or train"):
        export(without_hairs.folder, form=form)


def test_served_masks_match_evaluate(trained: Run, tested: list[Record], signatures: Any) -> None:
    summary = evaluate(trained.folder, "test", save_masks=True, visible=False)
    _, masks = serve_bytes(signatures, *(record.image_path.read_bytes() for record in tested))
    different, pixels, jaccard = 0, 0, []
    for record, mask in zip(tested, masks, strict=True):
        path = trained.scores("test") / "masks" / f"{record.image_id}_segmentation.png"
        assert set(np.unique(mask)) <= {0, 255}
        different += int((np.asarray(Image.open(path)) != mask).sum())
        pixels += mask.size
        jaccard.append(score(*count(read_mask(record.mask_path).lesion, mask))["jaccard"])
    assert different <= pixels / 100_000
    assert np.mean(jaccard) == pytest.approx(summary["native"]["jaccard"]["mean"], abs=1e-4)


def test_client_receives_the_masks_of_evaluate(
    trained: Run, tested: list[Record], signatures: Any, tmp_path: Path
) -> None:
    evaluate(trained.folder, "test", save_masks=True, visible=False)
    with serve(signatures) as url:
        paths = [str(record.image_path) for record in tested]
        assert client.main([url, *paths, "-o", str(tmp_path), "--timeout", "300"]) == 0
    different, pixels = 0, 0
    for path in (trained.scores("test") / "masks").iterdir():
        expected, found = (np.asarray(Image.open(folder / path.name)) for folder in (path.parent, tmp_path))
        different += int((expected != found).sum())
        pixels += found.size
    assert len(list(tmp_path.iterdir())) == len(tested) and different <= pixels / 100_000


CLEANED = Outline(threshold=0.4, tta=True, keep_largest=True, fill_holes=True)
OVERRIDES = [f"outline.{key}={json.dumps(value)}" for key, value in CLEANED.model_dump().items()]


@pytest.fixture(scope="module")
def cleaned(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with all post-processing enabled."""
    return export(trained.folder, tmp_path_factory.mktemp("models") / "cleaned", overrides=OVERRIDES)


def test_post_processing_is_part_of_the_served_graph(
    trained: Run, tested: list[Record], cleaned: Path, signatures: Any, tmp_path: Path
) -> None:
    paths = [record.image_path for record in tested]
    predict(trained.folder, paths, tmp_path / "predicted", CLEANED, visible=False)
    predict(trained.folder, paths, tmp_path / "plain", Outline(threshold=0.4), visible=False)
    loaded = tf.saved_model.load(str(cleaned)).signatures
    with serve(loaded) as url:
        assert client.main([url, *map(str, paths), "-o", str(tmp_path / "served"), "--timeout", "300"]) == 0
    different = changed = pixels = 0
    for path in (tmp_path / "served").iterdir():
        served, predicted, plain = (
            np.asarray(Image.open(tmp_path / folder / path.name)) for folder in ("served", "predicted", "plain")
        )
        different += int((served != predicted).sum())
        changed += int((served != plain).sum())
        pixels += served.size
    assert different <= pixels / 100_000 < 100 * pixels / 100_000 < changed
    # Test-time augmentation is part of every signature.
    predictor = load_predictor(trained.folder, CLEANED)
    image = read_image(paths[0])
    expected = predictor.predict(image).network_probability[..., 0]
    small = resize_image(image, 32, 32)[None]
    answer = loaded["serve_network"](images=tf.cast(small, tf.float32))["probability"][0]
    np.testing.assert_allclose(answer, expected, atol=1e-3)
    assert (
        np.abs(signatures["serve_network"](images=tf.cast(small, tf.float32))["probability"][0] - expected).max() > 0.01
    )
    native = loaded["serving_default"](images=image[None])["probability"][0]
    np.testing.assert_allclose(native, predictor.predict(image).probability, atol=1e-3)


def test_each_image_of_a_request_can_have_its_own_threshold(
    tested: list[Record], signatures: Any, trained: Run, tmp_path: Path
) -> None:
    path = tested[0].image_path
    encoded, thresholds = path.read_bytes(), [0.3, 0.5, 0.7]
    answer = signatures["serve_bytes_threshold"](
        image_bytes=tf.constant([encoded] * 3), threshold=tf.constant(thresholds)
    )
    _, (own,) = serve_bytes(signatures, encoded)
    masks = [np.asarray(Image.open(io.BytesIO(mask))) for mask in answer["mask_bytes"].numpy()]
    np.testing.assert_array_equal(masks[1], own)
    assert (masks[0] > 0).sum() > (masks[1] > 0).sum() > (masks[2] > 0).sum()
    probability = load_predictor(trained.folder).predict(read_image(path)).probability
    for mask, threshold in zip(masks, thresholds, strict=True):
        sure = np.abs(probability - threshold) > 1e-3
        np.testing.assert_array_equal((mask > 0)[sure], (probability > threshold)[sure])
    with serve(signatures) as url:
        assert client.main([url, str(path), "-o", str(tmp_path), "--timeout", "300", "--threshold", "0.7"]) == 0
    (written,) = tmp_path.iterdir()
    np.testing.assert_array_equal(np.asarray(Image.open(written)), masks[2])


def test_metadata_lists_what_is_left_to_the_caller(cleaned: Path, exported: Path, trained: Run) -> None:
    def left(described: dict[str, Any]) -> dict[str, list[str]]:
        return {name: signature["left_to_the_caller"] for name, signature in described["signatures"].items()}

    metadata, plain = (load_json(place / "assets.extra" / "metadata.json") for place in (cleaned, exported))
    assert metadata["outline"] == CLEANED.model_dump() and metadata["threshold"] == 0.4
    assert plain["outline"] == Outline().model_dump()
    resize = {"name": "resize", "height_px": 32, "width_px": 32, "method": "bilinear", "antialias": True}
    assert metadata["preprocessing"] == [resize]
    after = ["resize bilinearly to the image", "threshold"]
    both = ["fill_holes", "keep_largest"]
    assert left(metadata) == {
        "serving_default": ["threshold", *both],
        "serve_bytes": [],
        "serve_bytes_threshold": [],
        "serve_network": ["preprocessing", *after, *both],
    }
    assert left(plain)["serving_default"] == ["threshold"]
    assert left(plain)["serve_network"] == ["preprocessing", *after]
    ensemble = load_ensemble(trained.folder, OVERRIDES)
    assert left(describe_export(ensemble, "onnx")) == {"network": ["preprocessing", "tta", *after, *both]}
    expected = r"score\.bootstrap_resamples=100: expected only outline, data\.root for a trained run"
    with pytest.raises(HamError, match=expected):
        export(trained.folder, overrides=["score.bootstrap_resamples=100"])


def test_request_can_mix_image_sizes_and_formats(signatures: Any) -> None:
    rng = np.random.default_rng(0)
    kinds = [rng.integers(0, 256, shape, np.uint8) for shape in ((1, 1, 3), (50, 70), (40, 30, 4), (90, 33, 3))]
    files = [encode(pixels) for pixels in kinds] + [encode(kinds[3], "JPEG")]
    probability, masks = serve_bytes(signatures, *files)
    assert probability.shape == (5, 32, 32)
    assert [mask.shape for mask in masks] == [(1, 1), (50, 70), (40, 30), (90, 33), (90, 33)]
    # The result of an image does not depend on the rest of the request.
    np.testing.assert_allclose(serve_bytes(signatures, files[3])[0][0], probability[3], atol=1e-5)


def test_photograph_of_24_megapixels(signatures: Any) -> None:
    _, masks = serve_bytes(signatures, encode(np.full((4000, 6000, 3), 128, np.uint8), "JPEG"))
    assert masks[0].shape == (4000, 6000)


@pytest.mark.parametrize("broken", [b"", b"no image", b"\xff\xd8\xff\xe0 cut short"])
def test_broken_bytes_only_fail_their_request(signatures: Any, broken: bytes) -> None:
    good = encode(np.full((20, 20, 3), 90, np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError):
        serve_bytes(signatures, good, broken)
    assert serve_bytes(signatures, good)[0].shape == (1, 32, 32)


def test_weights_are_constants(exported: Path) -> None:
    loaded = tf.saved_model.load(str(exported))
    assert not loaded.signatures["serve_network"].variables


def test_metadata_describes_inputs_and_outputs(exported: Path, trained: Run, signatures: Any) -> None:
    metadata = load_json(exported / "assets.extra" / "metadata.json")
    summary = load_json(trained.summary("test"))
    assert metadata["scores"] == {**summary, "data": Path(summary["data"]).name}
    assert str(trained.folder.parent.parent) not in json.dumps(metadata) and "/tmp/" not in json.dumps(metadata)
    assert "not a medical device" in metadata["intended_use"] and "CC BY-NC 4.0" in metadata["licence"]
    for name, described in metadata["signatures"].items():
        _, inputs = signatures[name].structured_input_signature
        for side, found in (("inputs", inputs), ("outputs", signatures[name].structured_outputs)):
            assert described[side].keys() == found.keys()
            for key, spec in found.items():
                sizes = [size if isinstance(size, int) else None for size in described[side][key]["shape"]]
                assert (described[side][key]["dtype"], sizes) == (spec.dtype.name, spec.shape.as_list()), key
    assert metadata["signatures"].keys() == signatures.keys()


def test_warmup_requests_are_answered(exported: Path, signatures: Any) -> None:
    records = tf.data.TFRecordDataset(str(exported / "assets.extra" / "tf_serving_warmup_requests"))
    met = []
    for record in records:
        request = PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        answer = signatures[request.model_spec.signature_name](**inputs)
        met.append((request.model_spec.signature_name, len(answer["probability"])))
    assert sorted(met) == sorted((name, n) for name in signatures for n in (1, 16))


ONLY_TENSORFLOW = """
import importlib.util, sys
import tensorflow as tf
ours = ("ham_keras", "segmentation_models", "cv2", "PIL", "pydantic")
assert not [name for name in ours if importlib.util.find_spec(name)]
serve = tf.saved_model.load(sys.argv[1]).signatures["serve_bytes"]
print(serve(image_bytes=tf.constant([open(sys.argv[2], "rb").read()]))["probability"].shape)
"""


@pytest.fixture(scope="module")
def only_tensorflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with only TensorFlow and its dependencies."""
    place = tmp_path_factory.mktemp("only-tensorflow") / "venv"
    venv.create(place, symlinks=True)
    packages = place / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    waiting, seen = ["tensorflow"], set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        distribution = metadata.distribution(name)
        for file in distribution.files or ():
            top = packages / file.parts[0]
            if file.parts[0] != ".." and not top.exists():
                top.symlink_to(Path(str(distribution.locate_file(file.parts[0]))))
        for line in distribution.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return place / "bin" / "python"


@pytest.mark.slow
def test_export_runs_in_an_environment_with_only_tensorflow(
    only_tensorflow: Path, exported: Path, tested: list[Record], tmp_path: Path
) -> None:
    command = [str(only_tensorflow), "-c", ONLY_TENSORFLOW, str(exported), str(tested[0].image_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "(1, 32, 32)", done.stderr[-2000:]


@pytest.mark.slow
def test_export_runs_with_saved_model_cli(
    only_tensorflow: Path, exported: Path, signatures: Any, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    cli = "import sys; from tensorflow.python.tools.saved_model_cli import main; sys.exit(main())"
    arguments = ["run", "--dir", str(exported), "--tag_set", "serve", "--signature_def", "serve_network"]
    arguments += ["--inputs", f"images={tmp_path / 'images.npy'}", "--outdir", str(tmp_path / "out")]
    done = subprocess.run([str(only_tensorflow), "-c", cli, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = signatures["serve_network"](images=tf.constant(images))["probability"]
    np.testing.assert_allclose(np.load(tmp_path / "out" / "probability.npy"), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_other_runtimes_match_the_saved_model(form: str, trained: Run, signatures: Any, tmp_path: Path) -> None:
    place = export(trained.folder, tmp_path / "model", form=form)
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    if form == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        session = onnxruntime.InferenceSession(str(place / "tiny.onnx"))
        assert [given.name for given in session.get_inputs()] == ["images"]
        (answer,) = session.run(None, {"images": images})
    else:
        openvino = pytest.importorskip("openvino")
        # By default, OpenVINO computes in bfloat16 if the CPU has it.
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        answer = openvino.Core().compile_model(place / "tiny.xml", "CPU", exact)(images)[0]
    expected = signatures["serve_network"](images=tf.constant(images))["probability"]
    np.testing.assert_allclose(answer[..., 0], expected, atol=1e-3)
    described = load_json(place / "assets.extra" / "metadata.json")
    assert (described["format"], list(described["signatures"])) == (form, ["network"])
    assert described["signatures"]["network"]["outputs"]["probability"]["shape"] == ["N", *answer.shape[1:]]


def test_missing_packages_of_a_format_are_named(trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(HamError, match=r"--format onnx: tf2onnx is not installed; pip install onnx tf2onnx$"):
        export(trained.folder, tmp_path / "model", form="onnx")
    assert list(tmp_path.iterdir()) == []


def test_versions_are_counted_and_never_overwritten(
    exported: Path, trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def empty(ensemble: Ensemble, part: Path, form: str, precision: str) -> None:
        save_json(part / "assets.extra" / "metadata.json", describe_export(ensemble, form))

    monkeypatch.setattr(export_module, "_write", empty)
    target = tmp_path / "lesion"
    assert [export(trained.folder, target).name for _ in range(2)] == ["1", "2"]
    assert export(trained.folder, target, version=10).name == "10"
    assert main([str(trained.folder), "--output", str(target)]) == 0
    assert f"{target}/11: saved_model, float32, serving_default" in capsys.readouterr().out
    assert main([str(trained.folder), "outline.tta=true", "--output", str(target), "--format", "onnx"]) == 0
    printed = capsys.readouterr().out
    assert "left to the caller: preprocessing, tta, resize bilinearly to the image, threshold" in printed
    with pytest.raises(HamError, match="10: already exists; choose another --version"):
        export(trained.folder, target, version=10)
    assert sorted(child.name for child in tmp_path.iterdir()) == ["lesion"]


def test_failed_export_leaves_no_files(trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(ensemble: Ensemble, part: Path, form: str, precision: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module, "_write", broken)
    with pytest.raises(HamError, match="lesion/1: cannot be written: No space left on device"):
        export(trained.folder, tmp_path / "lesion")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real_data
def test_served_masks_of_real_images_match_evaluate(
    trained: Run, signatures: Any, real_root: Path, tmp_path: Path
) -> None:
    records = find_records(real_root).records[::20]
    for folder, path in [(f, p) for r in records for f, p in (("images", r.image_path), ("masks", r.mask_path))]:
        (tmp_path / "some" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "some" / folder / path.name).symlink_to(path)
    evaluate(trained.folder, data_root=tmp_path / "some", save_masks=True, visible=False)
    rows = {row["image_id"]: float(row["jaccard_native"]) for row in load_csv(trained.scores("some") / "per_image.csv")}
    different, pixels, jaccard = 0, 0, []
    for record in records:
        mask = serve_bytes(signatures, record.image_path.read_bytes())[1][0]
        path = trained.scores("some") / "masks" / f"{record.image_id}_segmentation.png"
        different += int((np.asarray(Image.open(path)) != mask).sum())
        pixels += mask.size
        jaccard.append(score(*count(read_mask(record.mask_path).lesion, mask))["jaccard"])
    assert different <= pixels / 100_000
    assert np.mean(jaccard) == pytest.approx(np.mean(list(rows.values())), abs=1e-4)
