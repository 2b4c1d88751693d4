"""Every command's `--help`: quick, for it imports nothing heavy, and kept in the documentation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ham_keras.commands import PACKAGE, WIDTH, find_commands, main, reference

HEAVY = {"tensorflow", "keras", "keras_tuner", "segmentation_models", "matplotlib", "ray", "gradio", "pandas", "scipy"}

# As `python -m NAME --help`, and tells on the error stream what was imported for it.
HELP = """
import atexit, runpy, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
name = sys.argv[1]
sys.argv = [name, "--help"]
runpy.run_module(name, run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def helped() -> dict[str, tuple[str, set[str]]]:
    """By command: what `--help` prints, and the modules it imported."""
    found = {}
    for name in find_commands():
        environment = {**os.environ, "COLUMNS": str(WIDTH)}
        command = [sys.executable, "-c", HELP, name]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        found[name] = done.stdout, set(done.stderr.split())
    return found


def test_all_commands_are_found() -> None:
    known = {"train", "evaluate", "tune", "export", "client", "config", "data.audit", "data.phantom"}
    assert {f"ham_keras.{name}" for name in known} <= find_commands().keys()
    # What else can be started is no command: a search starts its trials itself.
    started = {path.stem for path in PACKAGE.rglob("*.py") if "__main__" in path.read_text()}
    assert started - {name.rpartition(".")[2] for name in find_commands()} == {"trial"}


@pytest.mark.parametrize("name", find_commands())
def test_help_imports_nothing_heavy(name: str, helped: dict[str, tuple[str, set[str]]]) -> None:
    text, modules = helped[name]
    assert text.startswith(f"usage: python -m {name} ")
    assert "ham_keras.errors" in modules and modules & HEAVY == set()


def test_the_reference_is_current(helped: dict[str, tuple[str, set[str]]]) -> None:
    page = reference({name: text for name, (text, _) in helped.items()})
    how = "python -m ham_keras.commands --reference > docs/reference/commands.md"
    assert Path("docs/reference/commands.md").read_text() == page, how


def test_the_list_says_what_each_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(find_commands()) and all(len(line.split("  ")[-1]) > 20 for line in lines)
    assert "python -m ham_keras.train" in lines[[*find_commands()].index("ham_keras.train")]
