"""Read files, write files and folders atomically, and lock folders."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ham_keras.errors import HamError

LONGEST_PART_PREFIX = len(".part-4194304.")  # of temporary names; 4194304 is Linux's highest process id


def part_of(path: Path) -> Path:
    """This process's temporary path beside `path`, with the same suffix."""
    return path.with_name(f".part-{os.getpid()}.{path.name}")


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to; it replaces `path` if the block ends without an error.

    Args:
        sync: flush the content to disk, so that a power failure leaves either the old file or the new one.

    Raises:
        OSError: names `path`, even if the system does not, e.g. on a full disk.
    """
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if sync:
            with open(part, "rb") as file:
                os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def creating_folder(path: Path) -> Iterator[Path]:
    """Yield a new, empty folder; it is renamed to `path` if the block ends without an error.

    Raises:
        OSError: `path` exists and is not empty.
    """
    part = part_of(path)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Like `creating_folder`, but replaces `path`; deletes the old folder last, so a killed process loses nothing."""
    former = path.with_name(f".former.{path.name}")
    if former.exists() and not path.exists():  # killed between the two renames below
        former.rename(path)
    with creating_folder(path) as part:
        yield part
        shutil.rmtree(former, ignore_errors=True)
        if path.exists():
            path.rename(former)
    shutil.rmtree(former, ignore_errors=True)


def remove_parts(folder: Path) -> None:
    """Delete temporary files and folders in `folder` of killed processes of this machine."""
    for part in folder.glob(".part-*"):
        try:
            os.kill(int(part.name.split(".")[1].removeprefix("part-")), 0)
        except ProcessLookupError:
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        except (ValueError, PermissionError):
            pass  # not one of our names, or another user's running process


@contextmanager
def locked(folder: Path, name: str = ".lock", *, instead: str = "set run.name=") -> Iterator[None]:
    """Lock a folder, creating it if missing; the lock is also released when the process is killed.

    `instead` is what the error suggests besides waiting.

    Raises:
        HamError: another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HamError(f"{folder}: another process is working on it; wait, or {instead}") from None
        remove_parts(folder)
        yield


def save_bytes(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write a file atomically; see `replacing`."""
    with replacing(path, sync=sync) as part:
        part.write_bytes(data)


def save_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically."""
    save_bytes(path, text.encode("utf-8"))


def save_json(path: Path, content: Any) -> None:
    """Write JSON atomically."""
    save_text(path, json.dumps(content, indent=1) + "\n")


def load_json(path: Path) -> Any:
    """Read JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def save_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same keys as a CSV with a header, atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    save_text(path, text.getvalue())


def load_csv(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV with a header."""
    with open(path, encoding="utf-8-sig", newline="") as file:  # spreadsheets write a byte order mark
        return list(csv.DictReader(file))
