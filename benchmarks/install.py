"""What `make sample` installs, against what `make test` installs: processor seconds and disk space.

    python benchmarks/install.py [--rounds 3]

Each call makes a fresh virtual environment in a temporary folder and installs this clone into it with constraints.txt,
as the Makefile does: the base package, or with the extra `dev`. One call of each is not timed, so that pip has the
wheels in its cache and nothing is downloaded. Processor seconds are of pip and what it starts, and hardly depend on
what else the machine does, as seconds on the clock would. Prints one table and writes benchmarks/results/install/.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from side_by_side import compare, measured, save

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = {"base": "", "dev": "[dev]"}
SOURCES = ("ham_keras", "configs", "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "constraints.txt")


def install(extras: str, source: Path, folder: Path) -> tuple[float, int, int]:
    """Install into a fresh environment; returns processor seconds of pip, bytes on disk, and packages."""
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    start = processor_seconds()
    line = [*pip, "install", "--quiet", "--constraint", "constraints.txt", "--editable", f".{extras}"]
    subprocess.run(line, check=True, cwd=source)
    seconds = processor_seconds() - start
    size = sum(path.stat().st_size for path in environment.rglob("*") if path.is_file() and not path.is_symlink())
    listed = subprocess.run([*pip, "list", "--format", "freeze"], check=True, capture_output=True, text=True).stdout
    shutil.rmtree(environment)
    return seconds, size, len(listed.splitlines())


def processor_seconds() -> float:
    """Of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how long the base package and the extra dev take to install.")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, "source")
        source.mkdir()
        for each in SOURCES:
            copy = shutil.copytree if (ROOT / each).is_dir() else shutil.copy
            copy(ROOT / each, source / each)
        rounds = [
            {kind: install(extras, source, Path(name)) for kind, extras in EXTRAS.items()}
            for _ in range(1 + args.rounds)
        ]
    base, dev = (np.array([[each[kind][0]] for each in rounds[1:]]) for kind in EXTRAS)
    rows = [compare("pip install, processor time", base, dev, goal=None, unit="s")]
    for number, what, unit, scale in ((1, "disk space", "MB", 1e6), (2, "packages", "packages", 1)):
        base_size, dev_size = (round(rounds[-1][kind][number] / scale) for kind in EXTRAS)
        rows.append(measured(what, base_size, goal=None, unit=unit) | {"peer": dev_size})
    save("install", rows, {"rounds": args.rounds, "python": sys.version.split()[0]}, columns=("base", "with dev"))


if __name__ == "__main__":
    main()
