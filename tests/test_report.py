"""Reports of one and of two runs: contents, escaping, atomic replacement, and in a browser."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ham_keras.compare import compare
from ham_keras.data.masks import read_mask
from ham_keras.errors import HamError
from ham_keras.evaluate import evaluate
from ham_keras.files import load_csv, load_json, save_csv, save_json
from ham_keras.report import main, report
from ham_keras.reports.page import new_report
from ham_keras.reports.scored_set import load_scored_set
from ham_keras.runs import Run
from ham_keras.scores.scores import SCORES, count, score

PICTURES = {"curves.png", "distribution.png", "size.png", "diagnosis.png"}


def copy_run(run: Run, folder: Path) -> Run:
    shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns("tensorboard", "reports"))
    return Run(folder)


@pytest.fixture(scope="module")
def other(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same run, scored at another threshold."""
    run = copy_run(trained, tmp_path_factory.mktemp("runs") / "low")
    shutil.rmtree(run.scores("test"))
    evaluate(run.folder, overrides=["score.threshold=0.3"], visible=False)
    return run


@pytest.fixture(scope="module")
def pages(trained: Run, other: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The page that training wrote, and one that compares two runs."""
    target = tmp_path_factory.mktemp("pages") / "two"
    two = report(trained.folder, other.folder, output=target, visible=False)
    return trained.report("test") / "report.html", two


def test_training_writes_a_report_of_the_test_split(trained: Run) -> None:
    folder = trained.report("test")
    files = set(load_json(folder / "report.json")["files"])
    assert {path.name for path in folder.iterdir()} == files | {".lock"}
    assert PICTURES | {"best-1.png", "median-2.png", "worst-1.png", "failure_measures.csv"} < files
    page = (folder / "report.html").read_text()
    summary = load_json(trained.summary("test"))
    assert page.count("data:image/png;base64,") == sum(name.endswith(".png") for name in files)
    jaccard = summary["native"]["jaccard"]
    assert f"<b>{jaccard['mean']:.4f}</b>" in page
    for name in SCORES:
        assert f"<td>{summary['native'][name]['median']:.4f}</td>" in page
    assert "12 train, 6 val, 6 test" in page and "Research use; not a medical device" in page
    ids = load_json(trained.split)["test"]
    assert [row["image_id"] for row in load_csv(folder / "failure_measures.csv")] == ids
    cases = load_json(folder / "report.json")["cases"]
    rows = {row["image_id"]: float(row["jaccard_native"]) for row in load_csv(trained.scores("test") / "per_image.csv")}
    assert cases["worst"][0] == min(rows, key=lambda image_id: rows[image_id])
    for image_id in cases["best"] + cases["median"] + cases["worst"]:
        assert f"Jaccard {rows[image_id]:.4f}" in page and image_id in page


def test_drawn_masks_have_the_jaccard_of_the_table(trained: Run, other: Run) -> None:
    for run in (trained, other):
        scored = load_scored_set(run.folder)
        ids = list(scored.rows)[1::2]  # in other batches than when scored
        for image_id, lesion in scored.predict_masks(ids).items():
            truth = read_mask(scored.records[image_id].mask_path).lesion
            assert score(*count(truth, lesion))["jaccard"] == pytest.approx(scored.jaccard(image_id), abs=1e-3)


def test_report_of_two_runs_matches_compare(trained: Run, other: Run, pages: tuple[Path, Path]) -> None:
    content = load_json(pages[1].with_name("report.json"))
    tables = [run.scores("test") / "per_image.csv" for run in (trained, other)]
    for name in SCORES:
        assert content["scores"][name] == compare(tables[0], tables[1], f"{name}_native")
    difference = content["scores"]["jaccard"]["difference"]
    page = pages[1].read_text()
    assert f"<b>{difference['mean']:+.4f}</b>" in page
    assert "{:+.4f} to {:+.4f}".format(*difference["interval"]) in page
    by_size = content["differences"]["Lesion size"]
    assert sum(group["images"] for group in by_size.values()) == content["scores"]["jaccard"]["images"]
    total = sum(group["images"] * group["difference"]["mean"] for group in by_size.values())
    assert total / content["scores"]["jaccard"]["images"] == pytest.approx(difference["mean"])
    changed = content["cases"]["a_better"] + content["cases"]["b_better"]
    assert changed and {f"{kind}-{1}.png" for kind in ("a-better", "b-better")} & set(content["files"])


def test_names_and_descriptions_are_escaped(trained: Run, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    run = copy_run(trained, tmp_path / evil)
    environment = load_json(run.environment)
    save_json(run.environment, {**environment, "command": '"><script>alert(2)</script>'})
    rows = load_csv(run.scores("test") / "per_image.csv")
    save_csv(run.scores("test") / "per_image.csv", [{**row, "diagnosis": "<i>nv</i>$x"} for row in rows])
    summary = load_json(run.summary("test"))
    group = next(iter(summary["by_diagnosis"].values()))
    save_json(run.summary("test"), {**summary, "by_diagnosis": {"<i>nv</i>$x": group}})
    page = report(run.folder, visible=False).read_text()
    for markup in (evil, "<script", "<i>nv"):
        assert markup not in page
    assert "&lt;script&gt;alert(2)" in page and "&lt;i&gt;nv&lt;/i&gt;$x" in page


def test_reports_name_no_folder_of_this_machine(trained: Run, pages: tuple[Path, Path]) -> None:
    parent = str(trained.folder.parent.parent)
    for page in pages:
        for path in (page, page.with_name("report.json")):
            text = path.read_text()
            assert parent not in text and str(Path.home()) + "/" not in text and "/tmp/" not in text
    assert "<code>tiny</code>" in pages[0].read_text()


def test_few_flipped_pixels_are_a_warning(trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has the Jaccard that one mask would have with two pixels less in common with the truth."""
    run = copy_run(trained, tmp_path / "run")
    table = run.scores("test") / "per_image.csv"
    scored = load_scored_set(run.folder)
    image_id = max(scored.rows, key=scored.jaccard)
    (mask,) = scored.predict_masks([image_id]).values()
    union = np.count_nonzero(mask.astype(bool) | read_mask(scored.records[image_id].mask_path).lesion.astype(bool))
    rows = {row["image_id"]: row for row in load_csv(table)}
    rows[image_id] |= {"jaccard_native": str(scored.jaccard(image_id) - 2 / union)}
    save_csv(table, list(rows.values()))
    capsys.readouterr()
    load_scored_set(run.folder).predict_masks([image_id])
    assert "1 of 1 masks differ from the scored ones by up to 2 pixels" in capsys.readouterr().err
    rows[image_id] |= {"jaccard_native": str(scored.jaccard(image_id) - 12 / union)}
    save_csv(table, list(rows.values()))
    with pytest.raises(HamError, match="weights or data have changed"):
        load_scored_set(run.folder).predict_masks([image_id])


def test_changed_weights_raise(trained: Run, tmp_path: Path) -> None:
    run = copy_run(trained, tmp_path / "run")
    table = run.scores("test") / "per_image.csv"
    save_csv(table, [{**row, "jaccard_native": float(row["jaccard_native"]) / 2} for row in load_csv(table)])
    with pytest.raises(HamError, match=r"weights or data have changed; run evaluate again"):
        report(run.folder, visible=False)
    assert not (run.report("test") / "report.html").exists()


def test_missing_inputs_raise_with_advice(trained: Run, tmp_path: Path) -> None:
    with pytest.raises(HamError, match="not a run folder"):
        report(tmp_path)
    run = copy_run(trained, tmp_path / "run")
    shutil.rmtree(run.scores("val"), ignore_errors=True)  # written by another test on the shared run
    with pytest.raises(HamError, match=r"scores/val/summary.json: missing.*ham_keras.evaluate .*run --split val"):
        report(run.folder, name="val")
    save_json(run.summary("test"), {**load_json(run.summary("test")), "data": str(tmp_path / "gone")})
    with pytest.raises(HamError, match=r"gone: folder of the scored images is missing; .*--data ROOT"):
        report(run.folder)
    table = run.scores("test") / "per_image.csv"
    save_csv(table, load_csv(table)[1:])
    with pytest.raises(HamError, match="1 images are in one file only"):
        report(trained.folder, run.folder, data_root=load_json(trained.summary("test"))["data"], visible=False)


def test_command_reports_another_split_of_moved_images(
    trained: Run, phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy_run(trained, tmp_path / "run")
    shutil.copytree(phantoms, tmp_path / "moved")
    evaluate(run.folder, "val", visible=False)
    assert main([str(run.folder), "--set", "val", "--data", str(tmp_path / "moved")]) == 0
    page = run.report("val") / "report.html"
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    assert "<h1>run: val</h1>" in page.read_text()


def write_files(part: Path, content: str, *pictures: str) -> None:
    for name in pictures:
        (part / name).write_text(content)
    save_json(part / "report.json", {"files": ["report.html", "report.json", *pictures]})
    (part / "report.html").write_text(content)


def test_new_report_only_replaces_the_old_report(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    with new_report(folder) as part:
        write_files(part, "old", "a.png", "b.png")
    (folder / "notes.txt").write_text("mine")
    with new_report(folder) as part:
        write_files(part, "new", "a.png")
    assert {path.name for path in folder.iterdir()} == {".lock", "a.png", "notes.txt", "report.html", "report.json"}
    assert (folder / "report.html").read_text() == (folder / "a.png").read_text() == "new"


def test_interrupted_report_keeps_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "report"
    with new_report(folder) as part:
        write_files(part, "old", "a.png")
    with pytest.raises(KeyboardInterrupt), new_report(folder) as part:
        write_files(part, "half", "a.png")
        raise KeyboardInterrupt
    assert (folder / "report.html").read_text() == (folder / "a.png").read_text() == "old"
    kept = os.replace

    def killed(source: Any, target: Any) -> None:
        if Path(target) == folder / "report.html":
            raise KeyboardInterrupt
        kept(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt), new_report(folder) as part:
        write_files(part, "new", "a.png")
    assert (folder / "report.html").read_text() == "old"
    (folder / ".part").mkdir()  # left by SIGKILL
    (folder / ".part" / "a.png").write_text("half")
    monkeypatch.undo()
    with new_report(folder) as part:
        assert not list(part.iterdir())
        write_files(part, "new", "a.png")
    assert not (folder / ".part").exists()


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(HamError, match=r"contains thesis\.txt but no report"), new_report(tmp_path):
        pass
    with pytest.raises(HamError, match="not a folder"), new_report(tmp_path / "thesis.txt"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("which", [0, 1])
def test_page_is_self_contained_and_fits_a_desktop_and_a_phone(
    browser: Any, pages: tuple[Path, Path], which: int, width: int, tmp_path: Path
) -> None:
    alone = tmp_path / "mailed.html"
    shutil.copy(pages[which], alone)  # without its pictures beside it
    page = browser.new_page(viewport={"width": width, "height": 800})
    requested: list[str] = []
    logged: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: logged.append(message.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.goto(alone.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    images = page.evaluate("[...document.images].map(i => [i.naturalWidth, i.clientWidth, i.alt.length])")
    assert len(images) == len(re.findall("<img ", alone.read_text())) >= 4 - 2 * which
    assert all(natural >= 300 and 250 <= shown <= width and described for natural, shown, described in images)
    assert [url for url in requested if not url.startswith("data:")] == [alone.as_uri()]
    assert not logged
    page.close()


def test_pictures_are_valid_images(pages: tuple[Path, Path]) -> None:
    for page in pages:
        for path in page.parent.glob("*.png"):
            with Image.open(path) as picture:
                picture.load()
                assert min(picture.size) > 200
