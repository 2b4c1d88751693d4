"""The table of results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ham_keras.config import load_config
from ham_keras.errors import HamError
from ham_keras.files import load_csv, load_json, save_csv, save_json
from ham_keras.results import main
from ham_keras.runs import Run
from ham_keras.scores.table import initial_weights, load_table, markdown, row_of_run, row_of_scores

TABLE = "results.json"


def test_row_of_a_run_matches_its_folder(trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / TABLE), str(trained.folder), "--name", "ours"]) == 0
    row = load_json(tmp_path / TABLE)[0]
    summary = load_json(trained.summary("test"))
    assert (row["images"], row["mean"]) == (6, summary["native"]["jaccard"]["mean"])
    assert (row["below_065"], row["weights"]) == (summary["native"]["below_0.65"], "random")
    assert " /" not in row["config"]
    assert row["interval"] == summary["native"]["jaccard"]["interval"]
    assert row["split"] == "by lesion_id, seed 0" and "mixed_bfloat16" in row["hardware"]
    assert f"| ours | **{row['mean']:.4f}** |" in capsys.readouterr().out


def test_scores_made_elsewhere_are_added_and_replaced_by_name(trained: Run, tmp_path: Path) -> None:
    ids = load_json(trained.split)["test"]
    theirs = tmp_path / "per_image.csv"
    for value in (0.25, 0.5):
        theirs.write_text("image_id,jaccard_native\n" + "".join(f"{image_id},{value}\n" for image_id in ids))
        options = ["--per-image", str(theirs), "--lesions", str(trained.folder), "--name", "theirs"]
        options += ["--minutes", "3", "--split", "the same"]
        assert main([str(tmp_path / TABLE), *options]) == 0
    rows = json.loads((tmp_path / TABLE).read_text())
    assert len(rows) == 1
    assert (rows[0]["mean"], rows[0]["interval"], rows[0]["minutes"]) == (0.5, [0.5, 0.5], 3.0)


def test_row_of_a_set_scored_by_evaluate(trained: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(trained.folder, run.folder, ignore=shutil.ignore_patterns("tensorboard", "reports"))
    with pytest.raises(HamError, match=r"scores/elsewhere/summary.json: missing; score it first"):
        row_of_run(run.folder, scored_set="elsewhere")
    save_json(run.summary("elsewhere"), {**load_json(run.summary("test")), "images": 5})
    assert (row_of_run(run.folder, scored_set="elsewhere")["images"], row_of_run(run.folder)["images"]) == (5, 6)


def test_initial_weights_in_words() -> None:
    def of(**model: str | None) -> str:
        return initial_weights(load_config("base", {f"model.{key}": value for key, value in model.items()}))

    assert of() == "ImageNet" and of(encoder_weights=None) == "random"
    assert of(encoder_weights="w/mobilenet_imagenet.weights.h5") == "ImageNet"
    assert of(encoder_weights="w/skin.weights.h5") == "skin.weights.h5"
    assert of(initial_weights="runs/small", encoder_weights=None) == "from small"


def test_unfinished_run_raises(tmp_path: Path, trained: Run) -> None:
    (tmp_path / "config.json").write_text(trained.config.read_text())
    with pytest.raises(HamError, match="not finished yet"):
        main([str(tmp_path / TABLE), str(tmp_path), "--name", "early"])


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_pages_contain_the_current_table(page: str) -> None:
    table = markdown(load_table(Path("docs/results.json")))
    assert table in Path(page).read_text(), "python -m ham_keras.results docs/results.json"


def test_interval_over_one_lesion_is_none_and_over_few_is_marked(trained: Run, tmp_path: Path) -> None:
    shutil.copytree(trained.folder, tmp_path / "run", ignore=shutil.ignore_patterns("tensorboard", "reports"))
    run = Run(tmp_path / "run")
    table = run.scores("test") / "per_image.csv"
    few = markdown([{"name": "few", "minutes": 1, "split": "s", **row_of_scores(table, run.folder)}])
    assert "too few lesions (" in few
    save_csv(table, [{**row, "lesion_id": "L1"} for row in load_csv(table)])
    row = row_of_scores(table, run.folder)
    assert row["interval"] is None and row["lesions"] == 1
    assert "| one lesion only |" in markdown([{"name": "one", "minutes": 1, "split": "s", **row}])


@pytest.mark.parametrize(
    ("run", "row"),
    [
        ("best", "| best.json without mirror images |"),
        ("best-192", "| its weights trained for 8 more epochs at 192x192, stronger augmentation |"),
        ("robust", "with [robust.json](../configs/robust.json), without mirror images |"),
    ],
)
def test_validation_scores_are_those_of_the_best_epochs(run: str, row: str) -> None:
    history = load_csv(Path("docs/runs") / run / "history.csv")
    best = max(float(epoch["val_jaccard"]) for epoch in history)
    assert f"{row} {best:.4f} |" in Path("docs/results.md").read_text()
