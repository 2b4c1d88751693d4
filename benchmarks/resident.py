"""Resident set size (RSS) of processes in MB of 2**20 bytes, from Linux' /proc.

RSS counts shared pages in each process, so a sum over processes is an upper bound.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any


def rss_mb(pid: int | str = "self") -> float:
    """Current RSS of a process."""
    return _status(pid)["VmRSS"]


def peak_rss_mb(pid: int | str = "self") -> float:
    """Peak RSS of a process since it started."""
    return _status(pid)["VmHWM"]


def descendants(pid: int) -> list[int]:
    """Return the ids of the running child processes of a process, and of their children."""
    found, waiting = [], [pid]
    while waiting:
        for file in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # the process has ended
                children = [int(word) for word in file.read_text().split()]
                found += children
                waiting += children
    return found


class PeakWatch(contextlib.AbstractContextManager["PeakWatch"]):
    """Measures a process and its descendants every half second inside a `with` block.

    Attributes:
        largest_mb: the highest peak of a single process.
        together_mb: the highest sum over all processes.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.largest_mb = self.together_mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            together = 0.0
            for pid in (self.pid, *descendants(self.pid)):
                with contextlib.suppress(OSError, KeyError):  # the process has ended
                    status = _status(pid)
                    together += status["VmRSS"]
                    self.largest_mb = max(self.largest_mb, status["VmHWM"])
            self.together_mb = max(self.together_mb, together)


def _status(pid: int | str) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {
        name: int(value.split()[0]) / 1024
        for name, _, value in (line.partition(":") for line in lines)
        if name.startswith("Vm")
    }
