"""Files of decoded images, shared by runs: finding, reading, and making room for them."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ham_keras.errors import SettingError

Pixels = npt.NDArray[np.uint8]


def open_cache(path: Path, size: int) -> int | None:
    """Open a cache file of this size and mark it as recently used; None if there is none.

    Once open, it can be read although another process deletes it to make room.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    if os.fstat(descriptor).st_size == size:
        with suppress(PermissionError):  # of another user
            os.utime(descriptor)
        return descriptor
    os.close(descriptor)
    return None


def make_room(folder: Path, needed: int, limit: float) -> None:
    """Delete the least recently used cache files until `needed` more bytes are within `limit`.

    A process that still reads a deleted file keeps it until it ends. Other processes may delete files meanwhile.

    Raises:
        HamError: `needed` alone is more than `limit`.
    """
    if needed > limit:
        raise SettingError(
            "data.cache_limit_gb", f"{limit / 1e9:g}, but the cache takes {needed / 1e9:.1f} GB; raise it"
        )
    files = []
    for path in folder.glob("*.uint8"):
        with suppress(FileNotFoundError):
            status = path.stat()
            files.append((status.st_mtime, path, status.st_size))
    excess = needed + sum(size for _, _, size in files) - limit
    for _, path, size in sorted(files):
        if excess <= 0:
            break
        excess -= size
        path.unlink(missing_ok=True)


def read_rows(descriptor: int, shape: tuple[int, ...]) -> Callable[[npt.NDArray[np.int64]], Pixels]:
    """A function that reads rows of this shape from an open file, which is closed with the function."""
    size = math.prod(shape)

    def fetch(indices: npt.NDArray[np.int64]) -> Pixels:
        # Not memory-mapped: mapped pages would count as memory of this process.
        data = b"".join(os.pread(descriptor, size, int(index) * size) for index in indices)
        return np.frombuffer(data, np.uint8).reshape(-1, *shape)

    # At the interpreter's end threads may still read; the system closes the file then.
    weakref.finalize(fetch, os.close, descriptor).atexit = False
    return fetch
