"""List the package's commands, or print what each says of itself as Markdown.

python -m ham_keras.commands
python -m ham_keras.commands --reference    # docs/reference/commands.md

The console script `ham-keras COMMAND ...` is here too: `ham-keras train base` is `python -m ham_keras.train base`.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ham_keras.errors import HamError, program, run_command

PACKAGE = Path(__file__).parent
WIDTH = 100  # of help texts in characters, whatever the terminal's


def find_commands() -> dict[str, str]:
    """Module name to the first line of its docstring, of every module that ends as a command does."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if is_command(path):
            name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
            text = path.read_text(encoding="utf-8")
            found[name] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return found


def is_command(path: Path) -> bool:
    """Whether a module ends as a command does."""
    return path.is_file() and path.read_text(encoding="utf-8").rstrip().endswith("run_command(main)")


def list_commands() -> str:
    """A line for each command: how it is started, and what it does."""
    started = {program(name.removeprefix("ham_keras.")): first_line for name, first_line in find_commands().items()}
    width = max(map(len, started))
    return "\n".join(f"{command:{width}}  {first_line}" for command, first_line in started.items())


def help_text(command: str) -> str:
    """What `--help` of this command prints."""
    environment = {**os.environ, "COLUMNS": str(WIDTH)}
    line = [sys.executable, "-m", command, "--help"]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout


def reference(texts: Mapping[str, str]) -> str:
    """The page of help texts by command."""
    head = (
        "# Commands\n\nWritten by `python -m ham_keras.commands --reference`: what each says with `--help`. "
        "`ham-keras train` is the\nsame as `python -m ham_keras.train`, `ham-keras data.audit` as "
        "`python -m ham_keras.data.audit`.\n"
    )
    return head + "".join(f"\n## {name}\n\n```text\n{text.strip()}\n```\n" for name, text in texts.items())


def dispatch(argv: Sequence[str] | None = None) -> int | None:
    """Run the command that the first argument names with the others; without any, list the commands.

    Raises:
        HamError: there is no such command.
    """
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(f"usage: {program('COMMAND')} ...\n\n{list_commands()}\n\n{program('COMMAND')} --help says more.")
        return 0
    if name == "--version":
        from ham_keras import __version__

        print(__version__)
        return 0
    if "/" in name or not is_command(PACKAGE / f"{name.replace('.', '/')}.py"):
        raise HamError(f"{name}: no such command; {_known_commands(name)}")
    return importlib.import_module(f"ham_keras.{name}").main(arguments)


def _known_commands(name: str) -> str:
    """The command that was meant: its name or the last part of it is nearly this one; else all of them."""
    commands = [command.removeprefix("ham_keras.") for command in find_commands()]
    meant = {command.rpartition(".")[2]: command for command in commands} | {each: each for each in commands}
    near = difflib.get_close_matches(name.lower(), meant, 1)
    return f"did you mean {meant[near[0]]}?" if near else f"known are {', '.join(commands)}"


def console() -> None:
    """The console script `ham-keras`."""
    run_command(dispatch)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=program("commands"), description="List the package's commands.")
    parser.add_argument("--reference", action="store_true", help="print the help of each as Markdown")
    args = parser.parse_args(argv)
    if args.reference:
        print(reference({name: help_text(name) for name in find_commands()}), end="")
    else:
        print(list_commands())
    return 0


if __name__ == "__main__":
    run_command(main)
