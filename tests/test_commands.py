"""`--help` of every command is fast and documented; the console script runs all commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ham_keras import __version__
from ham_keras.commands import PACKAGE, WIDTH, console, dispatch, find_commands, main, reference
from ham_keras.errors import HamError

HEAVY = {"tensorflow", "keras", "keras_tuner", "segmentation_models", "matplotlib", "ray", "gradio", "pandas", "scipy"}

# Like `python -m NAME --help`, but also prints the imported modules to standard error.
HELP = """
import atexit, runpy, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
name = sys.argv[1]
sys.argv = [name, "--help"]
runpy.run_module(name, run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def helped() -> dict[str, tuple[str, set[str]]]:
    """By command, the output of `--help` and the modules that it imported."""
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
    # Other modules that can be run are not commands: a search runs its trials.
    started = {path.stem for path in PACKAGE.rglob("*.py") if '__name__ == "__main__"' in path.read_text()}
    assert started - {name.rpartition(".")[2] for name in find_commands()} == {"trial", "__main__"}


@pytest.mark.parametrize("name", find_commands())
def test_help_imports_nothing_heavy(name: str, helped: dict[str, tuple[str, set[str]]]) -> None:
    text, modules = helped[name]
    assert text.startswith(f"usage: python -m {name} ")
    assert "ham_keras.errors" in modules and modules & HEAVY == set()


def test_reference_is_current(helped: dict[str, tuple[str, set[str]]]) -> None:
    page = reference({name: text for name, (text, _) in helped.items()})
    how = "python -m ham_keras.commands --reference > docs/reference/commands.md"
    assert Path("docs/reference/commands.md").read_text() == page, how


def test_list_describes_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(find_commands()) and all(len(line.split("  ")[-1]) > 20 for line in lines)
    assert "python -m ham_keras.train" in lines[[*find_commands()].index("ham_keras.train")]


def test_without_a_command_prints_the_list_and_imports_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/ham-keras"])
    for arguments in (None, [], ["-h"], ["--help"]):
        assert dispatch(arguments) == 0
        usage, _, *lines, _, more = capsys.readouterr().out.splitlines()
        assert usage == "usage: ham-keras COMMAND ..." and more == "Run ham-keras COMMAND --help for details."
        assert [line.split()[:2] for line in lines] == [
            ["ham-keras", name.removeprefix("ham_keras.")] for name in find_commands()
        ]
    code = "import sys; from ham_keras.commands import dispatch; dispatch([]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name for name in done.stderr.split() if name.startswith("ham_keras")} == {
        "ham_keras", "ham_keras.commands", "ham_keras.errors", "ham_keras.startup",
    }  # fmt: skip
    assert set(done.stderr.split()) & {*HEAVY, "numpy", "pydantic"} == set()


@pytest.mark.parametrize(
    ("started", "usage"),
    [
        ("/somewhere/bin/ham-keras", "usage: ham-keras NAME "),
        ("/somewhere/ham_keras/__main__.py", "usage: python -m ham_keras NAME "),
        ("/somewhere/pytest", "usage: python -m ham_keras.NAME "),
    ],
)
def test_usage_shows_how_the_command_was_started(
    started: str, usage: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    for name in find_commands():
        command = name.removeprefix("ham_keras.")
        with pytest.raises(SystemExit) as ended:
            dispatch([command, "--help"])
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(usage.replace("NAME", command))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("trian", "did you mean train?"),
        ("phantom", "did you mean data.phantom?"),
        ("data.audits", "did you mean data.audit?"),
        ("Evaluate", "did you mean evaluate?"),
        ("xyz", "expected one of app, calibrate, client, "),
        ("errors", "expected one of app, calibrate, client, "),  # a module, not a command
        ("../train", "did you mean train?"),
        ("data/audit", "did you mean data.audit?"),
        ("..train", "did you mean train?"),
        ("", "expected one of app, calibrate, client, "),
    ],
)
def test_unknown_command_suggests_a_similar_one(name: str, hint: str) -> None:
    with pytest.raises(HamError) as raised:
        dispatch([name, "--help"])
    assert str(raised.value).startswith(f"{name}: no such command; {hint}")


def test_console_script_exits_with_the_status_of_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, status in ((["--version"], 0), (["config", "base"], 0), (["config", "nosuch"], 2), (["nosuch"], 2)):
        monkeypatch.setattr(sys, "argv", ["ham-keras", *arguments])
        with pytest.raises(SystemExit) as ended:
            console()
        assert ended.value.code == status
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{__version__}\n{{\n") and '"name": "base"' in printed.out
    assert [line.partition(": ")[2].partition(":")[0] for line in printed.err.splitlines()] == ["nosuch", "nosuch"]


def test_python_m_ham_keras_is_the_console_script() -> None:
    command = [sys.executable, "-m", "ham_keras"]
    done = subprocess.run([*command, "config", "tune"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: tune: search: unknown key")
    assert subprocess.check_output([*command, "--version"], text=True) == f"{__version__}\n"


def test_no_text_says_to_install_the_package_from_an_index() -> None:
    """`pip install ham_keras` would install whatever somebody registers under that name."""
    texts = [
        *PACKAGE.rglob("*.py"),
        *Path().glob("*.md"),
        *Path("docs").rglob("*.md"),
        *Path("benchmarks").glob("*.py"),
    ]
    lines = [line for path in texts for line in path.read_text().splitlines() if "pip install" in line]
    assert len(lines) >= 6
    assert [line for line in lines if re.search(r"pip install.*\bham[-_]keras", line, re.IGNORECASE)] == []
