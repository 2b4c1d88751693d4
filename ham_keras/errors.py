"""Errors that a user can fix, warnings, and how a command starts and ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path


class HamError(Exception):
    """A user's fault: names the file or the config key, what was expected and what to do.

    Commands print it as one line and exit with status 2; a programmer's fault keeps its traceback.
    """


class SettingError(HamError):
    """A config key whose value does not fit this machine, this data or another value."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key


class DivergedError(HamError):
    """The loss or a weight is not a finite number; `reason` says which, and where in the training."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}: {advice}")
        self.reason = reason


def shown(path: object) -> str:
    """A path, or a line that names one, as text that can be printed: bytes of a name that are not UTF-8 as \\xNN."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def warn(line: str) -> None:
    """Print a warning to standard error."""
    print(f"warning: {shown(line)}", file=sys.stderr)


def program(command: str) -> str:
    """What starts this command in this process, for usage lines: `ham-keras train` or `python -m ham_keras.train`."""
    started = Path(sys.argv[0])
    if started.name == "ham-keras":
        return f"ham-keras {command}"
    if started.parts[-2:] == ("ham_keras", "__main__.py"):
        return f"python -m ham_keras {command}"
    return f"python -m ham_keras.{command}"


def run_command(command: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None = None) -> None:
    """Run a command's `main` and exit: 0 or its own status, 2 after a user's fault, 130 after Ctrl-C.

    A file that cannot be opened or written is a user's fault, too.
    """
    try:
        status = command(argv)
    except HamError as error:
        print(f"error: {shown(error)}", file=sys.stderr)
        status = 2
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {shown(error.filename)}: {error.strerror}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.exit(status or 0)
