"""The command: what a run writes, and that a resumed run matches an uninterrupted one."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ham_keras.config import to_json, warn_about_unused_augmentation
from ham_keras.data.phantoms.dataset import draw_phantoms
from ham_keras.data.records import find_records
from ham_keras.data.splits import choose_split
from ham_keras.errors import HamError, OutOfMemoryError
from ham_keras.experiments.single import write_report
from ham_keras.export import export
from ham_keras.files import load_csv, load_json, save_json
from ham_keras.runs import Run, load_run
from ham_keras.settings import Augment
from ham_keras.train import main, train


def weights(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None
        )
    return found


def test_run_writes_the_documented_files(trained: Run) -> None:
    left = {str(path.relative_to(trained.folder)) for path in trained.folder.rglob("*") if path.is_file()}
    assert {name for name in left if not name.startswith(("tensorboard/", "scores/", "reports/"))} == {
        ".lock", "config.json", "split.json", "environment.json", "repaired.json", "model.weights.h5", "history.csv",
        "curves.png",
    }  # fmt: skip
    assert "reports/test/report.html" in left
    assert {"scores/test/per_image.csv", "scores/test/summary.json"} <= left
    assert load_json(trained.summary("test"))["images"] == len(load_json(trained.split)["test"]) == 6
    assert load_json(trained.environment)["precision"] == "mixed_bfloat16"


def test_finished_run_is_returned_unchanged(trained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_run(trained.folder)[1]
    before = trained.weights.stat().st_mtime_ns
    assert train(config, visible=False).summary == load_json(trained.summary("test"))
    assert "is finished; --overwrite trains it again" in capsys.readouterr().out
    assert trained.weights.stat().st_mtime_ns == before
    other = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 1})})
    with pytest.raises(HamError, match=r"differs in train\.epochs"):
        train(other, visible=False)


def test_finished_run_with_moved_data_is_continued_with_more_epochs(
    trained: Run, phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained.folder, tmp_path / "more", ignore=shutil.ignore_patterns("reports"))
    shutil.copytree(phantoms, tmp_path / "moved")
    run = Run(tmp_path / "more")
    before, config = load_csv(run.history), load_run(run.folder)[1]
    settings = {"data": {"root": str(tmp_path / "moved")}, "run": {"name": "more", "dir": str(tmp_path)}}
    monkeypatch.setattr("ham_keras.experiments.single.write_report", lambda *_, **__: None)
    train(config, overrides={**settings, "train.epochs": 3}, visible=False)
    best = max(before, key=lambda row: float(row["val_jaccard"]))["epoch"]
    line = f"continuing after epoch 2 of 3: from the weights of epoch {best}, with a new optimizer and schedule"
    assert line in capsys.readouterr().out
    after = load_csv(run.history)
    for row, old in zip(after[:2], before, strict=True):
        assert {name: float(value) for name, value in row.items()} == {k: float(v) for k, v in old.items()}
    assert len(after) == 3 and run.finished and not run.extension.exists()
    assert load_run(run.folder)[1].data.root == str(tmp_path / "moved")
    environment = load_json(run.environment)
    assert environment["precision"] == "mixed_bfloat16" and len(environment["continued"]) == 1


def test_failed_report_only_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_report(Run(tmp_path / "gone"), visible=False)
    assert capsys.readouterr().err.startswith(f"warning: no report: {tmp_path}/gone: not a run folder")


def test_inverted_masks_are_reported_recorded_and_repaired(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_phantoms(tmp_path / "data", 12, 7, inverted_fraction=1, palette_fraction=0, width_px=96, height_px=64)
    run = train(tiny(data={"root": str(tmp_path / "data")}, train={"epochs": 1, "batch_size": 6}), visible=False).run
    out, printed = capsys.readouterr()
    assert " images, on CPU\n" in out and load_json(run.environment)["device"] == "CPU"
    assert "warning: 12 of 12 masks are inverted and repaired on reading (data.repair_masks), the first: " in printed
    split, rows = load_json(run.split), load_csv(run.scores("test") / "per_image.csv")
    assert load_json(run.repaired) == sorted(split["train"] + split["val"])
    facts = {image["image_id"]: image for image in load_json(tmp_path / "data" / "phantoms.json")["images"]}
    for row in rows:
        assert row["mask_repaired"] == "1"
        assert float(row["lesion_fraction"]) == pytest.approx(facts[row["image_id"]]["lesion_fraction"], abs=1e-6)
    assert "9 of training and validation, 3 of those scored" in (run.report("test") / "report.html").read_text()


def test_split_file_with_leaking_lesions_is_reported(
    tiny: Any, phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = find_records(phantoms).records
    lesions = [record.lesion_id for record in records]
    first, second, *_ = [record for record in records if lesions.count(record.lesion_id) > 1]
    other = next(record for record in records if record.lesion_id != first.lesion_id)
    assert first.lesion_id == second.lesion_id
    split = {"train": [first.image_id], "val": [other.image_id], "test": [second.image_id]}
    save_json(tmp_path / "mine.json", split)
    for group_by, warnings in (("lesion_id", 1), (None, 0)):
        config = tiny(data={"split_file": str(tmp_path / "mine.json"), "group_by": group_by})
        assert choose_split(config.data, tmp_path / f"{group_by}.json", records) == split
        line = f"lesions with images in more than one subset: 1, the first: {first.lesion_id}"
        assert capsys.readouterr().err.count(line) == warnings


def test_user_error_is_one_line_with_status_2(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ham_keras.train",
        "configs/base.json",
        f"data.root={tmp_path}",
        f"run.dir={tmp_path}",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {tmp_path}: no folder of images; expected one of: images, ham10000_")


def test_command_applies_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.json").write_text("{}")
    taken: list[Any] = []
    monkeypatch.setattr("ham_keras.train.train", lambda config, **options: taken.append((config, options)))
    for arguments in (
        ["train.epochs=7", "run.name=2024", "--overwrite"],
        ["--overwrite", "train.epochs=7", "run.name=2024"],
    ):
        assert main([str(tmp_path / "mine.json"), *arguments]) == 0
        config, options = taken.pop()
        assert (config.train.epochs, config.run.name, options) == (7, "2024", {"overwrite": True})


def test_fine_tuning_starts_from_another_run_with_another_image_size(
    trained: Run, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a negligible learning rate, the kernels stay those of the other run."""
    source = tmp_path / "source"
    shutil.copytree(trained.folder, source)
    monkeypatch.chdir(tmp_path)
    config = tiny(
        model={"initial_weights": "source", "encoder_weights": "imagenet"},
        data={"image_size": 64},
        train={"epochs": 1, "learning_rate": 1e-12, "loss": "focal"},
    )
    run = train(config, visible=False).run
    assert load_run(run.folder)[1].model.initial_weights == str(source)
    expected, found = weights(trained.weights), weights(run.weights)
    for name, value in expected.items():
        if value.ndim == 4:
            np.testing.assert_allclose(found[name], value, atol=1e-9)
    shutil.rmtree(source)  # a finished run no longer needs it
    assert train(config, visible=False).run == run


