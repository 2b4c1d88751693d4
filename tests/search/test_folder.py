"""The folder of a search: roles, locks and configs of the processes that use it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ham_keras.config import parse_config, parse_config_as
from ham_keras.errors import HamError
from ham_keras.runs import load_run, open_run
from ham_keras.search.folder import SearchFolder, open_search, role
from ham_keras.search.space import TuneConfig

NAMES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")


def tune_config(folder: Path, **sections: Any) -> TuneConfig:
    return parse_config_as(TuneConfig, {"run": {"name": "tune", "dir": str(folder)}, **sections}, "tune.json")


def set_tuner_id(monkeypatch: pytest.MonkeyPatch, tuner_id: str) -> None:
    for name, value in zip(NAMES, (tuner_id, "127.0.0.1", "8000"), strict=True):
        monkeypatch.setenv(name, value)


def test_role_follows_kerastuner_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    assert role() == "alone"
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker0")
    with pytest.raises(HamError, match="KERASTUNER_ORACLE_IP: not set; chief and workers each need"):
        role()
    set_tuner_id(monkeypatch, "worker0")
    assert role() == "worker"
    set_tuner_id(monkeypatch, "chief")
    assert role() == "chief"


def test_search_continues_only_with_the_same_config(tmp_path: Path) -> None:
    with open_search(tune_config(tmp_path)) as search:
        search.trial("0000").mkdir(parents=True)
    with open_search(tune_config(tmp_path)):
        assert search.trial("0000").exists()
    other = tune_config(tmp_path, space={"train.batch_size": {"choice": [4]}})
    refused = pytest.raises(HamError, match=r"differs in space\.train\.learning_rate, .*or --overwrite to delete")
    with refused, open_search(other):
        pass
    with open_search(other, overwrite=True):
        assert not search.trials.exists() and search.config.exists()


def test_folder_of_another_kind_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "tune").mkdir()
    (tmp_path / "tune" / "config.json").write_text("{}")
    refused = pytest.raises(HamError, match=r"exists and is not a search \(it holds config.json\)")
    with refused, open_search(tune_config(tmp_path), overwrite=True):
        pass
    assert (tmp_path / "tune" / "config.json").exists()


def test_run_whose_overwriting_was_killed_is_kept_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse_config({"run": {"name": "tune", "dir": str(tmp_path)}}, "base.json")
    with open_run(config) as run:
        run.history.touch()
    monkeypatch.setattr("ham_keras.files.MovedAside.settle", lambda *_: None)  # killed in the block
    with open_run(config, overwrite=True):
        run.resume_state.touch()
    monkeypatch.undo()
    before = sorted(tmp_path.rglob("*"))
    refused = pytest.raises(HamError, match=r"is not a search \(a killed --overwrite has moved .*/\.former\.tune\)")
    with refused, open_search(tune_config(tmp_path), overwrite=True):
        pass
    assert sorted(tmp_path.rglob("*")) == before and len(before) > 4


def test_search_whose_overwriting_was_killed_is_not_touched_as_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_search(tune_config(tmp_path)) as search:
        search.trial("0000").mkdir(parents=True)
    monkeypatch.setattr("ham_keras.files.MovedAside.settle", lambda *_: None)  # killed in the block
    with open_search(tune_config(tmp_path), overwrite=True):
        search.trial("0000").mkdir(parents=True)
        search.split.touch()
    monkeypatch.undo()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(HamError, match="not a run"):
        load_run(search.folder)
    assert sorted(path for path in tmp_path.rglob("*") if path.name != ".lock") == [
        path for path in before if path.name != ".lock"
    ]


def test_each_role_is_locked_to_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tune_config(tmp_path)
    with open_search(config):
        with pytest.raises(HamError, match="another process is working on it"), open_search(config):
            pass
        set_tuner_id(monkeypatch, "worker0")
        with open_search(config):
            set_tuner_id(monkeypatch, "worker1")
            with open_search(config), pytest.raises(HamError, match="another process"), open_search(config):
                pass


def test_worker_waits_for_the_chief(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, found, waiting = tune_config(tmp_path), [], threading.Event()
    monkeypatch.setattr(
        "ham_keras.search.folder.time", SimpleNamespace(sleep=lambda _: waiting.set() or time.sleep(0.01))
    )
    set_tuner_id(monkeypatch, "worker0")

    def work() -> None:
        with open_search(config) as search:
            found.append(search)

    worker = threading.Thread(target=work)
    worker.start()
    assert waiting.wait(10) and not found
    set_tuner_id(monkeypatch, "chief")
    with open_search(config):
        worker.join(10)
    assert found == [SearchFolder(tmp_path / "tune")]
    assert "waiting for the chief" in capsys.readouterr().out
