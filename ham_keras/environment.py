"""Describe the environment of a run: versions, machine, code revision and command."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "ham-keras", "tensorflow", "keras", "keras-tuner", "segmentation-models", "albumentations",
    "opencv-python-headless", "numpy", "pillow", "scikit-image", "xgboost",
)  # fmt: skip

ABSOLUTE = re.compile(r"(?<![\w.:/~<])~?/[^\s'\",;]+")  # an absolute path in a text
CONTROL_GROUP = Path("/sys/fs/cgroup")


def describe_environment(device: str, precision: str) -> dict[str, Any]:
    """Versions, machine, code revision and command without absolute paths, for environment.json."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _without_paths(shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]])),
        "git_revision": _git_revision(),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_threads": cpu_threads(),
        "device": device,
        "precision": precision,
        "tensor_float_32": _tensor_float_32(),
    }


def without_paths(content: Any) -> Any:
    """JSON content in which absolute paths are shortened to their last part, which names no user or folder.

    What is not JSON stays as it is.
    """
    if isinstance(content, Mapping):
        return {key: without_paths(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_paths(value) for value in content]
    return _without_paths(content) if isinstance(content, str) else content


def _without_paths(text: str) -> str:
    if text.startswith(("/", "~/")):
        return Path(text).name
    try:
        words = shlex.split(text) if "/" in text else []
    except ValueError:  # an unbalanced quote
        words = []
    if any(" " in word and re.search("(^|=)~?/", word) for word in words):  # quoted, as in a command
        return shlex.join(re.sub("(^|=)~?/.*", lambda found: found[1] + Path(found[0]).name, word) for word in words)
    return ABSOLUTE.sub(lambda found: Path(found[0]).name, text)


def cpu_threads() -> int:
    """The number of cores that this process may use; in a container they can be fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory_bytes() -> int | None:
    """Memory that this process can still get, within the limit of its control group; None if it is not known."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        return None
    with suppress(OSError, ValueError):  # no limit reads "max"
        limit, used = (int((CONTROL_GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = (CONTROL_GROUP / "memory.stat").read_text().splitlines()
        cached = next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
        found.append(limit - used + cached)
    return min(found, default=None)


def _tensor_float_32() -> bool | None:
    """Whether float32 products are rounded to TensorFloat-32 on a GPU; None before TensorFlow is imported."""
    tensorflow: Any = sys.modules.get("tensorflow")
    return tensorflow and tensorflow.config.experimental.tensor_float_32_execution_enabled()


def package_version(name: str) -> str | None:
    """The version of an installed package; None if it is not installed, as ham-keras in a source tree."""
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
