"""Describe the environment of a run: versions, machine, code revision and command."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "ham-keras", "tensorflow", "keras", "keras-tuner", "segmentation-models", "albumentations",
    "opencv-python-headless", "numpy", "pillow", "scikit-image", "xgboost",
)  # fmt: skip


def describe_environment(device: str, precision: str) -> dict[str, Any]:
    """Versions, machine, code revision and command, for environment.json."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "git_revision": _git_revision(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": device,
        "precision": precision,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    here = Path(__file__).parent
    try:
        command = ["git", "rev-parse", "--show-toplevel", "HEAD"]
        found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "."], cwd=here, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    top, revision = found.stdout.splitlines()
    if Path(top).resolve() != here.parent.resolve():
        return None  # installed in an environment inside another repository
    return revision + ("-modified" if changed.returncode else "")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
