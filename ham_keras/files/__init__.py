"""Read files, write files and folders atomically, and lock folders."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ham_keras.files.aside import MovedAside
from ham_keras.files.locks import LOCK, locked
from ham_keras.files.temporary import part_of, remove_parts

__all__ = [
    "LOCK", "MovedAside", "creating_folder", "iterate_csv", "load_csv", "load_json", "locked", "naming",
    "part_of", "remove_parts", "replacing", "replacing_folder", "save_bytes", "save_csv", "save_json", "save_text",
]  # fmt: skip


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to; it replaces `path` if the block ends without an error.

    Args:
        sync: flush the content to disk, so that a power failure leaves either the old file or the new one.

    Raises:
        OSError: names `path`, even if the system does not, e.g. on a full disk; also if `path` is a device or a pipe.
    """
    part = part_of(path)
    try:
        with naming(path, part):
            if path.exists() and not (path.is_file() or path.is_dir()):  # renaming would replace the device itself
                raise OSError(errno.EINVAL, "is not a regular file")
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            if sync:
                _flush(part)
            os.replace(part, path)
            if sync:
                _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def naming(path: Path, part: Path | None = None) -> Iterator[None]:
    """Make an OSError of the block name `path` where it names no file, as on a full disk, or the temporary `part`."""
    try:
        yield
    except OSError as error:
        temporary = part is not None and str(error.filename).startswith(str(part))
        if error.errno is not None and (error.filename is None or temporary):
            error.filename, error.filename2 = str(path), None
        raise


def _flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk; some file systems cannot flush folders."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError) if path.is_dir() else naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def creating_folder(path: Path) -> Iterator[Path]:
    """Yield a new, empty folder; it is renamed to `path` if the block ends without an error.

    Raises:
        OSError: `path` exists and is not empty.
    """
    part = part_of(path)
    try:
        with naming(path, part):
            part.mkdir(parents=True)
            yield part
            for written in part.rglob("*"):
                _flush(written)
            part.rename(path)
            _flush(path.parent)
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


def save_bytes(path: Path, data: bytes | memoryview, *, sync: bool = True) -> None:
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


def save_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows, at least one, with the same keys as a CSV with a header, atomically; one row at a time."""
    waiting = iter(rows)
    first = next(waiting)
    with replacing(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(first), lineterminator="\n")
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(waiting)


def load_csv(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV with a header."""
    return list(iterate_csv(path))


def iterate_csv(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV with a header, one at a time."""
    with open(path, encoding="utf-8-sig", newline="") as file:  # spreadsheets write a byte order mark
        yield from csv.DictReader(file)
