"""Errors that a user can fix, warnings, and the entry point of all commands."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ham_keras.startup import prepare_imports

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota or a file size limit


class HamError(Exception):
    """An error that the user can fix: names the file or config key, what was expected and what to do.

    Commands print it in one line and exit with status 2. All other exceptions keep their traceback.
    """


class SettingError(HamError):
    """A config value that does not fit this machine, the data or another value."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key


class DamagedFileError(HamError):
    """A file of ours that is empty or cut off."""


class NewerVersionError(HamError):
    """A file that a later version of ham_keras wrote."""


class OutOfMemoryError(HamError):
    """There is not enough memory; says for what, and what to set."""


class DivergedError(HamError):
    """Training diverged: the loss or a weight is not finite. `reason` says which, and when."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}: {advice}")
        self.reason = reason


def shown(path: object) -> str:
    """A path, or a message with a path, on one line of printable text.

    Bytes that are not UTF-8 become \\xNN, and control characters \\n, \\t or \\xNN.
    """
    text = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def is_utf8(path: object) -> bool:
    """Whether a path is valid UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in str(path))


def counted(count: int, one: str, many: str) -> str:
    """A number and what it counts: `counted(1, "file is", "files are")` is "1 file is"."""
    return f"{count} {one if count == 1 else many}"


def counted_of(count: int, total: int, text: str) -> str:
    """A number of a total: `counted_of(1, 3, "mask{s} {are} empty")` is "1 of 3 masks is empty"; also {have}."""
    one = count == 1
    return f"{count} of {total} " + text.format(
        s="" if total == 1 else "s", are="is" if one else "are", have="has" if one else "have"
    )


def warn(line: str) -> None:
    """Print a warning to standard error."""
    print(f"warning: {shown(line)}", file=sys.stderr)


def program(command: str) -> str:
    """How to run a command, for usage messages: `ham-keras train` or `python -m ham_keras.train`."""
    started = Path(sys.argv[0])
    if started.name == "ham-keras":
        return f"ham-keras {command}"
    if started.parts[-2:] == ("ham_keras", "__main__.py"):
        return f"python -m ham_keras {command}"
    return f"python -m ham_keras.{command}"


def _reader_has_ended() -> bool:
    """Whether standard output is a pipe without a reader; what is left in it is then discarded."""
    if sys.stdout is None:
        return False
    pipe = select.poll()
    pipe.register(sys.stdout.fileno(), 0)  # of a broken pipe, its error is always reported
    if not pipe.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes again at its end
    return True


def run_command(command: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None = None) -> None:
    """Run a command's `main` and exit with its status, with 2 after a `HamError`, or with 130 after Ctrl-C.

    A file that cannot be opened or written, a name that is not UTF-8, and a full disk, also exit with 2. If the reader
    of a pipe ends first, as `head` does, the status is 141, as of a program that SIGPIPE ends.
    """
    prepare_imports()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of any bytes in a table or a result are no error
            stream.reconfigure(errors="backslashreplace")
    try:
        status = command(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_has_ended():
            raise
        status = 141
    except HamError as error:
        print(f"error: {shown(error)}", file=sys.stderr)
        status = 2
    except UnicodeEncodeError as error:
        if is_utf8(error.object):
            raise
        print(f"error: {shown(error.object)}: not UTF-8; rename it", file=sys.stderr)
        status = 2
    except OSError as error:
        if error.filename is None and error.errno not in FULL:
            raise
        where = "a file" if error.filename is None else shown(error.filename)
        print(f"error: {where}: {error.strerror}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.exit(status or 0)
