"""The Makefile installs what a target needs, once, in either order."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

FILES = ("Makefile", "setup.cfg", "pyproject.toml", "constraints.txt")
BASE, DEV = "--editable .", "--editable .[dev]"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., list[str]]:
    """Run make in a clone whose .venv has a python that only records; returns what pip was to install."""
    for name in FILES:
        shutil.copy(name, tmp_path)
        os.utime(tmp_path / name, (0, 0))
    program = tmp_path / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@" >> calls\ncase "$*" in *phantom*) mkdir -p data/phantoms ;; esac\n')
    program.chmod(0o755)
    calls = tmp_path / "calls"

    def make(*targets: str) -> list[str]:
        calls.write_text("")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        subprocess.run(["make", *targets], cwd=tmp_path, env=environment, check=True, capture_output=True)
        return [line[line.index("--editable") :] for line in calls.read_text().splitlines() if "--editable" in line]

    return make


def test_sample_installs_the_package_alone_and_tests_the_rest(make: Callable[..., list[str]]) -> None:
    assert make("sample") == [BASE]
    assert make("sample") == []
    assert make("test") == [DEV]
    assert make("sample", "lint") == []


def test_tests_install_what_the_sample_needs(make: Callable[..., list[str]]) -> None:
    assert make("install") == [DEV]
    assert make("sample", "test-slow") == []


def test_tests_on_a_gpu_install_its_libraries_too(make: Callable[..., list[str]]) -> None:
    assert make("test-gpu") == ["--editable .[dev,gpu]"]
    assert make("test-gpu", "sample", "test") == []


def test_changed_requirements_are_installed_again(make: Callable[..., list[str]], tmp_path: Path) -> None:
    make("install")
    for stamp in (".base", ".dev"):
        os.utime(tmp_path / ".venv" / stamp, (1, 1))
    (tmp_path / "constraints.txt").touch()
    assert make("-j", "4", "sample", "test") == [BASE, DEV]
    assert make("test", "sample") == []
