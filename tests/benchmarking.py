"""Import benchmark modules and run benchmarks in tests."""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ham_keras.files import load_json

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))


def load(name: str) -> ModuleType:
    """Import a benchmark from benchmarks/, which is not a package."""
    return importlib.import_module(name)


def run_benchmark(name: str, folder: Path, *arguments: object) -> list[dict[str, Any]]:
    """Run a benchmark in a folder and return the rows that it writes."""
    line = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (path,) = (folder / "benchmarks" / "results" / name).iterdir()
    rows = load_json(path)["rows"]
    for row in rows:
        assert {"name", "ours", "peer", "ratio", "goal", "unit"} <= row.keys()
        assert all(math.isfinite(row[key]) for key in ("ours", "peer", "ratio") if row[key] is not None), row
        assert row["name"] in done.stdout
    return rows
