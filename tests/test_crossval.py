"""Cross-validation: ordinary runs, every image scored once out of fold, resumable."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ham_keras.config import load_config_as, to_json
from ham_keras.crossval import crossval, main
from ham_keras.crossval_folder import CrossvalConfig, CrossvalFolder
from ham_keras.data.records import find_records
from ham_keras.data.truth import read_truth
from ham_keras.errors import HamError
from ham_keras.evaluate import evaluate
from ham_keras.experiments.crossval import save_out_of_fold
from ham_keras.files import load_csv, load_json, save_csv, save_json
from ham_keras.runs import load_run
from ham_keras.scores.scores import count, score

SHORT: dict[str, Any] = {"train": {"epochs": 1}}


@pytest.fixture(scope="module")
def crossed(tiny_config: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> CrossvalFolder:
    config = tiny_config(tmp_path_factory.mktemp("crossed"), **SHORT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ham_keras.trust.fitting.SMALLEST_LESIONS", 10)  # all images have more, those of a fold fewer
        return crossval(config, folds=2, visible=False)


def test_every_image_is_scored_once_out_of_fold(crossed: CrossvalFolder, phantoms: Path) -> None:
    rows = load_csv(crossed.out_of_fold / "per_image.csv")
    lesion_of = {record.image_id: record.lesion_id for record in find_records(phantoms).records}
    assert [row["image_id"] for row in rows] == sorted(lesion_of)
    for number, run in enumerate(crossed.folds):
        split = load_json(run.split)
        assert [row["image_id"] for row in rows if row["fold"] == str(number)] == split["test"]
        seen = {lesion_of[image_id] for image_id in split["train"] + split["val"]}
        assert seen.isdisjoint(lesion_of[image_id] for image_id in split["test"])


def test_masks_and_summary_match_the_rows(crossed: CrossvalFolder, phantoms: Path) -> None:
    records = {record.image_id: record for record in find_records(phantoms).records}
    rows = load_csv(crossed.out_of_fold / "per_image.csv")
    for row in rows:
        mask = np.asarray(Image.open(crossed.out_of_fold / "masks" / f"{row['image_id']}_segmentation.png")) > 0
        found = score(*count(read_truth(records[row["image_id"]]).lesion, mask))["jaccard"]
        if not int(row["mask_repaired"]):
            assert found == pytest.approx(float(row["jaccard_native"]), abs=1e-9)
    summary = load_json(crossed.out_of_fold / "summary.json")
    values = [float(row["jaccard_native"]) for row in rows]
    assert summary["images"] == len(rows) == 24
    assert summary["native"]["jaccard"]["mean"] == pytest.approx(np.mean(values))
    means = [np.mean([float(row["jaccard_native"]) for row in rows if row["fold"] == str(k)]) for k in range(2)]
    assert summary["folds"]["jaccard"] == pytest.approx(means)
    assert summary["folds"]["std"] == pytest.approx(abs(means[0] - means[1]) / np.sqrt(2))


def test_out_of_fold_answers_calibrate_the_whole(crossed: CrossvalFolder) -> None:
    trust = load_json(crossed.trust)
    assert (trust["made_from"]["images"], trust["made_from"]["split"]) == (24, "test")
    rows = load_csv(crossed.out_of_fold / "per_image.csv")
    answers = {row["image_id"]: float(row["jaccard"]) for row in load_csv(crossed.trust_table)}
    assert [answers[row["image_id"]] for row in rows] == pytest.approx(
        [float(row["jaccard_native"]) for row in rows], abs=1e-5
    )


def test_each_fold_is_an_ordinary_run(crossed: CrossvalFolder) -> None:
    run = crossed.fold(1)
    assert run.finished and (run.report("test") / "report.html").exists()
    again = evaluate(run.folder, "val", visible=False)
    assert again["images"] == len(load_json(run.split)["val"])
    assert load_run(run.folder)[1].run.name == "fold_1"


def test_finished_cross_validation_is_kept_and_another_config_raises(
    crossed: CrossvalFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_run(crossed.fold(0).folder)[1]
    settings = {"run": {"name": crossed.folder.name, "dir": str(crossed.folder.parent)}}
    data = {"split_file": None}
    again = config.model_copy(
        update={"run": config.run.model_copy(update=settings["run"]), "data": config.data.model_copy(update=data)}
    )
    before = crossed.fold(0).weights.stat().st_mtime_ns
    crossval(again, folds=2, visible=False)
    assert capsys.readouterr().out.count("is finished") == 2
    assert crossed.fold(0).weights.stat().st_mtime_ns == before
    with pytest.raises(HamError, match=r"is a cross-validation of another config \(differs in folds\)"):
        crossval(again, folds=3, visible=False)


def test_test_images_of_a_split_file_are_held_out(tiny: Any, phantoms: Path, tmp_path: Path) -> None:
    from ham_keras.experiments.crossval import draw_folds, open_crossval

    records = find_records(phantoms).records
    ids = [record.image_id for record in records]
    save_json(tmp_path / "split.json", {"train": ids[:14], "val": ids[14:18], "test": ids[18:]})
    config = tiny(data={"split_file": str(tmp_path / "split.json"), "group_by": None})
    whole = CrossvalConfig.model_validate(config.model_dump(by_alias=True) | {"folds": 3})
    with open_crossval(whole) as folder:
        used = draw_folds(whole, folder, records)
        splits = [load_json(folder.splits / f"fold_{number}.json") for number in range(3)]
    assert sorted(record.image_id for record in used) == sorted(ids[:18])
    assert sorted(image_id for split in splits for image_id in split["test"]) == sorted(ids[:18])


def test_command_passes_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.json").write_text("{}")
    taken: list[Any] = []
    monkeypatch.setattr("ham_keras.crossval.crossval", lambda config, **options: taken.append((config, options)))
    assert main([str(tmp_path / "mine.json"), "--folds", "3", "train.epochs=7", "--overwrite"]) == 0
    config, options = taken.pop()
    assert (config.run.name, config.train.epochs, options) == ("mine", 7, {"folds": 3, "overwrite": True})


# Kills its own process with SIGKILL in the second fold.
KILLED = """
import os, signal, sys
from ham_keras.crossval import main
from ham_keras.training import loop, progress
class Bar(progress.EpochBar):
    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if os.path.exists(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
loop.EpochBar = Bar
main(sys.argv[2:])
"""


@pytest.mark.slow
def test_killed_cross_validation_resumes_with_the_same_scores(
    crossed: CrossvalFolder, tiny: Any, tmp_path: Path
) -> None:
    config = tiny(**SHORT)
    path = tmp_path / "killed.json"
    path.write_text(to_json(config))
    first = tmp_path / "runs" / "tiny" / "fold_0"
    command = [sys.executable, "-c", KILLED, str(first / "scores" / "test" / "summary.json"), str(path), "--folds", "2"]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    weights = (first / "model.weights.h5").stat().st_mtime_ns
    folder = crossval(config, folds=2, visible=False)
    assert (first / "model.weights.h5").stat().st_mtime_ns == weights
    table = Path("oof/per_image.csv")
    assert (folder.folder / table).read_bytes() == (crossed.folder / table).read_bytes()


def test_out_of_fold_masks_keep_folders_of_ids(crossed: CrossvalFolder, tmp_path: Path) -> None:
    folder = CrossvalFolder(tmp_path / "by_patient")
    for number, run in enumerate(crossed.folds):
        scores, moved = run.scores("test"), folder.fold(number).scores("test")
        rows = load_csv(scores / "per_image.csv")
        for row in rows:
            name = f"{row['image_id']}_segmentation.png"
            row["image_id"] = f"p{number}/{row['image_id']}"
            (moved / "masks" / f"p{number}").mkdir(parents=True, exist_ok=True)
            shutil.copy(scores / "masks" / name, moved / "masks" / f"p{number}" / name)
        save_csv(moved / "per_image.csv", rows)
    save_out_of_fold(crossed.load(), folder)
    rows = load_csv(folder.out_of_fold / "per_image.csv")
    assert len(rows) == 24
    assert all((folder.out_of_fold / "masks" / f"{row['image_id']}_segmentation.png").is_file() for row in rows)


def test_one_fold_is_an_error(tiny: Any) -> None:
    with pytest.raises(HamError, match=r"^crossval: folds: "):
        crossval(tiny(), folds=1)


def test_fold_without_masks_leaves_the_out_of_fold_masks(crossed: CrossvalFolder, tmp_path: Path) -> None:
    folder = CrossvalFolder(Path(shutil.copytree(crossed.folder, tmp_path / "crossed")))
    before = sorted(path.name for path in (folder.out_of_fold / "masks").iterdir())
    shutil.rmtree(folder.fold(0).scores("test") / "masks")
    config = load_config_as(CrossvalConfig, folder.config)
    with pytest.raises(HamError, match=r"segmentation\.png: missing; run `python -m ham_keras\.evaluate .*fold_0"):
        save_out_of_fold(config, folder)
    assert sorted(path.name for path in (folder.out_of_fold / "masks").iterdir()) == before
