"""`calibrate`, and what reads its trust.json: `predict`, Python, the exported graph, `evaluate` and the report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import ham_keras
from ham_keras.calibrate import calibrate, main
from ham_keras.config import to_json
from ham_keras.crossval_folder import CrossvalConfig, CrossvalFolder
from ham_keras.data.phantoms.dataset import draw_phantoms
from ham_keras.data.records import find_records
from ham_keras.errors import HamError
from ham_keras.evaluate import evaluate
from ham_keras.experiments.calibration import calibrate_if_possible
from ham_keras.export import export
from ham_keras.files import load_csv, load_json, save_json
from ham_keras.predict import main as predict_main
from ham_keras.predict import predict
from ham_keras.prediction.ensemble import load_ensemble
from ham_keras.runs import Run, load_run
from ham_keras.trust.columns import COLUMNS


@pytest.fixture(scope="module")
def run(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The trained run, calibrated on phantoms of about 30 lesions."""
    folder = tmp_path_factory.mktemp("calibrated") / "tiny"
    shutil.copytree(trained.folder, folder)
    root = folder.with_name("phantoms")
    draw_phantoms(root, 60, 9, width_px=96, height_px=64)
    records = find_records(root).records
    first, second = list(dict.fromkeys(record.lesion_id for record in records))[:2]
    sides: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for record in records:
        sides[{first: "train", second: "test"}.get(record.lesion_id, "val")].append(record.image_id)
    save_json(folder / "split.json", sides)
    config = load_json(folder / "config.json")
    config["data"]["root"] = str(root)
    save_json(folder / "config.json", config)
    assert main([str(folder)]) == 0
    return Run(folder)


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


def lesion_weights(rows: list[dict[str, str]]) -> np.ndarray:
    lesions = [row["lesion_id"] for row in rows]
    return np.array([1 / lesions.count(lesion) for lesion in lesions])


@pytest.fixture(scope="module")
def photos(phantoms: Path) -> list[Path]:
    return sorted((phantoms / "images").iterdir())[:5]


