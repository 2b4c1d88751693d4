"""The command: what a search writes, resuming a killed search, and searches shared by workers."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ham_keras.config import load_config, parse_config_as, to_json
from ham_keras.errors import HamError
from ham_keras.files import load_csv, load_json
from ham_keras.runs import Run
from ham_keras.search import tuner as tuner_module
from ham_keras.search.folder import SearchFolder
from ham_keras.search.space import TuneConfig
from ham_keras.tune import main, tune

# Replaces training: best at a learning rate of 1e-3; the second trial fails. `block` waits for its search to end.
FAKE = """
import json, math, pathlib, sys
mode, folder = sys.argv[1], pathlib.Path(sys.argv[2], "trials", f"trial_{sys.argv[3]}")
if mode == "block":
    print("blocked", flush=True)
    sys.stdin.read()
    sys.exit()
values = json.loads((folder / "trial.json").read_text())["hyperparameters"]["values"]
jaccard = 0.8 - 0.05 * (math.log10(values["train.learning_rate"]) + 3) ** 2
epochs = int(values.get("tuner/epochs", 2))
rows = "\\n".join(f"{epoch},{jaccard},{1 / epoch}" for epoch in range(1, epochs + 1))
(folder / "history.csv").write_text(f"epoch,val_jaccard,val_loss\\n{rows}\\n")
(folder / "model.weights.h5").touch()
(folder / "resume.npz").touch()
outcome = {"val_jaccard": jaccard, "error": None, "fatal": False, "seconds": 1.5, "memory_mb": 700}
if int(sys.argv[3]) == 1:
    outcome |= {"val_jaccard": None, "error": "out of memory: OOM"}
