"""Benchmarks at a small scale: each runs and writes consistent rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarking import load, run_benchmark

from ham_keras.files import load_json

pytestmark = pytest.mark.benchmark


def run_alone(name: str, folder: Path, *arguments: object) -> list[dict[str, Any]]:
    """The rows of a benchmark, none of which has a peer."""
    rows = run_benchmark(name, folder, *arguments)
    assert all(row["peer"] is None and row["ratio"] is None for row in rows)
    return rows


def test_memory(phantoms: Path, tmp_path: Path) -> None:
    rows = run_alone(
        "memory", tmp_path, phantoms, "--images", 96, "--epochs", 3, "--cache", "memory", "--size", 32, "--batch", 8
    )
    imported, stepped, peak, growth = rows
    assert 100 < imported["ours"] < stepped["ours"] < peak["few_peak_mb"] + 1
    assert peak["ours"] == pytest.approx(peak["peak_mb"] - peak["few_peak_mb"], abs=1.01)
    assert len(growth["after_each_epoch_mb"]) == 3
    assert {row["goal"] for row in rows} == {None, 763, 5.0}


def test_growth(phantoms: Path, tmp_path: Path) -> None:
    rows = run_alone(
        "growth", tmp_path, phantoms, "--counts", 16, 48, "--network", "one convolution", "--sizes", 32, 64,
        "--rounds", 1, "--precision", "float32", "--without-peer",
    )  # fmt: skip
    few, many, images, small, large, pixels = rows
    assert (few["images"], many["images"], small["size_px"], large["size_px"]) == (16, 48, 32, 64)
    assert all(row["ours"] > 0 for row in (few, many, small, large))
    assert all(row["peak_mb"] > 100 for row in (few, many))
    assert images["ours"] == pytest.approx(math.log(many["ours"] / few["ours"]) / math.log(3), abs=0.001)
    assert pixels["ours"] == pytest.approx(math.log(small["ours"] / large["ours"]) / math.log(4), abs=0.001)
    assert images["goal"] == pixels["goal"] == 1.0


def test_startup(tmp_path: Path) -> None:
    rows = run_alone("startup", tmp_path, "--rounds", 1, "--commands", "ham_keras.config", "--without-peer")
    assert [row["unit"] for row in rows] == ["s"] * 11 and all(row["ours"] > 0 for row in rows)
    imported = set(rows[3]["imported"])
    assert {"tensorflow", "keras", "pydantic"} <= imported
    assert not {"albumentations", "ray", "gradio", "keras_tuner", "matplotlib", "sklearn", "pandas"} & imported


def test_phantoms_are_measured_and_told_apart(phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = load("phantoms")
    output = tmp_path / "phantoms.json"
    monkeypatch.setattr("sys.argv", ["phantoms.py", str(phantoms), "--images", "20", "--output", str(output)])
    benchmark.main()
    found = load_json(output)
    assert found["images"] == 20 and 0 <= found["auc"] <= 1
    assert all(0.5 <= row["auc"] <= 1 and len(row["phantoms"]) == 3 for row in found["measures"].values())


def test_measures_of_a_drawn_disc() -> None:
    """A dark disc of radius 40 in the middle of pale skin: no texture, all of the contrast at the edge."""
    benchmark = load("phantoms")
    y, x = np.ogrid[:192, :256]
    disc = (x - 127.5) ** 2 + (y - 95.5) ** 2 <= 40**2
    image = np.where(disc[..., None], np.uint8(60), np.uint8(200)).repeat(3, axis=2)
    found = benchmark.measure(image, disc)
    assert found["area"] == pytest.approx(np.pi * 40**2 / (192 * 256), rel=0.01)
    assert found["contrast_L"] == pytest.approx(found["edge_3"] * -1, rel=1e-4)
    assert found["off_centre"] < 0.005 and found["elongation"] == pytest.approx(1, abs=0.01)
    assert found["solidity"] > 0.97 and found["at_border"] == found["dark_lines"] == 0
    assert found["contrast_at_outline"] == pytest.approx(0, abs=1e-5)
    assert found["contrast_inside"] == pytest.approx(1, abs=1e-5)
    rows = np.random.default_rng(0).normal(0, 1, (200, 3))
    assert 0.3 < benchmark.separate(rows[:100], rows[100:]) < 0.7
    assert benchmark.separate(rows[:100], rows[100:] + 9) == 1
