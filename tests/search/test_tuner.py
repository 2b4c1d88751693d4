"""The tuner: the trials it runs, the failures it survives, and the errors that end a search."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from keras_tuner.errors import FatalError

from ham_keras.config import parse_config_as, to_json
from ham_keras.files import load_json, save_text
from ham_keras.search import tuner as tuner_module
from ham_keras.search.folder import SearchFolder
from ham_keras.search.leaderboard import save_leaderboard
from ham_keras.search.space import TuneConfig, count_trials
from ham_keras.search.tuner import MAX_STARTS, ResumableOracle, SearchTuner, build_oracle

SPACE = {"train.learning_rate": {"log": [1e-5, 1e-1]}, "train.batch_size": {"choice": [8, 16, 32]}}

# Fake trial: the best rate is 1e-3, and the second trial behaves as `mode` says.
FAKE = """
import json, math, os, pathlib, signal, sys
mode, folder = sys.argv[1], pathlib.Path(sys.argv[2], "trials", f"trial_{sys.argv[3]}")
values = json.loads((folder / "trial.json").read_text())["hyperparameters"]["values"]
jaccard = 0.8 - 0.05 * (math.log10(values["train.learning_rate"]) + 3) ** 2
outcome = {"val_jaccard": jaccard, "error": None, "fatal": False}
if int(sys.argv[3]) == 1 or mode == "all fail":
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode in ("failed", "fatal", "all fail"):
        outcome |= {"val_jaccard": None, "error": "no luck", "fatal": mode == "fatal"}
