"""A diagnosis run: its files, resuming it, its masks, and mistakes in its config."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ham_keras.config import load_config_as, parse_config_as
from ham_keras.data.records import Record, find_records
from ham_keras.diagnose import diagnose, main
from ham_keras.diagnosis import features as features_module
from ham_keras.diagnosis.config import DiagnosisConfig
from ham_keras.diagnosis.features import Extractor
from ham_keras.diagnosis.patients import with_known_records
from ham_keras.diagnosis.segmentation import choose_masks, find_segmentation, input_digests, network_folders
from ham_keras.diagnosis.trees import Trees, class_weights, fit_margin_scale, import_xgboost, load_trees, train_trees
from ham_keras.errors import HamError
from ham_keras.files import load_csv, load_json
from ham_keras.runs import Run
from ham_keras.scores.classification import auc


def test_run_has_scores_report_and_importances(diagnosed: Path) -> None:
    summary = load_json(diagnosed / "scores" / "test" / "summary.json")
    for name in ("macro_auc", "melanoma_auc", "balanced_accuracy", "melanoma_sensitivity_at_90"):
        assert summary[name].keys() == {"value", "interval"}, name
    rows = load_csv(diagnosed / "scores" / "test" / "per_image.csv")
    assert [row["image_id"] for row in rows] == load_json(diagnosed / "split.json")["test"]
    assert all(float(row["p_mel"]) + float(row["p_nv"]) == pytest.approx(1, abs=1e-5) for row in rows)
    right = np.mean([row["diagnosis"] == row["answer"] for row in rows])
    assert summary["accuracy"]["value"] == pytest.approx(right)
    page = (diagnosed / "reports" / "test" / "report.html").read_text()
    assert "not a medical device" in page and f"{summary['macro_auc']['value']:.4f}" in page
    importances = load_csv(diagnosed / "importances.csv")
    assert sum(float(row["gain"]) for row in importances) == pytest.approx(1, abs=1e-3)
    groups = {row["group"] for row in load_csv(diagnosed / "importance_groups.csv")}
    assert {"colours (C)", "segmentation encoder at 1/16", "doubt of the segmentation"} <= groups
    assert not list(diagnosed.rglob("*.pkl"))


def test_shap_values_add_up_to_the_log_odds(diagnosed: Path) -> None:
    import xgboost

    trees, _ = load_trees(diagnosed / "classifier")
    with np.load(diagnosed / "features" / "test" / "chunk_0000.npz", allow_pickle=False) as chunk:
        features = chunk["features"]
    margins = np.mean([b.predict(xgboost.DMatrix(features), output_margin=True) for b in trees.boosters], 0)
    rest = margins - trees.contributions(features).sum(2)
    assert rest == pytest.approx(np.broadcast_to(rest[0], rest.shape), abs=1e-4)  # what is left is the same for all


def test_finished_run_is_kept_and_another_config_is_an_error(
    diagnosed: Path, small_diagnosis: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = diagnosed.parent.parent
    before = (diagnosed / "classifier" / "seed_0.json").stat().st_mtime_ns
    diagnose(small_diagnosis(folder), visible=False)
    assert "is finished" in capsys.readouterr().out
    assert (diagnosed / "classifier" / "seed_0.json").stat().st_mtime_ns == before
    with pytest.raises(HamError, match=r"another config \(differs in features\.crop\); choose run\.name=NAME"):
        diagnose(small_diagnosis(folder, features={"crop": "image"}), visible=False)


def test_interrupted_run_continues_and_gives_the_same(
    diagnosed: Path, small_diagnosis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "CHUNK", 4)
    combine, calls = Extractor.combine, []

    def counted(self: Extractor, measured: Any, patients: Any) -> Any:
        calls.append(len(measured))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return combine(self, measured, patients)

    monkeypatch.setattr(Extractor, "combine", counted)
    config = small_diagnosis(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        diagnose(config, visible=False)
    run = tmp_path / "runs" / "diagnosis"
    kept = {path: path.stat().st_mtime_ns for path in run.glob("features/*/*.npz")}
    assert len(kept) == 2 and not (run / "scores").exists()
    diagnose(config, visible=False)
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    whole, resumed = (load_csv(each / "scores" / "test" / "per_image.csv") for each in (diagnosed, run))
    for one, other in zip(whole, resumed, strict=True):
        assert float(one["p_mel"]) == pytest.approx(float(other["p_mel"]), abs=1e-3)


def test_overwritten_run_is_kept_until_the_new_one_has_a_seed(
    diagnosed: Path, small_diagnosis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "diagnosis"
    shutil.copytree(diagnosed, run)
    before = {path: path.read_bytes() for path in run.rglob("[!.]*") if path.is_file()}

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Extractor, "combine", die)
    with pytest.raises(KeyboardInterrupt):
        diagnose(small_diagnosis(tmp_path, features={"crop": "image"}), overwrite=True, visible=False)
    assert {path: path.read_bytes() for path in run.rglob("[!.]*") if path.is_file()} == before
    assert not list(run.parent.glob(".*"))


def test_segmentation_run_that_has_moved_is_found_again(
    diagnosed: Path, small_diagnosis: Any, trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, here = tmp_path / "runs" / "diagnosis", tmp_path / "here" / "tiny"
    shutil.copytree(diagnosed, run)
    shutil.copytree(trained.folder, here)
    config = load_json(run / "diagnosis.json")
    gone = str(tmp_path / "gone" / "tiny")
    (run / "diagnosis.json").write_text(json.dumps(config | {"segmentation": gone}))
    diagnose(small_diagnosis(tmp_path, segmentation=str(here)), visible=False)
    assert "is finished" in capsys.readouterr().out
    assert load_json(run / "diagnosis.json")["segmentation"] == str(here)
    shutil.copytree(trained.folder, tmp_path / "other")
    with pytest.raises(HamError, match=r"another config \(differs in segmentation\); choose"):
        diagnose(small_diagnosis(tmp_path, segmentation=str(tmp_path / "other")), visible=False)


def test_only_the_skin_or_only_measures_can_be_used(small_diagnosis: Any, tmp_path: Path) -> None:
    """No network is needed with true masks and without encoders and doubt."""
    settings = {"masks": "annotated", "scored_masks": "annotated", "doubt": False, "encoders": [], "metadata": True}
    run = diagnose(small_diagnosis(tmp_path, features=settings), visible=False).run
    names = load_json(run.classifier / "classifier.json")["features"]
    assert "age" in names and "solidity" in names and not any("/" in name or "doubt" in name for name in names)


def test_metadata_that_no_table_has_is_an_error(
    small_diagnosis: Any, two_diagnoses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ham_keras.diagnosis.training.read_patients", lambda root, ids: {each: {} for each in ids})
    settings = {"masks": "annotated", "scored_masks": "annotated", "doubt": False, "encoders": [], "metadata": True}
    with pytest.raises(HamError, match=r"^features\.metadata: no table of .* has age, sex or localization of these"):
        diagnose(small_diagnosis(tmp_path, features=settings), visible=False)


def test_true_and_out_of_fold_masks_are_chosen(small_diagnosis: Any, two_diagnoses: Path, tmp_path: Path) -> None:
    records = find_records(two_diagnoses).records[:4]
    sides = {"train": records[:2], "val": records[2:3], "test": records[3:]}
    masks = tmp_path / "folds" / "oof" / "masks"
    masks.mkdir(parents=True)
    with pytest.raises(HamError, match="has no mask of 2 training images, the first"):
        choose_masks(_out_of_fold(small_diagnosis, tmp_path), sides)
    drawn = np.zeros((64, 96), np.uint8)
    drawn[10:20, 30:50] = 255
    for record in records[:3]:  # validation images have predicted masks, though there are others
        Image.fromarray(drawn).save(masks / f"{record.image_id}_segmentation.png")
    config = _out_of_fold(small_diagnosis, tmp_path)
    chosen = choose_masks(config, sides)
    assert chosen.keys() == {record.image_path for record in records[:2]}
    assert chosen[records[0].image_path]().sum() == 200
    for number, held_out in enumerate((records[:1], records[1:3])):
        split = {"train": ["a"], "val": ["b"], "test": [record.image_id for record in held_out]}
        fold = tmp_path / "folds" / f"fold_{number}"
        fold.mkdir()
        (fold / "split.json").write_text(json.dumps(split))
        (fold / "model.weights.h5").write_bytes(bytes([number]))
    segmentation = find_segmentation(config)
    folders = network_folders(config, segmentation, sides)
    expected = [tmp_path / "folds" / "fold_0", tmp_path / "folds" / "fold_1", *[segmentation.run.folder] * 2]
    assert [folders[record.image_path] for record in records] == expected
    digests = input_digests(config, segmentation, sides)
    Image.fromarray(drawn.T).save(masks / f"{records[1].image_id}_segmentation.png")
    changed = input_digests(config, segmentation, sides)
    assert {name for name in digests if digests[name] != changed[name]} == {"features.cross_validation"}
    (tmp_path / "folds" / "fold_0" / "model.weights.h5").write_bytes(b"other")  # its doubt is another one
    again = input_digests(config, segmentation, sides)
    assert {name for name in digests if again[name] != changed[name]} == {"features.cross_validation"}
    config = small_diagnosis(tmp_path, features={"masks": "annotated"})
    assert choose_masks(config, sides).keys() == {record.image_path for record in records[:2]}
    config = small_diagnosis(tmp_path, features={"scored_masks": "annotated"})
    assert choose_masks(config, sides).keys() == {record.image_path for record in records[2:]}


def _out_of_fold(make: Any, tmp_path: Path) -> DiagnosisConfig:
    settings = {"masks": "out_of_fold", "cross_validation": str(tmp_path / "folds")}
    return make(tmp_path, features=settings)


def test_noise_labels_are_not_learned() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(600, 20)).astype(np.float32), rng.integers(3, size=600)
    settings = parse_config_as(DiagnosisConfig, {"segmentation": "x"}, "x").classifier
    sides = [(features[first : first + 200], labels[first : first + 200]) for first in (0, 200, 400)]
    booster = train_trees(sides[0], sides[1], "abc", [str(n) for n in range(20)], settings, 0)
    found = booster.inplace_predict(sides[2][0])
    assert np.mean([auc(found[:, k], sides[2][1] == k) for k in range(3)]) == pytest.approx(0.5, abs=0.08)


def test_trees_correct_the_answers_that_they_start_from() -> None:
    """Answers that are too sure get a factor below 1, and what they miss is learned from the other features."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=900)
    hint = (labels == 2) + rng.normal(0, 0.3, 900)  # tells class 2, of which the answers know nothing
    logits = rng.normal(0, 1, (900, 3)) + 1.5 * np.eye(3)[np.where(labels == 2, rng.integers(2, size=900), labels)]
    answers = 3 * (logits - np.log(np.exp(3 * logits).sum(1, keepdims=True)) / 3)  # the log-softmax of 3 times these
    features = np.column_stack([hint, rng.normal(size=900), answers]).astype(np.float32)
    settings = parse_config_as(DiagnosisConfig, {"segmentation": "x"}, "x").classifier
    scale = fit_margin_scale(features, labels, 3, 0.0)

    def loss(factor: float) -> float:
        scaled = factor * answers
        return -float((scaled - np.log(np.exp(scaled).sum(1, keepdims=True)))[np.arange(900), labels].mean())

    assert scale < 0.9 and loss(scale) <= min(loss(0.9 * scale), loss(1.1 * scale))
    sides = [(features[first : first + 300], labels[first : first + 300]) for first in (0, 300, 600)]
    names = ["hint", "noise", *"abc"]
    booster = train_trees(sides[0], sides[1], "abc", names, settings, 0, scale)
    trees = Trees("abc", names, [booster], [1, 1, 1], scale)
    found, truth = trees.probabilities(sides[2][0]), sides[2][1]
    assert booster.num_features() == 2
    assert auc(found[:, 2], truth == 2) > 0.95 > 0.7 > auc(sides[2][0][:, 4], truth == 2)
    assert auc(found[:, 0], truth == 0) > auc(sides[2][0][:, 2], truth == 0) > 0.7
    added = trees.contributions(sides[2][0])
    margins = np.log(found) - added.sum(2)  # the same for all images, but for a constant of each image
    differences = margins - margins[:, :1]
    assert differences == pytest.approx(np.broadcast_to(differences[0], differences.shape), abs=1e-3)


