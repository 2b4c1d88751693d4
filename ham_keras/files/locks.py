"""Lock a folder for one process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ham_keras.errors import HamError, warn
from ham_keras.files.temporary import MACHINE, is_running, part_of, remove_parts

LOCK = ".lock"


@contextmanager
def locked(folder: Path, name: str = LOCK, *, instead: str = "set run.name=") -> Iterator[None]:
    """Lock a folder, creating it if missing; the lock is also released when the process is killed.

    On a file system without locks, a file is created instead, with a warning. After a kill it is ignored on the same
    machine, and must be deleted on others. `instead` is what the error suggests besides waiting.

    Raises:
        HamError: another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    busy = f"{folder}: another process is working on it; wait, or {instead}"
    with open(folder / name, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HamError(busy) from None
        except OSError as error:
            held = folder / f"{name}.held"
            warn(f"{folder}: its file system has no locks ({error.strerror}); {held.name} is created instead")
            with _creating_lock(held, busy):
                remove_parts(folder)
                yield
            return
        remove_parts(folder)
        yield


@contextmanager
def _creating_lock(path: Path, busy: str) -> Iterator[None]:
    """Lock by a file that only one process can create; it holds the machine and the process id."""
    _remove_stale(path)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        raise HamError(f"{busy}; if it was killed, delete {path}") from None
    try:
        os.write(descriptor, f"{MACHINE} {os.getpid()}".encode())
        os.close(descriptor)
        yield
    finally:
        path.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    """Remove the lock of a killed process of this machine, but not one that another process has created meanwhile."""
    with suppress(OSError, ValueError):
        content = path.read_text()
        machine, pid = content.split()
        if machine == MACHINE and not is_running(int(pid)):
            aside = part_of(path)
            path.rename(aside)
            if aside.read_text() == content:
                aside.unlink()
            elif not path.exists():
                aside.rename(path)
