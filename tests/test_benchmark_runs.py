"""Benchmarks at a small scale: each runs and writes consistent rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from benchmarking import run_benchmark

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
    assert [row["unit"] for row in rows] == ["s"] * 4 and all(row["ours"] > 0 for row in rows)
    imported = set(rows[-1]["imported"])
    assert {"tensorflow", "keras", "pydantic"} <= imported
    assert not {"albumentations", "ray", "gradio", "keras_tuner"} & imported