def test_test_images_that_the_initial_weights_know_are_told(
    trained: Run, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ham_keras.experiments.single.train_run", lambda *_, **__: sys.exit("enough"))
    told = "model.initial_weights: "
    for name, data, expected in (("other", {"seed": 1}, True), ("same", {"split_file": str(trained.split)}, False)):
        config = tiny(run={"name": name}, model={"initial_weights": str(trained.folder)}, data=data)
        with pytest.raises(SystemExit, match="enough"):
            train(config, visible=False)
        printed = capsys.readouterr().err
        assert (told in printed) is expected
        if expected:
            split, known = load_json(Run(tmp_path / "runs" / name).split), load_json(trained.split)
            seen = {*known["train"], *known["val"]} & {*split["test"]}  # splits are by lesion
            assert f"on the lesions of {len(seen)} of the 6 test images, whose" in printed
            assert f"data.split_file={trained.split}" in printed


def test_augmentation_without_an_engine_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    warn_about_unused_augmentation(Augment(rotation=30, gamma=0.2))
    assert "augment: rotation, gamma: not applied with engine none" in capsys.readouterr().err
    for quiet in (Augment(), Augment(engine="native", rotation=30), Augment(scale=0, flips=False)):
        warn_about_unused_augmentation(quiet)
        assert capsys.readouterr().err == ""


def test_initial_weights_keep_their_share_in_more_epochs(
    trained: Run, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those of the first start, not those that the run had when it was continued."""
    monkeypatch.setattr("ham_keras.training.checkpoint.Progress.is_better", lambda *_: True)
    options = {"model": {"initial_weights": str(trained.folder)}, "data": {"split_file": str(trained.split)}}
    rate = {"epochs": 1, "learning_rate": 1e-12}
    run = train(tiny(**options, train={**rate, "initial_share": 0.5}), visible=False).run
    with h5py.File(run.weights, "r+") as file:  # as if training had moved all kernels
        file.visititems(lambda _, item: move_kernel(item))
    train(load_run(run.folder)[1], overrides={"train.epochs": 2}, visible=False)
    first, continued = weights(trained.weights), weights(run.weights)
    for name, value in first.items():
        if value.ndim == 4:
            np.testing.assert_allclose(continued[name], value + 0.0005, atol=2e-6)


def move_kernel(item: Any) -> None:
    if isinstance(item, h5py.Dataset) and item.ndim == 4:
        item[...] = item[()] + 0.001


def test_invalid_initial_weights_raise_before_anything_is_deleted(trained: Run, tiny: Any) -> None:
    before = trained.weights.stat().st_mtime_ns
    itself = load_run(trained.folder)[1]
    for source, line in (
        (str(trained.folder), "is this run itself; choose run.name=NAME"),
        ("gone", "no such run fol"),
    ):
        model = itself.model.model_copy(update={"initial_weights": source})
        with pytest.raises(HamError, match=rf"^model\.initial_weights: .*{line}"):
            train(itself.model_copy(update={"model": model}), overwrite=True, visible=False)
    assert trained.weights.stat().st_mtime_ns == before


# Kills its own process with SIGKILL at the step, or just before writing the file, in argv.
KILLED = """
import os, signal, sys
from ham_keras.train import main
from ham_keras.training import loop, progress
place = sys.argv.pop(1)
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if place.startswith("step"):
    class Bar(progress.EpochBar):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            if f"step {self.epoch}.{batch + 1}" == place:
                die()
    loop.EpochBar = Bar
else:
    kept = os.replace
    def replace(source, target):
        if os.path.basename(target) == place and (place == "config.json" or os.path.exists(target)):
            die()
        kept(source, target)
    os.replace = replace
main(sys.argv[1:])
"""


# Much of what a step or a resume depends on.
SECTIONS: dict[str, Any] = {
    "train": {
        "epochs": 3, "ema_momentum": 0.9, "optimizer": "adamw", "clip_norm": 1.0,
        "schedule": {"name": "cosine", "warmup_epochs": 1}, "loss": "boundary_jaccard_bce",
    },
    "augment": {"engine": "native", "hairs": 0.5, "shading": 0.5, "surroundings": "skin"},
    "data": {"hair_removal": "inpaint"},
    "model": {"deep_supervision": True},
}  # fmt: skip

# Each start resumes where the previous one was killed: the third reaches epoch 2, the sixth epoch 3.
PLACES = ("config.json", "step 1.2", "model.weights.h5", "history.csv", "resume.npz", "step 3.2")


@pytest.mark.slow
def test_run_killed_repeatedly_ends_with_the_same_weights(tiny_config: Any, tmp_path: Path) -> None:
    never_killed = train(tiny_config(tmp_path / "whole", **SECTIONS), visible=False).run
    config = tiny_config(tmp_path, **SECTIONS)
    path = tmp_path / "killed.json"
    path.write_text(to_json(config))
    for place in PLACES:
        start = subprocess.run([sys.executable, "-c", KILLED, place, str(path)], capture_output=True, text=True)
        assert start.returncode == -signal.SIGKILL, place + start.stderr[-2000:]
    last = subprocess.run([sys.executable, "-m", "ham_keras.train", str(path)], capture_output=True, text=True)
    assert last.returncode == 0, last.stderr[-2000:]
    killed = Run(Path(config.run.dir) / "tiny")
    expected, found = weights(never_killed.weights), weights(killed.weights)
    assert expected.keys() == found.keys() and len(expected) > 50
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    table = Path("scores/test/per_image.csv")
    assert (killed.folder / table).read_bytes() == (never_killed.folder / table).read_bytes()
    assert not [path for path in killed.folder.rglob("*") if ".part" in path.name]
    assert (export(killed.folder, tmp_path / "export") / "saved_model.pb").exists()


def test_lack_of_memory_in_training_is_one_line_with_the_way_out(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 37.3 GiB")

    monkeypatch.setattr("ham_keras.experiments.single.train_run", fail)
    with pytest.raises(
        OutOfMemoryError, match=r"^out of memory: Unable .*; lower train\.batch_size .*data\.cache=disk"
    ):
        train(tiny(), visible=False)
