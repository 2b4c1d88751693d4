"""What a user is told: errors that can be mended, and warnings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence


class HamError(Exception):
    """A user's fault: names the file or the config key, what was expected and what to do.

    Commands print it as one line and exit with status 2; a traceback is for programmers' faults.
    """


class DivergedError(HamError):
    """The loss of a training is not a number."""


def shown(path: object) -> str:
    """A path, or a line that names one, as text that can be printed: bytes of a name that are not UTF-8 as \\xNN."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def warn(line: str) -> None:
    """Tell the user of something that goes on all the same."""
    print(f"warning: {shown(line)}", file=sys.stderr)


def run_command(command: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None = None) -> None:
    """Run a command's `main` and exit: 0 or its own status, 2 after a user's fault, 130 after Ctrl-C.

    A file that cannot be opened or written is the user's to mend, too.
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
