"""Run folders: which configs can resume a run, and what is deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ham_keras.config import Config, parse_config
from ham_keras.errors import DamagedFileError, HamError, NewerVersionError
from ham_keras.files import load_json, save_json
from ham_keras.runs import Run, load_run, open_run, with_data_root
from ham_keras.runs.history import best_row


def config(tmp_path: Path, **sections: Any) -> Any:
    return parse_config({"run": {"name": "a", "dir": str(tmp_path)}} | sections, "test")


def test_same_config_opens_the_same_run_and_description_is_ignored(tmp_path: Path) -> None:
    with open_run(config(tmp_path)) as first:
        first.history.touch()
    with open_run(config(tmp_path, description="another word")) as second:
        assert second == first and second.history.exists()
    assert load_run(first.folder)[1] == config(tmp_path)


def test_renamed_run_can_be_opened(tmp_path: Path) -> None:
    with open_run(config(tmp_path)) as first:
        first.history.touch()
    first.folder.rename(tmp_path / "b")
    with open_run(config(tmp_path, run={"name": "b", "dir": str(tmp_path)})) as second:
        assert second.history.exists()


def test_another_config_raises_with_the_key_and_advice(tmp_path: Path) -> None:
    with open_run(config(tmp_path)) as run:
        run.history.touch()
    other = config(tmp_path, train={"epochs": 3})
    different = r"differs in train\.epochs\); choose run\.name=NAME.*--overwrite"
    with pytest.raises(HamError, match=different), open_run(other):
        pass
    assert run.history.exists()
    with open_run(other, overwrite=True):
        assert not run.history.exists()
        assert load_run(run.folder)[1].train.epochs == 3


def test_untrained_run_takes_the_corrected_config(tmp_path: Path) -> None:
    with open_run(config(tmp_path, data={"root": "typo"})) as run:
        run.split.touch()
    with open_run(config(tmp_path, data={"root": "right"})):
        assert not run.split.exists()
    assert load_run(run.folder)[1].data.root == "right"


def test_run_locked_by_another_process_is_not_overwritten(tmp_path: Path) -> None:
    with open_run(config(tmp_path)) as run:
        run.history.touch()
        refused = pytest.raises(HamError, match="another process is working on it")
        with refused, open_run(config(tmp_path), overwrite=True):
            pass
        assert run.history.exists()


def test_overwrite_only_deletes_files_of_the_run(tmp_path: Path) -> None:
    with open_run(config(tmp_path)) as run:
        for path in (run.weights, run.resume_state, run.folder / "notes.txt", run.summary("test")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    with open_run(config(tmp_path), overwrite=True):
        left = {path.name for path in run.folder.iterdir()}
    assert left == {".lock", "config.json", "notes.txt"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"thesis.txt": "mine"}, r"exists and is not a run \(it holds thesis\.txt\)"),
        ({"thesis.txt": "mine", "config.json": '{"model_type": "bert"}'}, "exists and is not a run"),
    ],
)
def test_folder_with_other_files_is_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    (tmp_path / "a").mkdir()
    for name, text in files.items():
        (tmp_path / "a" / name).write_text(text)
    for overwrite in (False, True):
        refused = pytest.raises(HamError, match=message)
        with refused, open_run(config(tmp_path), overwrite=overwrite):
            pass
    for name, text in files.items():
        assert (tmp_path / "a" / name).read_text() == text


def test_load_run_raises_if_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(HamError, match="not a run folder"):
        load_run(tmp_path)


def test_run_is_finished_if_scored_and_without_resume_state(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert not run.finished
    save_json(run.summary("test"), {})
    assert run.finished
    run.resume_state.write_bytes(b"")
    assert not run.finished


def test_order_of_precedence_of_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HAM10000_ROOT", raising=False)
    with pytest.raises(HamError, match=r"set data\.root=FOLDER or HAM10000_ROOT.*data\.download.*make sample"):
        with_data_root(config(tmp_path))
    (tmp_path / "data" / "ham10000").mkdir(parents=True)
    assert with_data_root(config(tmp_path)).data.root == str(tmp_path / "data" / "ham10000")
    monkeypatch.setenv("HAM10000_ROOT", str(tmp_path / "elsewhere"))
    with pytest.raises(HamError, match=r"HAM10000_ROOT: .*elsewhere: no such data folder"):
        with_data_root(config(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "named").mkdir()
    assert with_data_root(config(tmp_path)).data.root == str(tmp_path / "elsewhere")
    assert with_data_root(config(tmp_path, data={"root": "named"})).data.root == str(tmp_path / "named")


def filled(tmp_path: Path, **sections: Any) -> tuple[Run, dict[str, bytes]]:
    """A run with some files, and their content."""
    with open_run(config(tmp_path, **sections)) as run:
        for path in (run.history, run.weights, run.summary("test"), run.split):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(path.name.encode())
    return run, content(run)


def content(run: Run) -> dict[str, bytes]:
    return {str(path.relative_to(run.folder)): path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}


def test_overwritten_run_is_kept_until_the_new_one_has_an_epoch(tmp_path: Path, capsys: Any) -> None:
    run, before = filled(tmp_path)
    other = config(tmp_path, train={"epochs": 3})
    with pytest.raises(HamError, match="no encoder weights"), open_run(other, overwrite=True):
        run.resume_state.touch()
        assert load_run(run.folder)[1].train.epochs == 3 and run.resume_state.exists()  # reading does not interfere
        raise HamError("no encoder weights")
    assert content(run) == before and [path.name for path in tmp_path.iterdir()] == ["a"]
    assert "a: restored: what was to replace it" in capsys.readouterr().err
    with open_run(other, overwrite=True):
        run.history.touch()
    assert content(run).keys() == {".lock", "config.json", "history.csv"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and load_run(run.folder)[1].train.epochs == 3


def test_overwritten_run_is_back_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any rename, of moving aside or of moving back; and at any time before the first epoch."""
    run, before = filled(tmp_path)
    rename = Path.rename
    for place in range(9):
        renames: list[Path] = []

        def rename_or_die(path: Path, target: Path, place: int = place, renames: list[Path] = renames) -> Path:
            renames.append(path)
            if len(renames) > place:
                raise SystemExit
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", rename_or_die)
        with pytest.raises(SystemExit), open_run(config(tmp_path, train={"epochs": 3}), overwrite=True):
            run.resume_state.touch()
            raise SystemExit
        monkeypatch.undo()
        with open_run(config(tmp_path)):
            assert content(run) == before, place
    monkeypatch.setattr("ham_keras.files.MovedAside.settle", lambda *_: None)  # killed in the block
    with open_run(config(tmp_path, train={"epochs": 3}), overwrite=True):
        run.resume_state.touch()
    monkeypatch.undo()
    assert load_run(run.folder)[1] == config(tmp_path) and content(run) == before