def test_few_lesions_leave_the_run_without_trust(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    assert not trained.trust.exists()  # the training had 6 validation images
    with pytest.raises(HamError, match=r"^3 lesions with masks"):
        calibrate(trained.folder, visible=False)
    predict(trained.folder, photos[:1], tmp_path / "out", visible=False)
    (row,) = load_csv(tmp_path / "out" / "predictions.csv")
    assert not set(COLUMNS) & row.keys()
    with pytest.raises(HamError, match=r"trust\.json: missing; --margin and --review-first need it"):
        predict(trained.folder, photos, tmp_path / "other", margin=True, visible=False)


def test_same_numbers_from_predict_python_and_the_served_graph(run: Run, photos: list[Path], tmp_path: Path) -> None:
    predict(run.folder, photos, tmp_path / "out", visible=False)
    rows = load_csv(tmp_path / "out" / "predictions.csv")
    loaded = ham_keras.load(run.folder)
    place = export(run.folder, tmp_path / "model")
    metadata = load_json(place / "assets.extra" / "metadata.json")
    outputs = metadata["signatures"]["serve_bytes"]["outputs"]
    serve = tf.saved_model.load(str(place)).signatures["serve_bytes"]
    served = serve(image_bytes=tf.constant([path.read_bytes() for path in photos]))
    assert served.keys() == outputs.keys() >= {"expected_jaccard", "jaccard_at_least", "margin_px", "review"}
    assert metadata["trust"]["exported"] is True and metadata["trust"]["calibrated_on"]["split"] == "val"
    for i, (row, path) in enumerate(zip(rows, photos, strict=True)):
        found = loaded.segment(path)
        for name in ("expected_jaccard", "jaccard_at_least"):
            assert float(row[name]) == getattr(found, name) == pytest.approx(served[name].numpy()[i], abs=1e-3)
        assert float(row["margin_px"]) == found.margin_px == pytest.approx(served["margin_px"].numpy()[i], abs=0.1)
        assert bool(int(row["review"])) == found.review == served["review"].numpy()[i]
        assert row["review_reason"] == found.review_reason
        calibrated = found.calibrated_probability
        assert np.array_equal(calibrated > 0.5, found.probability > 0.5) and calibrated.shape == found.mask.shape


def test_review_list_and_margin(run: Run, photos: list[Path], tmp_path: Path) -> None:
    plain, banded = tmp_path / "plain", tmp_path / "banded"
    names = list(map(str, photos))
    assert predict_main([str(run.folder), *names, "-o", str(plain)]) == 0
    assert predict_main([str(run.folder), *names, "-o", str(banded), "--margin", "--review-first"]) == 0
    ordered = load_csv(banded / "review.csv")
    keys = [(1 - int(row["review"]), float(row["expected_jaccard"])) for row in ordered]
    assert keys == sorted(keys) and len(ordered) == len(photos)
    with Image.open(banded / "review.jpg") as sheet:
        assert sheet.width > sheet.height > 225
    rows = {row["image_id"]: row for row in load_csv(plain / "predictions.csv")}
    with_outline = [image_id for image_id, row in rows.items() if float(row["lesion_fraction"]) > 0]
    for image_id in with_outline:
        first, second = (np.asarray(Image.open(out / f"overlays/{image_id}.jpg")) for out in (plain, banded))
        assert np.abs(first.astype(int) - second).max() > 30
        masks = [(out / f"{image_id}_segmentation.png").read_bytes() for out in (plain, banded)]
        assert masks[0] == masks[1]
    # The sheet is no image of a patient.
    with pytest.raises(HamError, match="no image found"):
        predict_main([str(run.folder), str(banded), "-o", str(banded), "--margin"])


def test_other_post_processing_is_warned_of(run: Run, photos: list[Path], tmp_path: Path, capsys: Any) -> None:
    assert predict_main([str(run.folder), str(photos[0]), "-o", str(tmp_path / "out"), "--threshold", "0.4"]) == 0
    assert "describes masks made with the run's own outline.threshold" in capsys.readouterr().err


def test_evaluate_scores_the_numbers(run: Run) -> None:
    summary = evaluate(run.folder, "val", visible=False)
    rows = load_csv(run.scores("val") / "per_image.csv")
    trust = summary["trust"]
    jaccard, expected = (column(rows, name) for name in ("jaccard_native", "expected_jaccard"))
    assert trust["images"] == len(rows) == len(load_csv(run.trust_table))
    assert trust["mae"] == pytest.approx(np.abs(jaccard - expected).mean())
    assert trust["review"] == sum(column(rows, "review"))
    within = column(rows, "outline_distance_px") <= column(rows, "margin_px")
    assert trust["margin_coverage"] == pytest.approx(np.average(within, weights=lesion_weights(rows)))


def test_bounds_hold_on_the_calibration_images_out_of_fold(run: Run) -> None:
    rows = load_csv(run.trust_table)
    covered = column(rows, "jaccard") >= column(rows, "out_of_fold_jaccard_at_least") - 1e-5
    near = column(rows, "distance") <= column(rows, "out_of_fold_margin") + 1e-5
    weights = lesion_weights(rows)
    assert np.average(covered, weights=weights) >= 0.9 and np.average(near, weights=weights) >= 0.9


def test_own_masks_move_the_bounds(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    draw_phantoms(tmp_path / "own", 50, 3, width_px=96, height_px=64)
    before = load_json(folder / "trust.json")
    quality = calibrate(folder, data_root=tmp_path / "own", visible=False)
    after = load_json(folder / "trust.json")
    assert quality["at_least_coverage"] >= 0.9 and quality["margin_coverage"] >= 0.9
    assert after["made_from"]["data"] == str(tmp_path / "own")
    assert after["input_check"]["mean"] == before["input_check"]["mean"]
    assert load_csv(folder / "trust.csv") == load_csv(run.trust_table)
    with pytest.raises(HamError, match="lesions with masks; expected at least 20"):
        draw_phantoms(tmp_path / "few", 9, 3, width_px=96, height_px=64)
        calibrate(folder, data_root=tmp_path / "few", visible=False)


def test_trees_do_not_learn_about_the_lesions_that_they_are_measured_on(run: Run, tmp_path: Path) -> None:
    folder, few = tmp_path / "run", tmp_path / "few"
    shutil.copytree(run.folder, folder)
    root = Path(load_run(run.folder)[1].data.root or "")
    calibrate(folder, data_root=root, visible=False)  # its own validation images, and those of the test lesion
    made_from = load_json(folder / "trust.json")["made_from"]
    assert made_from["also_learnt_from"] == 0 and made_from["images"] > len(load_csv(run.trust_table))
    some = tmp_path / "some"
    draw_phantoms(some, 40, 9, width_px=96, height_px=64)  # the first of the same photographs: few other lesions remain
    calibrate(folder, data_root=some, visible=False)
    assert load_json(folder / "trust.json")["made_from"]["also_learnt_from"] == 0
    shutil.copytree(run.folder, few)
    sides = load_json(run.split)
    save_json(few / "split.json", {**sides, "val": sides["val"][:3]})
    (few / "trust.json").unlink()
    for _ in range(2):  # the first writes the table that the second reads
        calibrate(few, data_root=root, visible=False)
        made_from = load_json(few / "trust.json")["made_from"]
        assert made_from["also_learnt_from"] == 0


def test_trust_of_former_weights_is_removed_or_replaced(run: Run, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    content = load_json(folder / "trust.json")
    save_json(folder / "trust.json", {**content, "weights_sha256": "of other weights"})
    root = Path(load_run(run.folder)[1].data.root or "")
    calibrate(folder, data_root=root, visible=False)
    assert load_json(folder / "trust.json")["weights_sha256"] == content["weights_sha256"]
    save_json(folder / "trust.json", {**content, "weights_sha256": "of other weights"})
    sides = load_json(run.split)
    save_json(folder / "split.json", {**sides, "val": sides["val"][:3]})
    calibrate_if_possible(load_ensemble(folder), find_records(root).records, visible=False)
    assert "trust.json (that of the former weights is removed): " in capsys.readouterr().out
    assert not (folder / "trust.json").exists() and not (folder / "trust.csv").exists()
    assert "trust" not in evaluate(folder, "val", visible=False)


def test_cross_validation_answers_with_the_fold_that_did_not_see_the_image(
    run: Run, photos: list[Path], tmp_path: Path
) -> None:
    folds, sides = CrossvalFolder(tmp_path / "folds"), load_json(run.split)
    shutil.copytree(run.folder, folds.fold(0).folder)
    shutil.copytree(run.folder, folds.fold(1).folder)
    halves = sides["val"][:28], sides["val"][28:]
    for number, held_out in enumerate(halves):
        splits = {"train": halves[1 - number], "val": sides["test"], "test": held_out}
        save_json(folds.fold(number).split, splits)
    save_json(folds.split, sides)
    config = CrossvalConfig.model_validate(load_run(run.folder)[1].model_dump(by_alias=True) | {"folds": 2})
    folds.config.write_text(to_json(config))
    calibrate(folds.folder, visible=False)
    answers = {row["image_id"]: row for row in load_csv(folds.trust_table)}
    assert list(answers) == [*halves[0], *halves[1]]
    former = {row["image_id"]: row for row in load_csv(run.trust_table)}
    for image_id, row in answers.items():  # both folds have the run's weights
        assert float(row["jaccard"]) == pytest.approx(float(former[image_id]["jaccard"]), abs=1e-3)
    found = ham_keras.load(folds.folder).segment(photos[0])
    assert found.expected_jaccard is not None
    assert ham_keras.load([folds.fold(0).folder, run.folder]).segment(photos[0]).expected_jaccard is None


def test_a_run_learns_from_folds_except_about_its_own_lesions(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ham_keras.trust.fitting.SMALLEST_LESIONS", 5)
    sides = load_json(run.split)
    lesion_of = {row["image_id"]: row["lesion_id"] for row in load_csv(run.trust_table)}
    own = set(list(dict.fromkeys(lesion_of.values()))[:21])
    single, folds = Run(tmp_path / "single"), CrossvalFolder(tmp_path / "folds")
    shutil.copytree(run.folder, single.folder)
    save_json(single.split, {**sides, "val": [image_id for image_id in sides["val"] if lesion_of[image_id] in own]})
    with pytest.raises(HamError, match="not a cross-validation"):
        calibrate(single.folder, folds=folds.folder, visible=False)
    folds.folder.mkdir()
    config = CrossvalConfig.model_validate(load_run(run.folder)[1].model_dump(by_alias=True) | {"folds": 2})
    folds.config.write_text(to_json(config))
    with pytest.raises(HamError, match=r"trust.csv: missing; run `python -m ham_keras.calibrate"):
        calibrate(single.folder, folds=folds.folder, visible=False)
    shutil.copy(run.trust_table, folds.trust_table)  # of all lesions
    quality = calibrate(single.folder, folds=folds.folder, visible=False)
    others = [image_id for image_id, lesion in lesion_of.items() if lesion not in own]
    made_from = load_json(single.trust)["made_from"]
    assert (made_from["images"], made_from["also_learnt_from"]) == (len(lesion_of) - len(others), len(others))
    assert made_from["lesions"] == 21 and 0.8 <= quality["at_least_coverage"] <= 1


def test_broken_trust_stops_every_command_with_one_line(run: Run, photos: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    (folder / "trust.json").write_text("{")
    for command in (
        lambda: predict(folder, photos, tmp_path / "out", visible=False),
        lambda: ham_keras.load(folder),
        lambda: export(folder, tmp_path / "model"),
        lambda: evaluate(folder, "val", name="again", visible=False),
    ):
        with pytest.raises(HamError, match=r"trust\.json: damaged .*python -m ham_keras.calibrate"):
            command()
