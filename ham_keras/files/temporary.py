"""Temporary files and folders: their names, and deleting those of killed processes."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import time
import zlib
from contextlib import suppress
from pathlib import Path

MACHINE = f"{zlib.crc32(socket.gethostname().encode()) & 0xFFFF:04x}"  # tells machines apart that share a folder
KEPT_CHARACTERS = len("model.weights.h5")  # of a name, so that temporary names fit wherever the name does
ABANDONED_SECONDS = 24 * 3600  # a temporary file of another machine that has not changed for so long is deleted


def part_of(path: Path) -> Path:
    """A unique temporary path of this process beside `path`, with the same suffixes."""
    return path.with_name(f".part-{os.getpid()}-{MACHINE}-{secrets.token_hex(4)}.{path.name[-KEPT_CHARACTERS:]}")


def remove_parts(folder: Path) -> None:
    """Delete temporary files and folders in `folder` of killed processes.

    Those of another machine are deleted when they have not changed for a day.
    """
    for part in folder.glob(".part-*"):
        pid, *others = part.name.split(".")[1].removeprefix("part-").split("-")
        with suppress(OSError):  # deleted meanwhile
            elsewhere = bool(others) and others[0] != MACHINE
            old = time.time() - part.stat().st_mtime > ABANDONED_SECONDS
            if pid.isdecimal() and (old if elsewhere else not is_running(int(pid))):
                shutil.rmtree(part) if part.is_dir() else part.unlink()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's process
    return True