def test_former_run_is_deleted_after_a_kill_in_a_later_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = filled(tmp_path)
    other = config(tmp_path, train={"epochs": 3})
    monkeypatch.setattr("ham_keras.files.MovedAside.settle", lambda *_: None)
    with open_run(other, overwrite=True):
        run.history.touch()
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 2
    with open_run(other):
        assert content(run).keys() == {".lock", "config.json", "history.csv"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_moved_data_another_cache_and_another_device_continue_the_run(tmp_path: Path) -> None:
    with open_run(config(tmp_path, data={"root": "old"})) as run:
        run.history.touch()
    moved = config(tmp_path, data={"root": "new", "cache": "none"}, train={"devices": ["GPU:1"], "jit_compile": True})
    with open_run(moved) as run:
        assert load_run(run.folder)[1].data.root == "old"  # the images are not found yet
        run.adopt(moved)
    assert load_run(run.folder)[1] == moved


def test_moved_split_file_continues_the_run_if_it_holds_the_same_split(tmp_path: Path) -> None:
    split = {"train": ["a"], "val": ["b"], "test": ["c"]}
    save_json(tmp_path / "old.json", split)
    with open_run(config(tmp_path, data={"split_file": str(tmp_path / "old.json")})) as run:
        save_json(run.split, split)
        run.history.touch()
    (tmp_path / "old.json").rename(tmp_path / "moved.json")
    with open_run(config(tmp_path, data={"split_file": str(tmp_path / "moved.json")})):
        pass
    save_json(tmp_path / "moved.json", {**split, "test": ["d"]})
    refused = pytest.raises(HamError, match=r"differs in data\.split_file")
    with refused, open_run(config(tmp_path, data={"split_file": str(tmp_path / "moved.json")})):
        pass


def test_moved_initial_weights_continue_the_run(tmp_path: Path) -> None:
    """A run that has started no longer needs them; others under the same name are no move while the old ones exist."""

    def opened(source: Path) -> Config:
        config = Config(run={"name": "a", "dir": str(tmp_path)}, model={"initial_weights": str(source)})
        with open_run(config) as run:
            run.history.write_text("epoch\n1\n")
            run.adopt(config)
            return run.load()

    old, new = tmp_path / "old" / "base", tmp_path / "new" / "base"
    old.mkdir(parents=True)
    opened(old)
    with pytest.raises(HamError, match=r"differs in model\.initial_weights"):
        opened(new)
    old.rmdir()
    with pytest.raises(HamError, match=r"differs in model\.initial_weights"):
        opened(tmp_path / "new" / "other")
    assert opened(new).model.initial_weights == str(new)


def test_finished_run_with_more_epochs_is_no_longer_finished(tmp_path: Path) -> None:
    with open_run(config(tmp_path)) as run:
        run.history.touch()
        save_json(run.summary("test"), {})
    more = config(tmp_path, train={"epochs": 40})
    with open_run(more):
        assert run.finished
        run.adopt(more)
        assert not run.finished and run.load().train.epochs == 40
    assert load_json(run.extension) == {"from": 20, "to": 40}
    with pytest.raises(HamError, match=r"differs in train\.epochs"), open_run(config(tmp_path, train={"epochs": 30})):
        pass


def test_damaged_or_newer_config_of_a_run_is_an_error_of_its_own(tmp_path: Path) -> None:
    run, _ = filled(tmp_path)
    for text, kind, message in (
        ("", DamagedFileError, r"config\.json: empty; .*; write it again: python -m ham_keras\.config CONFIG .*json"),
        ('{"version": 2, "tra', DamagedFileError, r"config\.json:1: not JSON.*write it again"),
        ('{"version": 99, "x": 1}', NewerVersionError, r"config\.json: has version 99"),
    ):
        run.config.write_text(text)
        for overwrite in (False, True):
            with pytest.raises(kind, match=message), open_run(config(tmp_path), overwrite=overwrite):
                pass
        with pytest.raises(kind, match=message):
            load_run(run.folder)
    assert run.weights.exists() and run.config.read_text() == '{"version": 99, "x": 1}'


def test_best_row_is_the_first_with_the_best_monitored_value() -> None:
    history = [
        {"epoch": epoch, "val_jaccard": jaccard, "val_loss": loss}
        for epoch, jaccard, loss in ((1, 0.6, 0.5), (2, 0.8, 0.4), (3, 0.8, 0.3), (4, 0.7, 0.3))
    ]
    assert best_row(history, "jaccard")["epoch"] == 2 and best_row(history, "loss")["epoch"] == 3
    texts = [{name: str(value) for name, value in row.items()} for row in history]
    assert best_row(texts, "loss")["epoch"] == "3"
