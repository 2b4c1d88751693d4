"""List the package's commands, or print what each says of itself as Markdown.

python -m ham_keras.commands
python -m ham_keras.commands --reference    # docs/reference/commands.md
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ham_keras.errors import run_command

PACKAGE = Path(__file__).parent
WIDTH = 100  # of help texts in characters, whatever the terminal's


def find_commands() -> dict[str, str]:
    """Module name to the first line of its docstring, of every module that ends as a command does."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if text.rstrip().endswith("run_command(main)"):
            name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
            found[name] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return found


def help_text(command: str) -> str:
    """What `--help` of this command prints."""
    environment = {**os.environ, "COLUMNS": str(WIDTH)}
    line = [sys.executable, "-m", command, "--help"]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout


def reference(texts: Mapping[str, str]) -> str:
    """The page of help texts by command."""
    head = "# Commands\n\nWritten by `python -m ham_keras.commands --reference`: what each says with `--help`.\n"
    return head + "".join(f"\n## {name}\n\n```text\n{text.strip()}\n```\n" for name, text in texts.items())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ham_keras.commands", description="List the package's commands.")
    parser.add_argument("--reference", action="store_true", help="print the help of each as Markdown")
    args = parser.parse_args(argv)
    commands = find_commands()
    if args.reference:
        print(reference({name: help_text(name) for name in commands}), end="")
    else:
        for name, first_line in commands.items():
            print(f"python -m {name:24}  {first_line}")
    return 0


if __name__ == "__main__":
    run_command(main)