(folder / "outcome.json").write_text(json.dumps(outcome))
"""


def tune_config(folder: Path, phantoms: Path, **sections: Any) -> TuneConfig:
    settings = {
        "run": {"name": "tune", "dir": str(folder)},
        "data": {"root": str(phantoms), "image_size": 32, "split": {"train": 0.5, "val": 0.25, "test": 0.25}},
        "model": {"backbone": "resnet18", "encoder_weights": None},
        "train": {"epochs": 2, "batch_size": 4, "precision": "float32"},
        "search": {"algorithm": "random_search", "trials": 5},
        "space": {"train.learning_rate": {"log": [1e-5, 1e-1]}, "augment.engine": {"choice": ["none", "native"]}},
        **sections,
    }
    return parse_config_as(TuneConfig, settings, "tune.json")


def save_config(folder: Path, config: TuneConfig) -> Path:
    path = folder / "tune.json"
    path.write_text(to_json(config))
    return path


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner_module, "TRIAL_COMMAND", (sys.executable, "-c", FAKE, "well"))


@pytest.mark.usefixtures("fake")
def test_outputs_of_a_search(
    phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], plotted: dict[str, list[dict[str, Any]]]
) -> None:
    search = tune(tune_config(tmp_path, phantoms))
    rows = load_csv(search.leaderboard)
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    scores = [float(row["val_jaccard"]) for row in rows[:4]]
    assert scores == sorted(scores, reverse=True)
    assert (rows[4]["status"], rows[4]["error"], rows[4]["val_jaccard"]) == ("failed", "out of memory: OOM", "")
    assert all(path.exists() for path in search.pictures)
    by_trial = sorted(rows, key=lambda row: row["trial"])
    tried = [(number, float(row["val_jaccard"])) for number, row in enumerate(by_trial) if row["val_jaccard"]]
    (objective,), (rates, engines) = (plotted[path.stem] for path in search.pictures)
    np.testing.assert_allclose(objective["points"][0], tried)
    assert (
        objective["lines"]["best so far"][1].tolist() == np.maximum.accumulate([score for _, score in tried]).tolist()
    )
    assert objective["points"][1].tolist() == [[int(rows[4]["trial"]), 0.03]]
    np.testing.assert_allclose(
        rates["points"][0], [[float(row["train.learning_rate"]), float(row["val_jaccard"])] for row in rows[:4]]
    )
    assert engines["points"][1].tolist() == [engines["points"][0][0].tolist()]  # the best one is circled
    # `train` can use the best config as it is.
    best = load_config(search.best_config)
    assert best.run.name == "tune-best" and best.data.root == str(phantoms)
    assert best.train.learning_rate == float(rows[0]["train.learning_rate"])
    assert best.augment.engine == rows[0]["augment.engine"]
    assert f"validation Jaccard {scores[0]:.4f} after 2 epochs" in best.description
    # Only the weights of the best trial are kept.
    kept = [path.parent.name for path in search.trials.rglob("*.h5")]
    assert kept == [f"trial_{rows[0]['trial']}"] and not list(search.trials.rglob("resume.npz"))
    printed = capsys.readouterr().out
    assert f"1  {rows[0]['trial']}" in printed and "1     failed: out of memory: OOM" in printed
    # Running it again does nothing.
    before = search.best_config.stat().st_mtime_ns
    assert tune(tune_config(tmp_path, phantoms)) == search
    assert "is finished; --overwrite searches again" in capsys.readouterr().out
    assert search.best_config.stat().st_mtime_ns == before


def test_search_without_a_completed_trial_raises(
    phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuner_module, "TRIAL_COMMAND", (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(HamError, match=r"none of 5 trials completed: its process exited with status 3; see .*log\.txt"):
        tune(tune_config(tmp_path, phantoms))
    assert not (tmp_path / "tune" / "best_config.json").exists()


@pytest.mark.usefixtures("fake")
def test_best_epoch_follows_a_searched_monitor(phantoms: Path, tmp_path: Path) -> None:
    space = {"train.learning_rate": {"log": [1e-5, 1e-1]}, "train.monitor": {"choice": ["jaccard", "loss"]}}
    rows = load_csv(tune(tune_config(tmp_path, phantoms, space=space)).leaderboard)
    best = {"jaccard": "1", "loss": "2"}  # the Jaccard index stays, the loss falls
    assert [row["best_epoch"] for row in rows] == [best[row["train.monitor"]] for row in rows]
    assert {row["train.monitor"] for row in rows} == best.keys()


def test_dry_run_lists_space_and_trials_and_needs_neither_data_nor_tensorflow(tmp_path: Path) -> None:
    code = "import sys; from ham_keras.tune import main; main(sys.argv[1:]); print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", code, "configs/tune.json", "--dry-run", f"run.dir={tmp_path}", "train.epochs=3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert "hyperband, at most 6 trials and 11 epochs in all" in lines
    assert "  train.learning_rate: 1e-05 to 0.01, logarithmic" in lines
    assert "  train.batch_size: one of 8, 16, 32" in lines
    assert lines[-1] == "False" and list(tmp_path.iterdir()) == []


def test_invalid_space_raises_before_data_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tune.json"
    path.write_text('{"space": {"train.lr": {"log": [1e-5, 1]}}, "data": {"root": "nowhere"}}')
    with pytest.raises(HamError, match=r"space: train\.lr: unknown key"):
        main([str(path)])


@pytest.mark.slow
def test_killed_search_is_resumed(phantoms: Path, tmp_path: Path) -> None:
    """Real training, of two architectures; killed in the second epoch of the first trial."""
    space = {"model.architecture": {"choice": ["mfsnet", "unet"]}}
    search = {"algorithm": "random_search", "trials": 2}
    model = {"backbone": "resnet18", "encoder_weights": None, "deep_supervision": True}
    path = save_config(tmp_path, tune_config(tmp_path, phantoms, search=search, space=space, model=model))
    command = [sys.executable, "-u", "-m", "ham_keras.tune", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as first:
        assert first.stdout is not None
        lines = iter(first.stdout.readline, "")
        assert any(line.startswith("epoch 1/2") for line in lines)
        first.kill()
        rest = first.stdout.read()  # returns after the trial's process, which has the same stdout, has ended
    assert "trial 0: validation" not in rest
    folder = SearchFolder(tmp_path / "tune")
    killed = load_json(folder.trial("0") / "trial.json")
    assert killed["status"] == "RUNNING"
    assert "mfsnet" in killed["hyperparameters"]["values"]["model.architecture"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("continuing after epoch 1 of 2") == 1
    rows = load_csv(folder.leaderboard)
    assert [row["epochs"] for row in rows] == ["2", "2"]
    assert {row["model.architecture"] for row in rows} == {"unet", "mfsnet"}
    assert Run(folder.trial(rows[0]["trial"])).weights.exists()


# A search with FAKE trials, in the mode in argv.
SHARED = f"""
import sys
from ham_keras.search import tuner
tuner.TRIAL_COMMAND = (sys.executable, "-c", {FAKE!r}, sys.argv.pop(1))
from ham_keras.tune import main
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_search_shared_by_a_chief_and_two_workers_survives_a_killed_worker(phantoms: Path, tmp_path: Path) -> None:
    path = save_config(tmp_path, tune_config(tmp_path, phantoms, search={"algorithm": "random_search", "trials": 6}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def start(tuner_id: str, mode: str) -> subprocess.Popen[str]:
        named = {
            "KERASTUNER_TUNER_ID": tuner_id,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": str(port),
        }
        command = [sys.executable, "-u", "-c", SHARED, mode, str(path)]
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(command, env=os.environ | named, **streams)

    chief, blocked = start("chief", "well"), start("worker0", "block")
    lines = []
    for line in iter(blocked.stdout.readline, ""):  # type: ignore[union-attr]
        lines.append(line)
        if line == "blocked\n":
            break
    taken = next(found[1] for line in lines if (found := re.match(r"trial (\d+): train", line)))
    other = start("worker1", "well")
    blocked.kill()
    blocked.communicate()
    again = start("worker0", "well")
    started = {"again": again, "other": other, "chief": chief}
    try:
        output = {name: process.communicate(timeout=300)[0] for name, process in started.items()}
    finally:
        for process in started.values():
            process.kill()
    assert (again.returncode, other.returncode, chief.returncode) == (0, 0, 0)
    assert blocked.returncode == -signal.SIGKILL
    # The restarted worker got its trial back; no trial ran twice or was lost.
    ran = {name: re.findall(r"trial (\d+): train", output[name]) for name in ("again", "other")}
    assert ran["again"][0] == taken
    assert sorted(ran["again"] + ran["other"]) == [str(number) for number in range(6)]
    search = SearchFolder(tmp_path / "tune")
    rows = load_csv(search.leaderboard)
    assert sorted(row["status"] for row in rows) == ["completed"] * 5 + ["failed"]
    assert "train the best" in output["chief"] and search.best_config.exists()