(folder / "outcome.json").write_text(json.dumps(outcome))
"""


def tune_config(folder: Path, **search: Any) -> TuneConfig:
    sections = {"run": {"name": "tune", "dir": str(folder)}, "train": {"epochs": 9}, "space": SPACE, "search": search}
    return parse_config_as(TuneConfig, sections, "tune.json")


def start(folder: Path, monkeypatch: pytest.MonkeyPatch, mode: str = "well", **search: Any) -> SearchTuner:
    monkeypatch.setattr(tuner_module, "TRIAL_COMMAND", (sys.executable, "-c", FAKE, mode))
    config, place = tune_config(folder, **search), SearchFolder(folder / "tune")
    save_text(place.config, to_json(config))
    return SearchTuner(config, place)


def finish(oracle: ResumableOracle, tuner_id: str = "tuner0", status: str = "COMPLETED") -> Any:
    """Create and end the next trial; returns None if there are no more trials."""
    trial = oracle.create_trial(tuner_id)
    if trial.status != "RUNNING":
        return None
    if status == "COMPLETED":
        oracle.update_trial(trial.trial_id, {"val_jaccard": trial.hyperparameters.values["train.learning_rate"]})
    trial.status = status
    oracle.end_trial(trial)
    return trial


@pytest.mark.parametrize(("epochs", "factor", "iterations"), [(9, 3, 1), (20, 3, 1), (10, 2, 2), (1, 3, 1), (26, 3, 1)])
def test_hyperband_runs_the_announced_number_of_trials(
    tmp_path: Path, epochs: int, factor: int, iterations: int
) -> None:
    config = tune_config(tmp_path, factor=factor, iterations=iterations)
    config = config.model_copy(update={"train": config.train.model_copy(update={"epochs": epochs})})
    oracle = build_oracle(config)
    oracle._set_project_dir(str(tmp_path), "trials")
    spans = []
    while trial := finish(oracle):
        values = trial.hyperparameters.values
        spans.append(values["tuner/epochs"] - values["tuner/initial_epoch"])
    assert (len(spans), sum(spans)) == count_trials(config)


@pytest.mark.parametrize("algorithm", ["hyperband", "bayesian_optimization", "random_search"])
def test_each_algorithm_finds_the_better_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    tuner = start(tmp_path, monkeypatch, algorithm=algorithm, trials=12)
    tuner.search(verbose=0)
    best = tuner.oracle.get_best_trials()[0]
    scores = [trial.score for trial in tuner.oracle.trials.values()]
    assert best.score == max(scores) > 0.75
    assert 1e-4 < best.hyperparameters.values["train.learning_rate"] < 1e-2
    if algorithm == "hyperband":
        continued = [trial.hyperparameters.values.get("tuner/trial_id") for trial in tuner.oracle.trials.values()]
        assert continued.count(None) == 9 + 5 + 3
    else:
        assert len(scores) == 12


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("failed", "no luck"), ("killed", "its process was killed by the system (out of memory?); see")],
)
def test_failed_trial_does_not_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: str, reason: str
) -> None:
    tuner = start(tmp_path, monkeypatch, mode, algorithm="random_search", trials=4)
    tuner.search(verbose=0)
    statuses = [trial.status for _, trial in sorted(tuner.oracle.trials.items())]
    assert statuses == ["COMPLETED", "FAILED", "COMPLETED", "COMPLETED"]
    assert reason in capsys.readouterr().err


def test_consecutive_failures_do_not_end_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuner = start(tmp_path, monkeypatch, "all fail", algorithm="random_search", trials=6)
    tuner.search(verbose=0)
    assert [trial.status for trial in tuner.oracle.trials.values()] == ["FAILED"] * 6


def test_fatal_error_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuner = start(tmp_path, monkeypatch, "fatal", algorithm="hyperband")
    with pytest.raises(FatalError, match="no luck"):
        tuner.search(verbose=0)
    assert len(tuner.oracle.trials) == 2


def test_search_continues_from_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start(tmp_path, monkeypatch, algorithm="random_search", trials=5)
    done = [finish(first.oracle).trial_id for _ in range(2)]
    running = first.oracle.create_trial("tuner0")
    # A process was killed after writing a trial and before writing the list of trials.
    orphan = tmp_path / "tune" / "trials" / "trial_3"
    orphan.mkdir()
    (orphan / "trial.json").write_text(json.dumps(running.get_state() | {"trial_id": "3"}))
    second = start(tmp_path, monkeypatch, algorithm="random_search", trials=5)
    assert set(second.oracle.trials) == {*done, running.trial_id}
    again = second.oracle.create_trial("tuner0")
    assert again.trial_id == running.trial_id
    assert again.hyperparameters.values == running.hyperparameters.values
    second.search(verbose=0)
    assert [trial.status for trial in second.oracle.trials.values()] == ["COMPLETED"] * 5
    assert not list((tmp_path / "tune").rglob("*.part"))


def test_trial_that_repeatedly_ends_the_search_is_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(MAX_STARTS):
        trial = start(tmp_path, monkeypatch, algorithm="random_search", trials=2).oracle.create_trial("tuner0")
        assert trial.trial_id == "0"
    last = start(tmp_path, monkeypatch, algorithm="random_search", trials=2)
    assert last.oracle.create_trial("tuner0").trial_id == "1"
    assert last.oracle.trials["0"].status == "FAILED"
    saved = load_json(tmp_path / "tune" / "trials" / "trial_0" / "trial.json")
    assert saved["message"] == f"the search ended {MAX_STARTS} times during this trial"


def test_seed_determines_the_trials(tmp_path: Path) -> None:
    def drawn(seed: int) -> list[float]:
        oracle = build_oracle(tune_config(tmp_path, algorithm="random_search", trials=3, seed=seed))
        oracle._set_project_dir(str(tmp_path), f"trials-{seed}")
        return [finish(oracle).hyperparameters.values["train.learning_rate"] for _ in range(3)]

    assert drawn(0) == drawn(0) != drawn(1)


def test_memory_does_not_grow_with_the_number_of_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory of the search process; that of a trial is freed with its own process."""
    tuner, held = start(tmp_path, monkeypatch, algorithm="random_search", trials=20), []

    def after_trial() -> None:
        save_leaderboard(tuner.folder, tuner.config)
        gc.collect()
        held.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)

    tuner.oracle.after_trial = after_trial
    tuner.search(verbose=0)
    assert len(held) == 20
    assert held[-1] - held[4] < 40e6, str([round(one / 1e6) for one in held])


def test_hyperband_completes_all_rounds_with_failed_trials(tmp_path: Path) -> None:
    config = tune_config(tmp_path)
    oracle = build_oracle(config)
    oracle._set_project_dir(str(tmp_path), "trials")
    ended = []
    while trial := finish(oracle, status="FAILED" if len(ended) in (0, 1, 2, 14) else "COMPLETED"):
        ended.append(trial)
    assert len(ended) == count_trials(config)[0] == 23
    continued = {trial.hyperparameters.values.get("tuner/trial_id") for trial in ended} - {None}
    assert len(continued) == 6
    assert all(oracle.trials[trial_id].status == "COMPLETED" for trial_id in continued)


def test_finished_trial_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start(tmp_path, monkeypatch, algorithm="random_search", trials=3)
    done = finish(first.oracle)
    second = start(tmp_path, monkeypatch, algorithm="random_search", trials=3)
    assert second.oracle.create_trial("tuner0").trial_id != done.trial_id
