"""`robustness`: scores of changed images, resumed, replaced, compared and reported."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ham_keras
from ham_keras.config import to_json
from ham_keras.crossval_folder import CrossvalConfig, CrossvalFolder
from ham_keras.data.changes.catalogue import CHANGES
from ham_keras.data.changes.condition import Condition
from ham_keras.data.images import read_image
from ham_keras.data.phantoms.dataset import draw_phantoms
from ham_keras.data.records import find_records
from ham_keras.data.truth import read_truth
from ham_keras.errors import HamError
from ham_keras.experiments.robustness_folder import RobustnessFolder, load_rows, rows_path
from ham_keras.files import load_json, save_json
from ham_keras.prediction.predictor import Prediction
from ham_keras.reports.robustness import load_robustness
from ham_keras.reports.single import report_run
from ham_keras.robustness import main, robustness
from ham_keras.runs import Run, load_run
from ham_keras.settings import Outline


@pytest.fixture
def real_run(trained: Run, tmp_path: Path) -> Run:
    """A copy of the trained run, whose 6 test images are phantoms of 96x64 pixels."""
    shutil.copytree(trained.folder, tmp_path / "runs" / "tiny", ignore=shutil.ignore_patterns("tensorboard", "reports"))
    return Run(tmp_path / "runs" / "tiny")


class Dark:
    """A predictor that takes the pixels darker than the mean for lesion, much faster than a network."""

    outline = Outline()

    def lesion(self, path: Path, image: np.ndarray) -> np.ndarray:
        grey = image.mean(2)
        return (grey < grey.mean()).astype(np.uint8)

    def predict_files(
        self, paths: Iterable[Path], finish: Callable[[Path, Prediction], Any], read: Callable[[Path], np.ndarray]
    ) -> Iterator[tuple[Path, Any]]:
        for path in paths:
            image = read(path)
            mask = self.lesion(path, image)
            probability = mask.astype(np.float32)
            yield path, finish(path, Prediction(image, (probability[..., None],), mask.shape, probability, mask))


class Blind(Dark):
    """A predictor that always returns the true mask of the unchanged image."""

    def __init__(self, root: Path) -> None:
        self.truth = {record.image_path: read_truth(record).lesion for record in find_records(root).records}

    def lesion(self, path: Path, image: np.ndarray) -> np.ndarray:
        return self.truth[path]


@pytest.fixture
def run(real_run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """As `real_run`, with `Dark` in the place of its network."""
    monkeypatch.setattr("ham_keras.experiments.robustness.load_predictor", lambda *_: Dark())
    return real_run


def measured(run: Run, **options: Any) -> dict[str, Any]:
    return robustness(run.folder, visible=False, **options)


def content(folder: Path) -> dict[str, bytes]:
    """The conditions and the summary of a folder."""
    files = [*folder.glob("conditions/*"), folder / "summary.json"]
    return {path.name: path.read_bytes() for path in files if path.exists()}


def jaccard(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum()) if (first | second).any() else 1.0


def test_overwriting_one_change_keeps_the_others(
    run: Run, phantoms: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ham_keras.experiments.robustness.load_predictor", lambda *_: Blind(phantoms))
    before = measured(run, changes=["noise", "shift"])
    files = content(run.robustness())
    summary = measured(run, changes=["shift"], overwrite=True)
    found = content(run.robustness())
    del files["summary.json"], found["summary.json"]  # with the time of the measurement
    assert summary["changes"] == before["changes"] and found == files
    assert "removed" not in capsys.readouterr().err
    summary = measured(run, changes=["shift"], images=3, overwrite=True)
    assert list(summary["changes"]) == ["shift"]
    assert "the scores of noise were made with subset None, images 6, other images and are removed" in (
        capsys.readouterr().err
    )


def test_each_row_is_the_score_of_the_changed_image(real_run: Run, phantoms: Path) -> None:
    run = real_run
    summary = measured(run, changes=["shift", "blur"])
    folder = RobustnessFolder(run.robustness())
    assert summary["clean"]["jaccard"]["mean"] == load_json(run.summary("test"))["native"]["jaccard"]["mean"]
    assert list(summary["changes"]) == ["blur", "shift"] and summary == load_json(folder.summary)
    assert [part["amount"] for part in summary["changes"]["shift"]["strengths"]] == [0.05, 0.1, 0.15, 0.2, 0.3]
    assert {"diagnosis", "lesion size", "sex"} <= summary["properties"].keys()
    assert {path.name for path in folder.folder.iterdir()} == {
        ".lock", "conditions", "summary.json", "robustness.png", "changes.jpg",
    }  # fmt: skip
    condition, loaded = Condition("shift", 4), ham_keras.load(run.folder)
    rows = load_rows(folder.conditions, condition)
    assert list(rows) == load_json(run.split)["test"]
    for record in find_records(phantoms).records:
        if record.image_id in rows:
            found = loaded.segment(condition.image(record.image_id, read_image(record.image_path))).mask
            truth = condition.mask(record.image_id, read_truth(record).lesion)
            row = rows[record.image_id]
            assert float(row["jaccard_native"]) == pytest.approx(jaccard(found, truth), abs=0.01)
            assert float(row["lesion_fraction"]) == pytest.approx(truth.mean(), abs=1e-6)
            assert (row["change"], row["strength"]) == ("shift", "4")


def test_score_of_a_predictor_that_sees_no_change_is_the_overlap_with_the_moved_mask(
    run: Run, phantoms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = Blind(phantoms)
    monkeypatch.setattr("ham_keras.experiments.robustness.load_predictor", lambda *_: blind)
    summary = measured(run, changes=["shift", "noise", "zoom"])
    assert summary["clean"]["jaccard"]["mean"] == 1
    assert [part["loss"]["mean"] for part in summary["changes"]["noise"]["strengths"]] == [0] * 5
    records = {record.image_id: record for record in find_records(phantoms).records}
    for strength in (1, 3):
        rows = load_rows(run.robustness() / "conditions", Condition("shift", strength))
        for image_id, row in rows.items():
            truth = blind.truth[records[image_id].image_path]
            moved = Condition("shift", strength).mask(image_id, truth)
            assert float(row["jaccard_native"]) == pytest.approx(jaccard(truth, moved))
    losses = [part["loss"]["mean"] for part in summary["changes"]["shift"]["strengths"]]
    assert losses == sorted(losses) and 0 < losses[0] < losses[-1]
    enlarged = summary["changes"]["zoom"]["strengths"][1]["directions"]["enlarged"]
    assert 1 / 1.3**2 - 0.1 < enlarged["jaccard"]["mean"] < 1  # the area's ratio, or more if the frame cuts the lesion


def test_killed_measurement_keeps_its_conditions_and_ends_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = shutil.copytree(run.folder, run.folder.with_name("whole"))
    expected = robustness(whole, changes=["jpeg", "ink"], visible=False)
    stop_after(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        measured(run, changes=["jpeg", "ink"])
    kept = content(run.robustness())
    assert kept.keys() == {"settings.json", "clean.csv.gz", "jpeg-1.csv.gz", "jpeg-2.csv.gz", "jpeg-3.csv.gz"}
    saved = stop_after(monkeypatch, 99)
    summary = measured(run, changes=["jpeg", "ink"])
    assert saved == ["jpeg-4", "jpeg-5", *(f"ink-{strength}" for strength in range(1, 6))]
    found = content(run.robustness())
    assert {name: found[name] for name in kept} == kept
    for name in ("clean", "changes", "mean", "properties"):
        assert summary[name] == expected[name]
    # Another change is added to what is there.
    saved.clear()
    assert list(measured(run, changes=["gamma"])["changes"]) == ["jpeg", "gamma", "ink"]
    assert saved == [f"gamma-{strength}" for strength in range(1, 6)]
    # A moved run keeps its scores.
    saved.clear()
    moved = run.folder.rename(run.folder.with_name("moved"))
    assert robustness(moved, changes=["gamma"], visible=False)["run"] == "moved" and saved == []


def stop_after(monkeypatch: pytest.MonkeyPatch, count: int) -> list[str]:
    """Interrupt before condition number `count` + 1 is saved; returns the list of those that are."""
    from ham_keras.experiments import robustness_folder

    saved: list[str] = []

    def save(place: Path, condition: Condition, rows: Any) -> None:
        if len(saved) == count:
            raise KeyboardInterrupt
        saved.append(condition.name)
        robustness_folder.save_rows(place, condition, rows)

    monkeypatch.setattr("ham_keras.experiments.robustness.save_rows", save)
    return saved


def test_overwritten_scores_stay_until_the_new_ones_are_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"changes": ["contrast"]}
    measured(run, images=3, **options)
    before = content(run.robustness())
    with pytest.raises(
        HamError, match=r"robustness: holds scores made with subset .*, images 3, other images; --overwri"
    ):
        measured(run, **options)
    stop_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        measured(run, overwrite=True, **options)
    assert content(run.robustness()) == before
    assert measured(run, images=3, **options)["images"] <= 3  # nothing is missing
    with pytest.raises(KeyboardInterrupt):
        measured(run, overwrite=True, **options)
    saved = stop_after(monkeypatch, 99)
    assert measured(run, overwrite=True, **options)["images"] == 6
    assert saved == ["contrast-2", "contrast-3", "contrast-4", "contrast-5"]  # the killed one had two
    assert not (run.robustness() / ".next").exists() and not (run.robustness() / ".former").exists()
    # Killed between the two renames: the former scores are put back.
    (run.robustness() / "conditions").rename(run.robustness() / ".former")
    saved.clear()
    assert measured(run, **options)["images"] == 6 and saved == []


def test_damaged_files_are_errors_of_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    measured(run, changes=["blur"])
    place = run.robustness() / "conditions"
    path = rows_path(place, Condition("blur", 2))
    rows = gzip.decompress(path.read_bytes())
    for data in (b"", b"text", path.read_bytes()[:-9], gzip.compress(b"image_id\na\n"), gzip.compress(rows[:300])):
        path.write_bytes(data)
        with pytest.raises(
            HamError, match=r"blur-2\.csv\.gz: damaged \(.+\); delete it, and the same command measures"
        ):
            measured(run, changes=["blur"])
    path.unlink()
    measured(run, changes=["blur"])
    assert gzip.decompress(path.read_bytes()) == rows
    (place / "settings.json").write_text("{")
    with pytest.raises(HamError, match=r"unknown settings \(.*settings\.json is damaged\); --overwrite replaces"):
        measured(run, changes=["blur"])
    run.robustness().joinpath("summary.json").write_text("[]")
    assert load_robustness(run, "test") is None
    assert "summary.json: damaged; left out of the report" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "--changes", "fog"], "--changes fog: no such change; expected some of blur, noise"),
        (["RUN", "--images", "0"], "--images 0: expected at least 1"),
        (["RUN", "--name", "a/b"], "--name a/b: expected a name without slashes"),
        (["RUN", "--split", "val", "--name", "test"], "'test' is a name of the run's own"),
        (["RUN", "--name", "conditions"], "'conditions' is a name of the run's own"),
        (["RUN", "RUN2", "RUN3"], "RUN3: a third run"),
        (["RUN", "-o", "x.png"], r"-o x\.png: only with --show"),
        ([], "expected a run folder"),
        (["nowhere"], r"nowhere: not a run folder"),
        (["RUN", "train.epochs=3"], r"train\.epochs=3: expected only outline, score, data\.root"),
        (["RUN", "--properties", "missing.csv"], r"missing\.csv: cannot be read: No such file"),
        (["--show", "missing.jpg", "-o", "x.png"], r"missing\.jpg"),
        (["--show", "missing.jpg"], r"--show: expected -o SHEET, a \.png or \.jpg"),
        (["--show", "missing.jpg", "-o", "x.gif"], r"-o x\.gif: expected a name that ends in \.png, \.jpg or \.jpeg"),
    ],
)
def test_mistakes_are_errors_of_one_line(arguments: list[str], message: str, run: Run) -> None:
    with pytest.raises(HamError, match=message) as raised:
        main([str(run.folder) if each == "RUN" else each for each in arguments])
    assert "\n" not in str(raised.value)
    assert not run.robustness().exists()


def test_another_folder_by_its_own_properties(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "clinic"
    draw_phantoms(root, 10, 3, width_px=96, height_px=64)
    ratings = tmp_path / "hair_ratings.csv"
    lines = [f"{path.stem},{i % 3}" for i, path in enumerate(sorted((root / "images").iterdir()))]
    ratings.write_text("\n".join(["image_id,mean_rating", *lines]))
    command = [str(run.folder), "--data", str(root), "--changes", "none", "--properties", str(ratings)]
    assert main(command) == 0
    summary = load_json(run.robustness("clinic") / "summary.json")
    assert (
        summary["images"] == 10 and summary["changes"] == {} and not run.robustness().joinpath("summary.json").exists()
    )
    groups = summary["properties"]["mean_rating"]
    assert [groups[name]["images"] for name in ("0", "1", "2")] == [4, 3, 3]
    assert "unchanged, by mean_rating" in capsys.readouterr().out
    with pytest.raises(HamError, match="choose --name NAME"):
        main([str(run.folder), "--data", str(root), "--name", "test"])


def test_two_runs_side_by_side(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], plotted: Any) -> None:
    other = shutil.copytree(run.folder, tmp_path / "runs" / "other")
    assert main([str(run.folder), str(other), "--changes", "ruler", "bubbles"]) == 0
    printed = capsys.readouterr().out
    assert "tiny minus other, mean Jaccard over the strengths" in printed and "Research use" in printed
    compared = load_json(run.robustness() / "vs-other.json")["compared"]
    assert list(compared) == ["clean", "bubbles", "ruler"]
    assert all(pair["difference"]["mean"] == 0 and pair["ours"] == pair["theirs"] for pair in compared.values())
    bubbles, ruler = plotted["vs-other"]
    assert (bubbles["title"], ruler["title"]) == ("bubbles", "ruler")
    means = [
        part["jaccard"]["mean"]
        for part in load_json(run.robustness() / "summary.json")["changes"]["ruler"]["strengths"]
    ]
    assert ruler["lines"]["tiny"][1][1:].tolist() == pytest.approx(means) and "other" in ruler["lines"]
    sides = load_json(other / "split.json")
    save_json(other / "split.json", {**sides, "test": sides["test"][:4]})
    with pytest.raises(HamError, match=r"scores of different images; train both runs with the same data\.split_file"):
        main([str(run.folder), str(other), "--changes", "ruler", "--overwrite"])


def test_sheet_of_an_image(phantoms: Path, tmp_path: Path) -> None:
    path = next((phantoms / "images").iterdir())
    sheets = [tmp_path / "a.png", tmp_path / "b.jpg"]
    assert main(["--show", str(path), "-o", str(sheets[0])]) == 0
    assert main(["--show", str(path), "--changes", "ink", "zoom", "-o", str(sheets[1])]) == 0
    with Image.open(sheets[0]) as whole, Image.open(sheets[1]) as two:
        assert whole.format == "PNG" and two.format == "JPEG" and whole.width == two.width
        assert whole.height - two.height == (len(CHANGES) - 2) * (two.height - 6) // 2


def test_report_shows_what_was_measured(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    measured(run, changes=["exposure", "rotation"])
    page = report_run(run.folder, visible=False).read_text()
    assert "<h2>What it withstands</h2>" in page and ">exposure</th>" in page and ">rotation</th>" in page
    assert load_json(run.report("test") / "report.json")["robustness"]["changes"].keys() == {"exposure", "rotation"}
    with run.weights.open("ab") as file:
        file.write(b"\0")
    assert load_robustness(run, "test") is None and "of other weights; left out" in capsys.readouterr().err


def test_cross_validation_is_measured_as_the_mean_of_its_folds(real_run: Run, tmp_path: Path) -> None:
    run = real_run
    folds = CrossvalFolder(tmp_path / "folds")
    for number in range(2):
        shutil.copytree(run.folder, folds.fold(number).folder)
    shutil.copy(run.split, folds.split)
    config = CrossvalConfig.model_validate(load_run(run.folder)[1].model_dump(by_alias=True) | {"folds": 2})
    folds.config.write_text(to_json(config))
    summary = robustness(folds.folder, changes=[], visible=False)
    assert summary == load_json(folds.ensemble.robustness() / "summary.json")
    alone = load_json(run.summary("test"))["native"]["jaccard"]["mean"]
    assert summary["clean"]["jaccard"]["mean"] == pytest.approx(alone, abs=2e-3)