def test_class_weights_balance_to_the_power() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    assert class_weights(labels, 2, 0) == pytest.approx([1, 1])
    assert class_weights(labels, 2, 1) == pytest.approx([50 / 90, 50 / 10])
    half = class_weights(labels, 2, 0.5)
    assert half[1] / half[0] == pytest.approx(3) and (half[labels]).mean() == pytest.approx(1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "segmentation: field required"),
        ({"segmentation": "a", "feature": {}}, "feature: unknown key, did you mean features?"),
        ({"segmentation": "a", "features": {"crop": "box"}}, "features.crop: input should be 'lesion', 'blanked'"),
        ({"segmentation": "a", "features": {"size_px": 100}}, "features.size_px: input should be a multiple of 32"),
        ({"segmentation": "a", "features": {"crop": "skin"}}, "crop skin hides the lesion; set outline, texture and"),
        (
            {"segmentation": "a", "features": {"encoders": [{"weights": "imagenet"}]}},
            "weights is imagenet and backbone None; expected a backbone, e.g. mobilenet",
        ),
        (
            {"segmentation": "a", "features": {"encoders": ["segmentation", "segmentation"]}},
            "encoders are segmentation, segmentation; expected each once",
        ),
        (
            {
                "segmentation": "a",
                "features": {"encoders": [], "outline": False, "texture": False, "doubt": False},
            },
            "no features; name an encoder",
        ),
        ({"segmentation": "a", "features": {"cross_validation": "b"}}, "cross_validation needs masks out_of_fold"),
        (
            {"segmentation": "a", "network": {"augment": {"surroundings": "skin"}}},
            "network.augment: surroundings skin is for whole images",
        ),
        (
            {"segmentation": "a", "classifier": {"base_margin": "network"}},
            "classifier.base_margin is network, but there is none; set features.trained to true",
        ),
        ({"segmentation": "a", "classifier": {"seeds": 0}}, "classifier.seeds: input should be greater than"),
    ],
)
def test_invalid_setting_names_its_key(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(HamError) as caught:
        load_config_as(DiagnosisConfig, path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_missing_parts_are_named(small_diagnosis: Any, diagnosed: Path, trained: Run, tmp_path: Path) -> None:
    def run(**sections: Any) -> None:
        diagnose(small_diagnosis(tmp_path, **sections), visible=False)

    with pytest.raises(HamError, match=r"^segmentation: .*gone: no run or cross-validation there"):
        run(segmentation=str(tmp_path / "gone"))
    shutil.copytree(trained.folder, tmp_path / "untrained", ignore=shutil.ignore_patterns("*.weights.h5"))
    with pytest.raises(HamError, match=r"^segmentation: .*model.weights.h5: not there yet"):
        run(segmentation=str(tmp_path / "untrained"))
    with pytest.raises(HamError, match=r"^features\.masks: .*masks: no out-of-fold masks there; run crossval first"):
        run(features={"masks": "out_of_fold"})
    encoder = {"backbone": "mobilenet", "weights": str(tmp_path / "gone.h5")}
    with pytest.raises(HamError, match=r"^features\.encoders\.0\.weights: .*gone\.h5: no such file"):
        run(features={"encoders": [encoder]}, run={"name": "gone"})
    with pytest.raises(HamError, match="is a diagnosis run; name images to score with --data ROOT"):
        main([str(diagnosed)])
    with pytest.raises(HamError, match="not a diagnosis run"):
        main([str(trained.folder), "--data", str(tmp_path)])


def test_interrupted_run_continues_only_with_the_weights_it_was_begun_with(
    small_diagnosis: Any, trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained.folder, tmp_path / "segmentation")
    config = small_diagnosis(tmp_path, segmentation=str(tmp_path / "segmentation"))

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Extractor, "combine", die)
        diagnose(config, visible=False)
    with open(tmp_path / "segmentation" / "model.weights.h5", "ab") as file:
        file.write(b"x")
    with pytest.raises(
        HamError, match=r"^segmentation: its files have changed since .*diagnosis was begun; --overwrite"
    ):
        diagnose(config, visible=False)


def test_changed_weights_are_noticed(small_diagnosis: Any, diagnosed: Path, trained: Run, tmp_path: Path) -> None:
    from ham_keras.diagnosis.diagnoser import Diagnoser

    copy = tmp_path / "diagnosis"
    shutil.copytree(diagnosed, copy)
    config = load_json(copy / "diagnosis.json")
    shutil.copytree(trained.folder, tmp_path / "segmentation")
    (copy / "diagnosis.json").write_text(json.dumps(config | {"segmentation": str(tmp_path / "segmentation")}))
    Diagnoser(copy)  # the same weights elsewhere
    with open(tmp_path / "segmentation" / "model.weights.h5", "ab") as file:
        file.write(b"x")
    with pytest.raises(HamError, match=r"model\.weights\.h5: has changed since .* was trained"):
        Diagnoser(copy)
    (copy / "classifier" / "seed_0.json").write_text("{}")
    with pytest.raises(HamError, match="not a classifier"):
        load_trees(copy / "classifier")


def test_images_of_other_diagnoses_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    def side(*diagnoses: str) -> list[Record]:
        return [Record(str(place), str(place), each, Path("a"), Path("b")) for place, each in enumerate(diagnoses)]

    sides = {"train": side("mel", "nv", "unknown"), "val": side("nv", "bcc"), "test": side("nevus")}
    kept = with_known_records(sides)
    assert {name: [each.diagnosis for each in records] for name, records in kept.items()} == {
        "train": ["mel", "nv"], "val": ["nv"], "test": ["nevus"],
    }  # fmt: skip
    warnings = capsys.readouterr().err
    assert (
        "train: 1 images have the diagnosis unknown" in warnings and "val: 1 images have the diagnosis bcc" in warnings
    )
    with pytest.raises(HamError, match="val: no image has one of the training images' diagnoses, mel, nv"):
        with_known_records(sides | {"val": side("bcc")})
    with pytest.raises(HamError, match="train: expected images of at least two diagnoses, found only nv"):
        with_known_records(sides | {"train": side("nv", "nv")})


@pytest.mark.parametrize(("module", "package"), [("xgboost", "xgboost"), ("skimage", "scikit-image")])
def test_missing_extra_is_named(module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else find(name))
    with pytest.raises(HamError, match=f"^{package} is not installed; pip install xgboost scikit-image$"):
        import_xgboost()
