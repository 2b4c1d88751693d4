"""Move files aside until what replaces them is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ham_keras.errors import warn


@dataclass(frozen=True)
class MovedAside:
    """Files and folders of a work folder that are moved beside it while other work replaces them.

    Attributes:
        folder: the work folder.
        contents: returns the paths in it that may be moved or deleted.
    """

    folder: Path
    contents: Callable[[], Sequence[Path]]

    @property
    def moved(self) -> Path:
        """Where they are."""
        return self.folder.with_name(f".former.{self.folder.name}")

    @property
    def moving(self) -> Path:
        """Where they are while some of them are still in, or already back in, the work folder."""
        return self.folder.with_name(f".moving.{self.folder.name}")

    def exists(self) -> bool:
        return self.moved.exists() or self.moving.exists()

    def holds(self, name: str) -> bool:
        """Whether a file of this name is among what was moved aside, or still is to be."""
        return any((folder / name).exists() for folder in (self.moved, self.moving, self.folder))

    def move(self) -> None:
        self.moving.mkdir()
        for path in self.contents():
            if path.exists():
                path.rename(self.moving / path.name)
        self.moving.rename(self.moved)

    def settle(self, replaced: bool) -> None:
        """Delete what was moved if it is `replaced`; otherwise delete what replaces it, and move it back."""
        if self.moved.exists() and replaced:
            shutil.rmtree(self.moved)
        elif self.moved.exists():
            self.delete()
            self.moved.rename(self.moving)
            warn(f"{self.folder}: restored: what was to replace it ended before its first result")
        if self.moving.exists():
            for path in list(self.moving.iterdir()):
                path.rename(self.folder / path.name)
            self.moving.rmdir()

    def delete(self) -> None:
        """Delete the contents of the work folder, the last one last, so that a deletion can be repeated."""
        for path in self.contents():
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
