"""Scoring a run: compared with the official scorer, with `predict`, and on other folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from PIL import Image

from ham_keras.data.images import read_image
from ham_keras.data.masks import read_mask, resize_mask
from ham_keras.data.phantoms.dataset import draw_phantoms
from ham_keras.data.records import Record, find_records
from ham_keras.errors import HamError
from ham_keras.evaluate import evaluate, main
from ham_keras.files import load_csv, load_json, locked, save_csv, save_json
from ham_keras.models.loading import load_model
from ham_keras.predict import predict
from ham_keras.prediction.postprocessing import postprocess
from ham_keras.prediction.predictor import load_predictor
from ham_keras.prediction.scored_images import warn_about_leakage
from ham_keras.report import report
from ham_keras.reports.scored_set import load_scored_set
from ham_keras.runs import Run, load_run
from ham_keras.scores.scores import SCORES, count, score
from ham_keras.scores.summary import outline_in_words
from ham_keras.scores.table import row_of_run
from ham_keras.settings import Outline


def lesion(path: Path) -> bytes:
    with Image.open(path) as image:
        return np.asarray(image).tobytes()


def rows(run: Run, name: str) -> list[dict[str, str]]:
    return load_csv(run.scores(name) / "per_image.csv")


def test_scores_match_the_official_scorer_on_the_written_masks(trained: Run, phantoms: Path, tmp_path: Path) -> None:
    segmentation = pytest.importorskip("isic_challenge_scoring.segmentation")
    summary = evaluate(trained.folder, "test", save_masks=True, visible=False)
    truth = tmp_path / "truth"
    truth.mkdir()
    for row in rows(trained, "test"):  # the scorer requires ISIC ids and masks that are not inverted
        name = f"{row['image_id']}_segmentation.png"
        lesion = 255 * read_mask(phantoms / "masks" / name).lesion
        Image.fromarray(lesion).save(truth / name.replace("PHANTOM", "ISIC"))
    theirs = segmentation.SegmentationScore.from_dir(truth, trained.scores("test") / "masks").macro_average
    for name in SCORES:
        assert summary["native"][name]["mean"] == pytest.approx(theirs.at[name], abs=1e-6), name


def test_summary_is_the_mean_over_the_rows_of_the_split(trained: Run) -> None:
    summary = evaluate(trained.folder, "val", visible=False)
    table = rows(trained, "val")
    assert [row["image_id"] for row in table] == load_json(trained.split)["val"]
    for size in ("native", "network"):
        for name in SCORES:
            mean = np.mean([float(row[f"{name}_{size}"]) for row in table])
            assert summary[size][name]["mean"] == pytest.approx(mean, abs=1e-12)
    assert all((row["height_px"], row["width_px"]) == ("64", "96") for row in table)


def test_network_trained_in_bfloat16_is_scored_in_float32(trained: Run) -> None:
    assert load_json(trained.environment)["precision"] == "mixed_bfloat16"
    before = rows(trained, "test")
    evaluate(trained.folder, "test", visible=False)
    assert rows(trained, "test") == before
    assert keras.config.dtype_policy().name == "float32"
    layers = load_model(*load_run(trained.folder)).layers
    assert {layer.compute_dtype for layer in layers} == {"float32"}


def test_folder_with_other_image_sizes_is_scored_under_its_name(trained: Run, tmp_path: Path) -> None:
    root = tmp_path / "clinic"
    draw_phantoms(root, 5, 3, palette_fraction=0.2, width_px=150, height_px=110)
    (root / "HAM10000_metadata.csv").unlink()
    summary = evaluate(trained.folder, data_root=root, visible=False)
    assert (summary["set"], summary["images"], summary["lesions"]) == ("clinic", 5, 5)
    table = rows(trained, "clinic")
    assert [row["width_px"] for row in table] == ["150"] * 5
    assert [row["mask_repaired"] for row in table] == ["0"] * 5


def test_mask_settings_can_be_overridden_and_are_kept_for_the_report(
    trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "classes"
    draw_phantoms(root, 6, 3, palette_fraction=0, width_px=150, height_px=110)
    evaluate(trained.folder, data_root=root, name="two", visible=False)
    for path in (root / "masks").iterdir():
        lesion = np.asarray(Image.open(path)) // 255
        Image.fromarray(np.where(lesion, 1, 255 * cv2.dilate(lesion, np.ones((7, 7))))).save(path)
    with pytest.raises(HamError, match=r"a mask of [23] grey levels .* data\.lesion_values"):
        evaluate(trained.folder, data_root=root, name="classes", visible=False)
    capsys.readouterr()
    assert main([str(trained.folder), "--data", str(root), "--name", "classes", "data.lesion_values=[1]"]) == 0
    assert rows(trained, "classes") == rows(trained, "two")
    records = load_scored_set(trained.folder, "classes").records
    assert {record.lesion_values for record in records.values()} == {(1,)}
    with pytest.raises(HamError, match="classes: holds scores made with masks"):
        evaluate(trained.folder, data_root=root, name="classes", overrides=["data.lesion_values=[255]"], visible=False)


def test_masks_with_another_aspect_ratio_are_reported(
    trained: Run, phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "narrow"
    shutil.copytree(phantoms, root)
    path = root / "masks" / "PHANTOM_0000004_segmentation.png"
    Image.fromarray(np.asarray(Image.open(path).convert("L"))[:, 20:]).save(path)
    evaluate(trained.folder, data_root=root, visible=False)
    printed = capsys.readouterr().err
    assert (
        f"warning: 1 of 24 masks has another aspect ratio than the image and is stretched to it, the first: {path}"
        in printed
    )


def test_moved_data_gives_the_same_scores(
    trained: Run, phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(phantoms, moved)
    assert main([str(trained.folder), "--data", str(moved), "--split", "test"]) == 0
    assert rows(trained, "moved-test") == rows(trained, "test")
    assert "warning" not in capsys.readouterr().err
    (moved / "masks" / "PHANTOM_0000003_segmentation.png").unlink()
    assert main([str(trained.folder), "--data", str(moved), "--name", "whole"]) == 0
    printed = capsys.readouterr().err
    assert "warning: 1 image has no mask and is skipped" in printed
    assert "of these 23 images are, by their ids, images or lesions used for training or validation" in printed
    assert len(rows(trained, "whole")) == 23


def test_run_whose_data_folder_has_moved_is_scored_with_its_new_root(
    trained: Run, phantoms: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.folder, run, ignore=shutil.ignore_patterns("tensorboard", "reports"))
    settings = load_json(run / "config.json")
    save_json(run / "config.json", {**settings, "data": {**settings["data"], "root": str(tmp_path / "gone")}})
    with pytest.raises(HamError, match=r"^data\.root: .*gone: no such data folder; if it has moved, set data\.root="):
        evaluate(run, visible=False)
    shutil.copytree(phantoms, tmp_path / "moved")
    found = evaluate(run, overrides=[f"data.root={tmp_path / 'moved'}"], visible=False)
    assert found["native"] == load_json(trained.summary("test"))["native"]


def test_second_evaluation_of_the_same_name_is_refused(trained: Run) -> None:
    with (
        locked(trained.scores("twice")),
        pytest.raises(HamError, match=r"twice: another .*; wait, or choose --name NAME"),
    ):
        evaluate(trained.folder, "val", name="twice", visible=False)
    assert not trained.summary("twice").exists()


def test_interrupted_evaluation_keeps_the_old_scores_and_masks(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(trained.folder, run.folder, ignore=shutil.ignore_patterns("tensorboard", "reports"))
    (run.scores("test") / "masks").mkdir(exist_ok=True)
    (run.scores("test") / "masks" / "old.png").touch()

    def content() -> dict[str, bytes]:
        files = [path for path in run.scores("test").rglob("*") if path.is_file() and path.name != ".lock"]
        return {str(path): path.read_bytes() for path in files}

    before = content()
    monkeypatch.setattr("ham_keras.prediction.evaluation.save_json", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run.folder, save_masks=True, visible=False)
    assert content() == before and len(before) >= 3
    monkeypatch.undo()
    evaluate(run.folder, visible=False)
    assert (run.scores("test") / "masks").exists()  # the scores are the same
    table = run.scores("test") / "per_image.csv"
    save_csv(table, [{**row, "jaccard_native": 0.1} for row in load_csv(table)])  # of the weights before more epochs
    evaluate(run.folder, visible=False)
    assert not (run.scores("test") / "masks").exists()  # they would not be those of the new scores


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_images_of_trained_lesions_are_reported_as_leakage(capsys: pytest.CaptureFixture[str]) -> None:
    records = [Record(image_id, lesion_id, "nv", Path(), Path()) for image_id, lesion_id in ("aL", "bL", "cM", "dN")]
    warn_about_leakage(records, {"a", "d", "elsewhere"})
    assert "warning: 3 of these 4 images are" in capsys.readouterr().err
    warn_about_leakage(records, {"elsewhere"})
    assert capsys.readouterr().err == ""


def test_other_scores_are_not_overwritten(trained: Run, phantoms: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        shutil.copytree(phantoms, tmp_path / place / "clinic 7")
    evaluate(trained.folder, data_root=tmp_path / "a" / "clinic 7", visible=False)
    with pytest.raises(HamError, match=r"clinic 7: holds scores made with data .*a/clinic 7; choose --name NAME"):
        evaluate(trained.folder, data_root=tmp_path / "b" / "clinic 7", visible=False)
    evaluate(trained.folder, data_root=tmp_path / "b" / "clinic 7", name="clinic b", visible=False)
    assert rows(trained, "clinic 7") == rows(trained, "clinic b")
    with pytest.raises(HamError, match=r"scores/test: holds scores made with threshold 0\.5; choose --name NAME"):
        evaluate(trained.folder, overrides=["score.threshold=0.25"], visible=False)
    with pytest.raises(HamError, match=r"scores/test: holds scores made with tta False; choose --name NAME"):
        evaluate(trained.folder, overrides=["outline.tta=true"], visible=False)
    low = evaluate(trained.folder, overrides=["score.threshold=0.25"], name="low", visible=False)
    assert low["native"]["sensitivity"]["mean"] >= load_json(trained.summary("test"))["native"]["sensitivity"]["mean"]
    with pytest.raises(HamError, match=r"train\.epochs=3: expected only outline, score, .* for a trained run"):
        evaluate(trained.folder, overrides=["train.epochs=3"], visible=False)


def test_scores_of_an_earlier_version_are_only_replaced_by_the_same_scores(trained: Run, tmp_path: Path) -> None:
    """Their summary only has the threshold, and their config has it in `score`."""
    run = Run(tmp_path / "old")
    shutil.copytree(trained.folder, run.folder, ignore=shutil.ignore_patterns("tensorboard", "reports"))
    config = load_json(run.config)
    outline = config.pop("outline")
    config["score"]["threshold"] = outline["threshold"]
    save_json(run.config, config)
    summary = load_json(run.summary("test"))
    save_json(run.summary("test"), {key: summary[key] for key in summary if key not in outline} | {"threshold": 0.5})
    assert load_run(run.folder)[1] == load_run(trained.folder)[1]
    with pytest.raises(HamError, match=r"holds scores made with fill_holes False; choose --name NAME"):
        evaluate(run.folder, overrides=["outline.fill_holes=true"], visible=False)
    before = rows(run, "test")
    assert load_scored_set(run.folder).config.outline == Outline(threshold=0.5)
    evaluate(run.folder, visible=False)
    assert rows(run, "test") == before


OUTLINES = [
    Outline(threshold=0.3),
    Outline(tta=True),
    Outline(threshold=0.45, keep_largest=True),
    Outline(threshold=0.4, fill_holes=True),
    Outline(threshold=0.4, tta=True, keep_largest=True, fill_holes=True),
]


@pytest.mark.parametrize("outline", OUTLINES, ids=outline_in_words)
def test_scored_masks_match_predict(trained: Run, phantoms: Path, outline: Outline, tmp_path: Path) -> None:
    settings = [f"outline.{key}={json.dumps(value)}" for key, value in outline.model_dump().items()]
    run = Run(tmp_path / "run")
    shutil.copytree(trained.folder, run.folder, ignore=shutil.ignore_patterns("tensorboard", "reports", "scores"))
    summary = evaluate(run.folder, name="other", overrides=settings, save_masks=True, visible=False)
    assert {key: summary[key] for key in Outline.model_fields} == outline.model_dump()
    paths = {record.image_id: record.image_path for record in find_records(phantoms).records}
    tested = [paths[image_id] for image_id in load_json(run.split)["test"]]
    assert not predict(run.folder, tested, tmp_path / "out", outline, visible=False).failures
    scored, written = (
        {path.name: lesion(path) for path in folder.glob("*.png")}
        for folder in (run.scores("other") / "masks", tmp_path / "out")
    )
    assert len(scored) == 6 and written == scored
    predictor = load_predictor(run.folder, outline)
    for row in rows(run, "other"):  # the scores at the network's size, computed independently
        probability = predictor.predict(read_image(paths[row["image_id"]])).network_probability[..., 0]
        truth = read_mask(phantoms / "masks" / f"{row['image_id']}_segmentation.png").lesion
        small = score(*count(resize_mask(truth, 32, 32), postprocess(probability, outline)))
        assert float(row["jaccard_network"]) == pytest.approx(small["jaccard"], abs=2e-3)


def test_mask_with_another_size_than_its_image_is_scored_at_its_own_size(
    trained: Run, phantoms: Path, tmp_path: Path
) -> None:
    root = tmp_path / "half"
    shutil.copytree(phantoms, root)
    for path in (root / "masks").iterdir():
        mask = read_mask(path).lesion
        Image.fromarray(255 * resize_mask(mask, 32, 48)).save(path)
    whole = rows(trained, "test")
    evaluate(trained.folder, "test", data_root=root, visible=False)
    for row, half in zip(whole, rows(trained, "half-test"), strict=True):
        assert (half["height_px"], half["width_px"]) == ("32", "48")
        assert float(half["jaccard_native"]) == pytest.approx(float(row["jaccard_native"]), abs=0.1)


def test_folder_named_like_a_split_raises(trained: Run, phantoms: Path, tmp_path: Path) -> None:
    shutil.copytree(phantoms, tmp_path / "test")
    with pytest.raises(HamError, match="'test' is a name of the run's own; choose --name NAME"):
        evaluate(trained.folder, data_root=tmp_path / "test", visible=False)
    with pytest.raises(HamError, match="'val' is a name of the run's own"):
        evaluate(trained.folder, "test", name="val", visible=False)


def test_run_without_weights_raises(trained: Run, tmp_path: Path) -> None:
    shutil.copy(trained.config, tmp_path)
    shutil.copy(trained.split, tmp_path)
    with pytest.raises(HamError, match=r"model\.weights\.h5: not there yet"):
        evaluate(tmp_path, visible=False)


def test_command_prints_the_table(trained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(trained.folder), "--split", "val"]) == 0
    printed = capsys.readouterr().out
    summary = load_json(trained.summary("val"))
    assert f"jaccard             {summary['native']['jaccard']['mean']:8.4f}" in printed
    assert "Jaccard by diagnosis" in printed and "not a medical device" in printed


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden"])
def test_name_of_scores_is_not_a_path(trained: Run, name: str) -> None:
    with pytest.raises(HamError, match="expected a name without slashes"):
        evaluate(trained.folder, "val", name=name, visible=False)
    with pytest.raises(HamError, match="expected a name without slashes"):
        report(trained.folder, name=name)
    with pytest.raises(HamError, match="expected a name without slashes"):
        row_of_run(trained.folder, scored_set=name)


def test_unknown_split_is_an_error(trained: Run) -> None:
    with pytest.raises(HamError, match="expected one of train, val, test, got 'tset'"):
        evaluate(trained.folder, "tset", visible=False)


def test_masks_of_a_folder_by_patient_keep_its_folders(trained: Run, phantoms: Path, tmp_path: Path) -> None:
    root = tmp_path / "by_patient"
    for number, record in enumerate(find_records(phantoms).records[:2], 1):
        patient = root / f"p{number}"
        patient.mkdir(parents=True)
        shutil.copy(record.image_path, patient / "a.jpg")
        shutil.copy(record.mask_path, patient / "a_mask.png")
    evaluate(trained.folder, data_root=root, save_masks=True, visible=False)
    assert [row["image_id"] for row in rows(trained, "by_patient")] == ["p1/a", "p2/a"]
    predict(trained.folder, [root], tmp_path / "predicted", visible=False)
    for patient in ("p1", "p2"):
        mask = Path(patient) / "a_segmentation.png"
        assert lesion(trained.scores("by_patient") / "masks" / mask) == lesion(tmp_path / "predicted" / mask)
    scored = load_scored_set(trained.folder, "by_patient")
    assert scored.records["p2/a"].mask_path == root / "p2" / "a_mask.png"
