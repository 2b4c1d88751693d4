"""Rows of a table by image id, kept in a file, since those of a million images would take more than a gigabyte."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import IO, Any

Row = dict[str, Any]


class Rows(MutableMapping[str, Row]):
    """A mapping of ids to rows, which keeps only the ids in memory. A row is JSON: it holds no tuples or arrays.

    The rows are in a file without a name, which goes with the process. `folder` is where it is; without one, it is in
    the system's folder for temporary files.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self._file: IO[bytes] | None = None
        self._places: dict[str, int] = {}  # the position of each row in the file
        self._end = 0

    def __getitem__(self, image_id: str) -> Row:
        place = self._places[image_id]
        file = self._opened()
        file.seek(place)
        return dict(json.loads(file.readline()))

    def __setitem__(self, image_id: str, row: Row) -> None:
        line = json.dumps(row).encode("ascii") + b"\n"
        file = self._opened()
        file.seek(self._end)
        file.write(line)
        self._places[image_id] = self._end
        self._end += len(line)

    def __delitem__(self, image_id: str) -> None:
        del self._places[image_id]

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115, closed with this object
        return self._file
