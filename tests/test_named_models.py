"""Models with a name: packed from a run, listed, and used wherever a run is accepted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from limits import largest_file

import ham_keras
from ham_keras.app import main as app
from ham_keras.calibrate import calibrate
from ham_keras.data.images import read_image
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.errors import HamError
from ham_keras.evaluate import evaluate
from ham_keras.export import export
from ham_keras.files import load_csv, load_json, part_of
from ham_keras.models.initial_weights import with_initial_weights
from ham_keras.pack import main as pack_main
from ham_keras.pack import pack
from ham_keras.predict import main as predict_main
from ham_keras.prediction.ensemble import load_ensemble
from ham_keras.report import report
from ham_keras.runs import Run
from ham_keras.runs.named import SHIPPED, About, find_models, find_run, load_named
from ham_keras.scores.scores import count, score
from ham_keras.scores.table import row_of_run
from ham_keras.serving.metadata import describe_export
from ham_keras.serving.packing import halve_weights, pack_run
from ham_keras.trust.feature_names import FEATURES
from ham_keras.trust.file import InputCheck, Trust, file_digest, load_trust
from ham_keras.trust.trees import Trees


@pytest.fixture(scope="module")
def models(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: `clinic`, packed from the trained run."""
    folder = tmp_path_factory.mktemp("models")
    options = {"trained_on": "12 phantoms", "licence": "CC0", "not_for": ["anything but tests"]}
    pack(trained.folder, folder / "clinic", description="A tiny network.", **options)
    return folder


