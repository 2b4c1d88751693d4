"""The folder of robustness scores: a table of rows for each condition, kept when a measurement is interrupted."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ham_keras.data.changes.condition import CLEAN, Condition, list_conditions
from ham_keras.errors import HamError, warn
from ham_keras.files import load_json, replacing, save_bytes, save_json
from ham_keras.scores.robustness import Rows

SETTINGS = "settings.json"
FREE = ("run", "data")  # of the settings: run and images may have moved; weights and ids must stay


@dataclass(frozen=True)
class RobustnessFolder:
    """The paths of a folder of robustness scores."""

    folder: Path

    @property
    def summary(self) -> Path:
        return self.folder / "summary.json"

    @property
    def conditions(self) -> Path:
        """Rows of each condition, and settings.json with what they were made from."""
        return self.folder / "conditions"

    @property
    def next(self) -> Path:
        """The conditions that will replace the others once they are complete."""
        return self.folder / ".next"

    @property
    def former(self) -> Path:
        return self.folder / ".former"

    @contextmanager
    def opened(self, settings: Mapping[str, Any], *, overwrite: bool) -> Iterator[Path]:
        """Yield where to write conditions made from these settings; the folder must be locked.

        With `overwrite`, the conditions that are written replace those that exist when the block ends; after an
        interruption, the same call continues. Other conditions stay if they were made from the same settings.

        Raises:
            HamError: the folder has conditions of other settings.
        """
        if self.former.exists() and not self.conditions.exists():  # killed between the two renames below
            self.former.rename(self.conditions)
        place = self.next if overwrite and self.conditions.exists() else self.conditions
        if place == self.next and place.exists() and _differences(place, settings):
            shutil.rmtree(place)
        if place.exists() and (different := _differences(place, settings)):
            raise HamError(
                f"{self.folder}: holds scores made with {different}; --overwrite replaces them when the new ones "
                f"are there, or choose --name NAME for other data"
            )
        place.mkdir(exist_ok=True)
        if not (place / SETTINGS).exists():
            save_json(place / SETTINGS, settings)
        yield place
        if place == self.next:
            self._keep_others(settings)
            shutil.rmtree(self.former, ignore_errors=True)
            self.conditions.rename(self.former)
            place.rename(self.conditions)
        shutil.rmtree(self.former, ignore_errors=True)

    def _keep_others(self, settings: Mapping[str, Any]) -> None:
        """Copy the conditions that were not written again, or warn if they were made from other settings."""
        others = [path for path in sorted(self.conditions.glob("*.csv.gz")) if not (self.next / path.name).exists()]
        if others and (different := _differences(self.conditions, settings)):
            changes = dict.fromkeys(path.name.rpartition("-")[0] for path in others)
            warn(f"{self.folder}: the scores of {', '.join(changes)} were made with {different} and are removed")
            return
        for path in others:
            with replacing(self.next / path.name) as part:
                shutil.copy2(path, part)

    def load(self) -> tuple[Rows, dict[str, dict[int, Rows]]]:
        """The rows of the unchanged images and, by change and strength, of the others, in the catalogue's order.

        A change counts when all its strengths are there.
        """
        from ham_keras.data.changes.catalogue import CHANGES

        clean = load_rows(self.conditions, Condition(CLEAN, 0))
        changes: dict[str, dict[int, Rows]] = {}
        for change in CHANGES:
            conditions = list_conditions([change])[1:]
            if all(rows_path(self.conditions, condition).exists() for condition in conditions):
                changes[change] = {each.strength: load_rows(self.conditions, each, clean) for each in conditions}
        return clean, changes


def _differences(place: Path, settings: Mapping[str, Any]) -> str:
    """In which settings the conditions of a folder differ from these, in words; "" if in none."""
    if not (place / SETTINGS).exists():
        return ""
    try:
        found = dict(load_json(place / SETTINGS))
    except (OSError, ValueError, TypeError):
        return f"unknown settings ({place / SETTINGS} is damaged)"
    keys = [key for key in {**found, **settings} if found.get(key) != settings.get(key) and key not in FREE]
    words = {
        "weights_sha256": "other weights",
        "trust_sha256": "another trust.json",
        "image_ids_sha256": "other images",
    }
    return ", ".join(words.get(key, f"{key} {found.get(key)}") for key in keys)


def rows_path(place: Path, condition: Condition) -> Path:
    """Where the rows of a condition are."""
    return place / f"{condition.name}.csv.gz"


def save_rows(place: Path, condition: Condition, rows: Sequence[Mapping[str, Any]]) -> None:
    """Save the rows of a condition, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    save_bytes(rows_path(place, condition), gzip.compress(text.getvalue().encode("utf-8"), mtime=0))


def load_rows(place: Path, condition: Condition, clean: Rows | None = None) -> dict[str, dict[str, str]]:
    """Load the rows of a condition by image id; those of a changed one must be of the images in `clean`.

    Raises:
        HamError: the file is damaged.
    """
    path = rows_path(place, condition)
    try:
        text = gzip.decompress(path.read_bytes()).decode("utf-8")
        rows = {row["image_id"]: row for row in csv.DictReader(io.StringIO(text))}
        for row in rows.values():
            float(row["jaccard_native"]), float(row["lesion_fraction"])
        if clean is not None and rows.keys() != clean.keys():
            raise ValueError("other images")
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError, KeyError, TypeError) as error:
        raise HamError(
            f"{path}: damaged ({str(error) or 'empty'}); delete it, and the same command measures it again"
        ) from None
    return rows
