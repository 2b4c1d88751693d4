"""`load`, `predict --diagnosis` and the demo page agree, and other folders of photographs are scored."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ham_keras
from ham_keras.data.images import read_image
from ham_keras.demo.display import DisplayedImage, render_results, segment_for_display
from ham_keras.diagnose import main
from ham_keras.diagnosis.diagnoser import Diagnoser, TrainedDiagnosis
from ham_keras.diagnosis.patients import Photograph, common_name, find_photographs, read_patients, with_known_diagnosis
from ham_keras.errors import HamError
from ham_keras.files import load_csv, load_json
from ham_keras.predict import predict
from ham_keras.prediction.predictor import load_predictor
from ham_keras.runs import Run, load_run


@pytest.fixture(scope="module")
def loaded(diagnosed: Path) -> TrainedDiagnosis:
    found = ham_keras.load(diagnosed)
    assert isinstance(found, TrainedDiagnosis)
    return found


def test_load_predict_and_scores_agree(
    loaded: TrainedDiagnosis, diagnosed: Path, trained: Run, two_diagnoses: Path, tmp_path: Path
) -> None:
    scored = {row["image_id"]: row for row in load_csv(diagnosed / "scores" / "test" / "per_image.csv")}
    paths = [two_diagnoses / "images" / f"{image_id}.jpg" for image_id in scored]
    predict(trained.folder, paths, tmp_path / "out", diagnosis=diagnosed, visible=False)
    rows = load_csv(tmp_path / "out" / "predictions.csv")
    assert [row["image_id"] for row in rows] == [*scored]
    for row, path in zip(rows, paths, strict=True):
        found = loaded.diagnose(path)
        assert found.probabilities.keys() == {"mel", "nv"}
        for name, value in found.probabilities.items():
            assert float(row[f"p_{name}"]) == pytest.approx(value, abs=1e-3)
            assert float(scored[row["image_id"]][f"p_{name}"]) == pytest.approx(value, abs=1e-3)
        assert found.probabilities[found.most_probable] >= 0.5
        assert found.mask.mean() == pytest.approx(float(row["lesion_fraction"]), abs=1e-5)
    assert loaded.scores["test"] == load_json(diagnosed / "scores" / "test" / "summary.json")
    assert "mel, nv" in repr(loaded) and (loaded.segment(paths[0]).mask == loaded.diagnose(paths[0]).mask).all()


def test_predictions_with_and_without_diagnosis_are_not_mixed(
    diagnosed: Path, trained: Run, two_diagnoses: Path, tmp_path: Path
) -> None:
    paths = sorted((two_diagnoses / "images").iterdir())[:2]
    predict(trained.folder, paths[:1], tmp_path / "out", diagnosis=diagnosed, visible=False)
    with pytest.raises(HamError, match=r"holds predictions made with diagnosis .*choose another -o"):
        predict(trained.folder, paths, tmp_path / "out", visible=False)
    assert predict(trained.folder, paths, tmp_path / "out", diagnosis=diagnosed, visible=False).skipped == 1
    with pytest.raises(HamError, match="--diagnosis: not with --engine ray"):
        predict(trained.folder, paths, tmp_path / "out", diagnosis=diagnosed, engine="ray", visible=False)
    with pytest.raises(HamError, match="not a diagnosis run"):
        predict(trained.folder, paths, tmp_path / "new", diagnosis=trained.folder, visible=False)


def test_unreadable_image_does_not_shift_the_others(
    diagnosed: Path, trained: Run, two_diagnoses: Path, tmp_path: Path
) -> None:
    good = sorted((two_diagnoses / "images").iterdir())[:3]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(good[0].read_bytes()[:200])
    diagnoser, predictor = Diagnoser(diagnosed), load_predictor(trained.folder)
    results = dict(diagnoser.diagnose_files(predictor, [good[0], broken, *good[1:]], lambda path, _: {"id": path.stem}))
    assert isinstance(results[broken], HamError)
    for path in good:
        found = results[path]
        image = read_image(path)
        prediction = predictor.predict(image)
        alone = diagnoser.probabilities(image, prediction.mask, prediction.probability)
        assert not isinstance(found, HamError) and found["id"] == path.stem
        assert {name: found[name] for name in alone} == pytest.approx(alone, abs=1e-3)


def test_another_folder_is_scored_without_masks(
    diagnosed: Path, two_diagnoses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "clinic"
    shutil.copytree(two_diagnoses / "images", root / "photos")
    ids = sorted(path.stem for path in (root / "photos").iterdir())
    names = {"NEV": "nv", "melanoma": "mel", "SCC": None}
    with open(root / "metadata.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "patient_id", "diagnostic"])
        writer.writerows([each, f"P{place}", [*names][place % 3]] for place, each in enumerate(ids))
    assert main([str(diagnosed), "--data", str(root), "--name", "clinic"]) == 0
    assert "8 images have the diagnosis scc, not one of mel, nv; left out" in capsys.readouterr().err
    summary = load_json(diagnosed / "scores" / "clinic" / "summary.json")
    assert summary["images"] == 16 and {name: each["images"] for name, each in summary["by_diagnosis"].items()} == {
        "mel": 8, "nv": 8,
    }  # fmt: skip
    page = (diagnosed / "reports" / "clinic" / "report.html").read_text()
    assert str(tmp_path) not in page and str(diagnosed.parent) not in page
    weights = load_json(diagnosed / "classifier" / "classifier.json")["weights_sha256"]
    assert not any(Path(path).is_absolute() for path in weights)
    for name, message in (("../x", "without slashes"), ("test", "is a name of the run's own")):
        with pytest.raises(HamError, match=message):
            main([str(diagnosed), "--data", str(root), "--name", name])
    with pytest.raises(HamError, match=r"holds scores of .*clinic; choose --name NAME"):
        main([str(diagnosed), "--data", str(two_diagnoses), "--name", "clinic"])


def test_one_hot_table_and_missing_table(two_diagnoses: Path, tmp_path: Path) -> None:
    shutil.copytree(two_diagnoses / "images", tmp_path / "images")
    with pytest.raises(HamError, match=r"no table with a diagnosis of these 24 images; expected GroundTruth\.csv"):
        find_photographs(tmp_path)
    ids = sorted(path.stem for path in (tmp_path / "images").iterdir())
    lines = [f"{each},{float(place % 2)},{float(1 - place % 2)}" for place, each in enumerate(ids)]
    (tmp_path / "GroundTruth.csv").write_text("\n".join(["image,MEL,NV", *lines]) + "\n")
    found = find_photographs(tmp_path)
    assert [each.diagnosis for each in found[:4]] == ["nv", "mel", "nv", "mel"]
    assert [each.image_id for each in found] == ids
    with pytest.raises(HamError, match="no image has a diagnosis of bcc, df"):
        with_known_diagnosis(found, ["bcc", "df"], "here")
    with pytest.raises(HamError, match="no such data folder"):
        find_photographs(tmp_path / "gone")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("NEV", "nv"), ("seborrheic keratosis", "bkl"), ("ACK", "akiec"), ("mel", "mel"), ("scc", "scc")],
)
def test_synonyms(theirs: str, ours: str) -> None:
    assert common_name(theirs) == ours
    named = with_known_diagnosis([Photograph("a", "a", theirs, Path("a.jpg"))], None, "here")
    assert named[0].diagnosis == ours


@pytest.mark.parametrize("name", ["metadata.csv", "metadata/m.csv", "HAM10000_metadata", "data/tables/m.tab"])
def test_patients_are_read_from_the_tables_of_the_data_folder(name: str, tmp_path: Path) -> None:
    table = "image_id,dx,age,sex,localization\nA,nv,45.0,female,lower extremity\nB,nv,,unknown,unknown\n"
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table.replace(",", "\t") if path.suffix == ".tab" else table)
    images = tmp_path / "data" / "images" if name.startswith("data/") else tmp_path / "images"
    images.mkdir(parents=True)
    for image_id in "ABC":
        Image.radial_gradient("L").convert("RGB").save(images / f"{image_id}.jpg")
    assert [each.diagnosis for each in find_photographs(tmp_path)] == ["nv", "nv", "unknown"]
    found = read_patients(tmp_path, ["A", "B", "C"])
    assert found["A"]["age"] == 45 and found["A"]["sex_female"] == 1
    assert found["A"]["on_lower_extremity"] == 1 and found["A"]["on_back"] == 0
    assert found["B"] == {} and found["C"] == {}


def test_page_shows_a_bar_for_each_diagnosis(diagnosed: Path, trained: Run, two_diagnoses: Path) -> None:
    path = sorted((two_diagnoses / "images").iterdir())[0]
    predictor, diagnoser = load_predictor(trained.folder), Diagnoser(diagnosed)
    image = segment_for_display(predictor, path.name, read_image(path))
    page = render_results(image, predictor.outline, diagnoser.probabilities)
    prediction = predictor.predict(read_image(path))
    for name, value in diagnoser.probabilities(prediction.image, prediction.mask, prediction.probability).items():
        assert f'data-diagnosis="{name.removeprefix("p_")}"' in page and f"{100 * value:.1f} %" in page
    assert "Melanoma" in page and "do not use it to decide" in page
    assert "data-diagnosis" not in render_results(image, predictor.outline)


@pytest.mark.parametrize("distance", [0.9, 1.1])
def test_page_diagnoses_only_images_that_pass_the_input_check(
    distance: float, diagnosed: Path, trained: Run, two_diagnoses: Path
) -> None:
    path = sorted((two_diagnoses / "images").iterdir())[0]
    predictor, diagnoser = load_predictor(trained.folder), Diagnoser(diagnosed)
    image = segment_for_display(predictor, path.name, read_image(path))
    assessed = {
        "input_distance": distance, "expected_jaccard": 0.9, "jaccard_at_least": 0.8, "margin": 0.01, "review": 0,
        "cut": False, "blurred": False,
    }  # fmt: skip
    answer = dataclasses.replace(image.answer, observed={name: np.array(value) for name, value in assessed.items()})
    image = dataclasses.replace(image, answer=answer)
    page = render_results(image, predictor.outline, diagnoser.probabilities)
    assert ("data-diagnosis" in page) == (distance < 1)
    assert ("Not like the dermoscopy images this network was trained on." in page) == (distance > 1)


def test_page_does_not_diagnose_an_image_without_a_lesion(
    diagnosed: Path, trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, diagnoser = load_predictor(trained.folder), Diagnoser(diagnosed)
    image = segment_for_display(predictor, "grey.png", np.full((64, 96, 3), 200, np.uint8))
    monkeypatch.setattr(DisplayedImage, "probability", np.zeros((64, 96), np.float32))
    page = render_results(image, predictor.outline, diagnoser.probabilities)
    assert "data-diagnosis" not in page and "No lesion found." in page


def test_another_segmentation_than_the_classifiers_is_announced(
    diagnosed: Path, trained: Run, two_diagnoses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted((two_diagnoses / "images").iterdir())[0]

    def warning(name: str, **options: Any) -> str:
        predict(trained.folder, [path], tmp_path / name, diagnosis=diagnosed, visible=False, **options)
        return capsys.readouterr().err

    assert "belongs to" not in warning("own")
    outline = load_run(trained.folder)[1].outline
    assert "belongs to the outline settings of" in warning("low", outline=outline.model_copy(update={"threshold": 0.2}))
    other = tmp_path / "other"
    shutil.copytree(trained.folder, other)
    with open(other / "model.weights.h5", "ab") as file:
        file.write(b"x")
    predict([trained.folder, other], [path], tmp_path / "two", diagnosis=diagnosed, visible=False)
    assert "belongs to the segmentation run" in capsys.readouterr().err


def test_image_without_a_lesion_is_diagnosed_too(diagnosed: Path) -> None:
    diagnoser = Diagnoser(diagnosed)
    empty = np.zeros((40, 60), np.uint8)
    columns = diagnoser.probabilities(np.full((40, 60, 3), 200, np.uint8), empty, empty.astype(np.float32))
    assert sum(columns.values()) == pytest.approx(1, abs=1e-5)