@pytest.fixture
def here(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with HAM_KERAS_MODELS set to the folder of models."""
    monkeypatch.setenv("HAM_KERAS_MODELS", str(models))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_model_is_half_the_size_and_segments_alike(models: Path, trained: Run, here: Path, phantoms: Path) -> None:
    assert 0.49 < (models / "clinic/model.weights.h5").stat().st_size / trained.weights.stat().st_size < 0.55
    photo = next((phantoms / "images").iterdir())
    found, expected = (ham_keras.load(run) for run in ("clinic", trained.folder))
    assert {weight.dtype for weight in found.model.weights} == {"float32"}
    pixels = read_image(photo)
    np.testing.assert_allclose(found.segment(pixels).probability, expected.segment(pixels).probability, atol=0.01)
    assert found.scores["test"]["native"] == expected.scores["test"]["native"]


def test_kernels_are_rounded_and_vectors_kept(tmp_path: Path) -> None:
    kernel = np.array([[1.0, 1 / 3], [-2.0, 0.0]], np.float32)
    values = {"kernel": kernel, "bias": kernel[0], "huge": kernel * np.float32(1e5), "count": np.int64(3)}
    with h5py.File(tmp_path / "old.h5", "w") as file:
        for name, value in values.items():
            file[f"layers/conv/{name}"] = value
        file["layers/conv"].attrs["name"] = "first"
    halve_weights(tmp_path / "old.h5", tmp_path / "new.h5")
    with h5py.File(tmp_path / "new.h5") as file:
        group = file["layers/conv"]
        assert group.attrs["name"] == "first"
        assert [group[name].dtype.name for name in values] == ["float16", "float32", "float32", "int64"]
        np.testing.assert_array_equal(group["kernel"][()], kernel.astype(np.float16))
        np.testing.assert_array_equal(group["huge"][()], values["huge"])


def test_folder_holds_no_ids_and_no_absolute_paths(models: Path, trained: Run, phantoms: Path) -> None:
    files = {path.name: path for path in (models / "clinic").rglob("*") if path.is_file()}
    names = {"config.json", "environment.json", "model.json", "model.weights.h5", "README.md", "summary.json"}
    assert files.keys() == names
    for name in names - {"model.weights.h5"}:
        text = files[name].read_text()
        assert "PHANTOM_" not in text and str(phantoms) not in text and str(trained.folder.parent) not in text
    card = files["README.md"].read_text()
    assert card.startswith("# clinic\n\nA tiny network.\n")
    assert "| licence | CC0 |" in card and "- anything but tests" in card and "Research use" in card
    mean = load_json(trained.summary("test"))["native"]["jaccard"]["mean"]
    assert f"- mean Jaccard on the test split of phantoms, 6 images: {mean:.4f} (" in card


def test_killed_or_failed_pack_leaves_no_model(
    trained: Run, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = part_of(tmp_path / "killed")
    shutil.copytree(models / "clinic", part)
    monkeypatch.setenv("HAM_KERAS_MODELS", str(tmp_path))
    assert not [model for model in find_models() if not model.shipped]
    with largest_file(100_000), pytest.raises(HamError, match="full: cannot be written: File too large"):
        pack(trained.folder, tmp_path / "full")
    monkeypatch.setattr("ham_keras.files.temporary.is_running", lambda pid: False)
    pack(trained.folder, tmp_path / "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_trust_is_carried_over_to_the_rounded_weights(trained: Run, tmp_path: Path) -> None:
    size = len(FEATURES)
    split = Trees(roots=[0], depth=1, feature=[0], threshold=[0], left=[0], right=[0], values=[[0.5, 0.29, 0.2]])
    check = InputCheck(mean=[0.0], scale=[1.0], axes=[[1.0]], whitening=[[0.5]], residual=4.0, limit=2.0)
    trust = Trust(
        version=1, made_from={"data": "/home/me/photos"}, weights_sha256="abc", threshold=0.5, features=list(FEATURES),
        lowest=[0.0] * size, highest=[1.0] * size, trees=split, jaccard_factor=2.0, margin_factor=1.5,
        blurred_below=0.01, temperature=1.0, input_check=check,
    )  # fmt: skip
    about = About(description="x", trained_on="x", licence="x", not_for=["x"])
    pack_run(load_ensemble(trained.folder).members[0], trust, about, tmp_path / "model")
    digest = file_digest(tmp_path / "model/model.weights.h5")
    found = load_trust(tmp_path / "model/trust.json", digest)
    assert found == trust.model_copy(update={"weights_sha256": digest, "made_from": {"data": "photos"}})
    assert "## Trust" in (tmp_path / "model/README.md").read_text()


def test_models_are_listed(models: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = next(each for each in ham_keras.models() if each.name == "clinic")
    assert (model.folder, model.about.licence, model.shipped) == (models / "clinic", "CC0", False)
    with pytest.raises(SystemExit) as stopped:
        predict_main(["--list"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert str(model) in printed and "licence: CC0\n  not for: anything but tests" in printed
    assert "\n  trained on: 12 phantoms\n" in printed
    start = "  mean Jaccard on the test split of phantoms, 6 images: 0."
    line = next(line for line in printed.splitlines() if line.startswith(start))
    assert ", too few lesions), " in line


def test_first_folder_with_the_name_wins_and_damaged_models_are_skipped(
    models: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(models / "clinic", here / "own/clinic")
    shutil.copytree(models / "clinic", here / "own/broken")
    (here / "own/broken/model.json").write_text('{"description": "x"}')
    monkeypatch.setenv("HAM_KERAS_MODELS", f"{here / 'own'}:{models}")
    assert [model.folder for model in find_models() if model.folder.parent != SHIPPED] == [here / "own/clinic"]
    assert find_run("clinic") == here / "own/clinic"
    error = capsys.readouterr().err
    assert error == f"warning: {here}/own/broken/model.json: trained_on: Field required; pack the run again\n"


def test_existing_path_wins_over_a_name(models: Path, here: Path) -> None:
    assert find_run("clinic") == find_run(Path("clinic")) == models / "clinic"
    assert find_run("./clinic") == Path("clinic")
    (here / "clinic").mkdir()
    assert find_run("clinic") == Path("clinic")
    with pytest.raises(HamError) as caught:
        load_ensemble("clinic")
    assert str(caught.value) == (
        f"clinic: not a run folder (no config.json); the model of this name is {models / 'clinic'}"
    )


def test_name_of_a_model_and_of_a_run_is_refused(models: Path, here: Path) -> None:
    (here / "runs/clinic").mkdir(parents=True)
    with pytest.raises(HamError) as caught:
        ham_keras.load("clinic")
    assert str(caught.value) == (
        f"clinic: a run, runs/clinic, and a model, {models / 'clinic'}; give the folder of the one you mean"
    )
    assert find_run("runs/clinic") == Path("runs/clinic")


def test_unknown_name_lists_the_models(here: Path) -> None:
    with pytest.raises(HamError, match=r"^clinik: not a run folder \(no config\.json\) and no model .*: .*clinic"):
        ham_keras.load("clinik")


def test_commands_take_the_name(here: Path, phantoms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict_main(["clinic", str(phantoms / "images"), "-o", "out"]) == 0
    assert len(load_csv(here / "out/predictions.csv")) == 24
    place = export("clinic")
    assert place == Path("export/clinic/1")
    assert load_json(place / "assets.extra/metadata.json")["licence"] == "clinic: CC0"
    summary = evaluate("clinic", data_root=phantoms, visible=False)
    assert load_json(here / "evaluations/clinic/scores/phantoms/summary.json") == summary
    assert summary["images"] == 24
    with pytest.raises(HamError, match="--auth"):  # the name is accepted; the host is not
        app(["clinic", "--host", "0.0.0.0"])


def test_training_starts_from_a_name(models: Path, here: Path, tiny: Any) -> None:
    config = with_initial_weights(tiny(run={"name": "other"}, model={"initial_weights": "clinic"}))
    assert config.model.initial_weights == str((models / "clinic").resolve())
    with pytest.raises(HamError, match=r"clinik: no such run folder, \.weights\.h5 file or model"):
        with_initial_weights(tiny(run={"name": "other"}, model={"initial_weights": "clinik"}))


def test_licence_of_an_ensemble_names_each(models: Path, trained: Run) -> None:
    licence = describe_export(load_ensemble([trained.folder, models / "clinic"]))["licence"]
    assert licence.startswith("Code: Apache-2.0. Weights trained on HAM10000") and licence.endswith("; clinic: CC0")


@pytest.mark.parametrize(
    ("use", "line"),
    [
        (lambda: evaluate("clinic"), "clinic: a model, without a split of its own; give --data ROOT and no --split"),
        (lambda: calibrate("clinic"), "a model, without the images of its run; calibrate needs the run itself"),
        (lambda: report("clinic"), "a model, without the images of its run; report needs the run itself"),
        (lambda: row_of_run("clinic"), "a model, without the images of its run; a row of results needs the run itself"),
        (lambda: pack("clinic", "other"), "a model, without the images of its run; pack needs the run itself"),
    ],
)
def test_what_needs_the_run_itself_says_so(here: Path, use: Any, line: str) -> None:
    with pytest.raises(HamError) as caught:
        use()
    assert str(caught.value).endswith(line) and "\n" not in str(caught.value)


def test_packing_errors_are_one_line(trained: Run, models: Path, tmp_path: Path) -> None:
    for options, line in (
        ({"output": models / "clinic"}, "clinic: already exists; choose another --output"),
        ({"output": tmp_path / "new", "licence": ""}, "--licence: String should have at least 1 character"),
        ({"output": tmp_path / "new", "not_for": []}, "--not-for: List should have at least 1 item"),
    ):
        with pytest.raises(HamError) as caught:
            pack(trained.folder, **options)
        assert line in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_command_packs_with_defaults(trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack_main([str(trained.folder), "-o", str(tmp_path / "mine")]) == 0
    about = load_named(tmp_path / "mine").about
    assert (about.description, about.trained_on) == ("unet resnet18, 32x32", "phantoms")
    assert about.licence == "not stated; ask whoever packed it"
    assert f"HAM_KERAS_MODELS={tmp_path} ham-keras predict mine photos/ -o OUT\n" in capsys.readouterr().out


def test_shipped_models_are_small_and_free_and_name_their_scores() -> None:
    models = [model for model in find_models() if model.shipped]
    assert [model.name for model in models] == ["phantom"]
    for model in models:
        assert model.size_mb <= 20 and model.about.licence == "Apache-2.0"
        assert load_json(model.folder / "config.json")["model"]["encoder_weights"] is None
        assert {"ham10000", "isic2018", "pad_ufes"} <= model.scores.keys()
        assert (model.folder / "trust.json").exists()


def test_shipped_model_outlines_a_phantom_it_has_not_seen() -> None:
    image, lesion, _, _ = draw_phantom(5, 0, 0, (240, 180))
    found = ham_keras.load("phantom").segment(image)
    assert score(*count(lesion, found.mask))["jaccard"] > 0.8
    assert 0 < found.measurements["expected_jaccard"] <= 1
