"""The benchmarks' harness, with worked-out values, and the benchmarks themselves, shrunk."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ham_keras.data.records import find_records
from ham_keras.runs import load_json

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def harness() -> ModuleType:
    spec = importlib.util.spec_from_file_location("side_by_side", BENCHMARKS / "side_by_side.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_show_gives_the_median_in_its_unit_to_four_digits(harness: ModuleType) -> None:
    seconds = np.array([[0.1, 0.123456], [0.3, 0.2]])  # median 0.161728
    assert harness.show(seconds, "ms") == 161.7
    assert harness.show(seconds, "s") == 0.1617
    assert harness.show(seconds, "images/s", 16) == 98.93  # 16 / 0.161728


def test_compare_divides_medians_and_takes_quartiles_over_rounds(harness: ModuleType) -> None:
    ours = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    peer = np.array([[0.2, 0.2], [0.2, 0.2], [0.9, 0.9]])
    row = harness.compare("a step", ours, peer, goal=1.5, unit="images/s", images=6, threads=2)
    assert row == {
        "name": "a step", "ours": 30.0, "peer": 30.0, "ratio": 1.0, "goal": 1.5, "unit": "images/s",
        "ratio_quartiles": [1.5, 2.5],  # of 1, 2, 3
        "ours_quartiles": [24.0, 40.0],  # 6 / 0.25 and 6 / 0.15
        "peer_quartiles": [10.91, 30.0],  # 6 / 0.55 and 6 / 0.2
        "threads": 2,
    }  # fmt: skip


def test_compare_at_a_percentile_takes_it_of_all_calls(harness: ModuleType) -> None:
    ours = np.array([[0.1, 0.2], [0.3, 0.4]])
    row = harness.compare("latency", ours, 2 * ours, goal=None, unit="ms", percentile=100)
    assert (row["ours"], row["peer"], row["ratio"]) == (400.0, 800.0, 2.0)
    assert row["ours_quartiles"] == [250.0, 350.0]  # of the rounds' slowest calls, 200 and 400


def test_measured_has_the_same_keys_without_a_peer(harness: ModuleType) -> None:
    row = harness.measured("memory", 5, goal=9, unit="MB", images=3)
    assert row == {"name": "memory", "ours": 5, "peer": None, "ratio": None, "goal": 9, "unit": "MB", "images": 3}


def test_spread_takes_items_from_first_to_last(harness: ModuleType) -> None:
    assert harness.spread(range(10), 4) == [0, 2, 5, 7]
    assert harness.spread("abc", 5) == ["a", "b", "c"]


def run_benchmark(name: str, folder: Path, *arguments: object) -> list[dict[str, Any]]:
    """The rows that a benchmark, run in this folder, writes below it."""
    line = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = load_json(folder / "benchmarks" / "results" / f"{name}.json")["rows"]
    for row in rows:
        assert {"name", "ours", "peer", "ratio", "goal", "unit"} <= row.keys()
        figures = [row["ours"], *[row[key] for key in ("peer", "ratio") if row[key] is not None]]
        assert all(math.isfinite(figure) and figure > 0 for figure in figures), row
        assert row["name"] in done.stdout
    return rows


@pytest.mark.slow
def test_input_pipeline(phantoms: Path, tmp_path: Path) -> None:
    rows = run_benchmark("input_pipeline", tmp_path, phantoms, "--images", 16, "--rounds", 1, "--without-peer")
    kinds = ("first epoch", "uncached", "cached")
    engines = ("none", "native", "albumentations")
    expected = [f"augmentation {engine}: {kind}" for engine in engines for kind in kinds]
    assert [row["name"] for row in rows] == [*expected, "augmentation native: cached, images/s"]


@pytest.mark.slow
def test_augment_threads(tmp_path: Path) -> None:
    rows = run_benchmark("augment_threads", tmp_path, "--images", 16, "--rounds", 1, "--steps")
    assert len(rows) == 4 and all(row["ratio"] for row in rows)


@pytest.mark.slow
def test_inference(tmp_path: Path) -> None:
    rows = run_benchmark("inference", tmp_path, "--rounds", 1, "--batches", 1, "--size", 32, "--without-peer")
    assert len(rows) == 2 * (5 + 1)  # five ways and a comparison of two
    by_name = {row["name"]: row["ours"] for row in rows}
    assert by_name["SavedModel: batch 1, p50"] <= by_name["SavedModel: batch 1, p99"]
    assert sum("largest_difference" in row for row in rows) == 2


@pytest.mark.slow
def test_epoch(phantoms: Path, tmp_path: Path) -> None:
    ids = [record.image_id for record in find_records(phantoms).records]
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ids[:16], "val": ids[16:20], "test": ids[20:]}))
    rows = run_benchmark("epoch", tmp_path, phantoms, split, "--epochs", 2, "--size", 32, "--without-peer")
    for first, later, whole in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        assert whole["ours"] == pytest.approx(first["ours"] + 19 * later["ours"], rel=1e-3)


@pytest.mark.slow
def test_training_step(tmp_path: Path) -> None:
    rows = run_benchmark("training_step", tmp_path, "--precision", "float32", "--rounds", 1, "--without-peer")
    assert [(row["name"], row["unit"]) for row in rows] == [("float32", "ms")]
