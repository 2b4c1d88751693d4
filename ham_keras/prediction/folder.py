"""A folder of predictions, made with one network and one post-processing: masks, overlays, probabilities, a table."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ham_keras.errors import HamError
from ham_keras.files import iterate_csv, load_json, locked, save_bytes, save_csv, save_json, save_text
from ham_keras.prediction.measurements import measure_mask
from ham_keras.prediction.pictures import draw_overlay, encode
from ham_keras.prediction.postprocessing import grey_levels
from ham_keras.prediction.rows import Row, Rows
from ham_keras.trust.columns import trust_columns

if TYPE_CHECKING:
    from ham_keras.prediction.predictor import Prediction

BESIDE_MASKS = {"overlays": ".jpg", "probabilities": ".png"}  # subfolders and their file suffixes


@dataclasses.dataclass(frozen=True)
class PredictionFolder:
    """The paths of the folder, its rows by image id, and the ids of the images to predict.

    An id may contain folders: "p1/DSC0001". By default it is the file name without suffix.

    With `probability_bits`, 8 or 16, probabilities are saved too. With `margin`, overlays show the run's margin.

    During a prediction, a journal of JSON lines records the ids it started with and each row. When it ends, even with
    an error, the rows are written to the table. If it is killed, the next prediction reads the journal. Predictions
    that replace others are made in a folder of their own, see `prediction.replacement`.

    A row's `image` is a path relative to this folder, or to `final`, where it will be.
    """

    folder: Path
    probability_bits: int | None = None
    rows: Rows = dataclasses.field(default_factory=Rows)
    begun: set[str] = dataclasses.field(default_factory=set)
    ids: dict[Path, str] = dataclasses.field(default_factory=dict)
    margin: bool = False
    final: Path | None = None

    @property
    def table(self) -> Path:
        return self.folder / "predictions.csv"

    @property
    def failures(self) -> Path:
        return self.folder / "failures.csv"

    @property
    def settings(self) -> Path:
        return self.folder / "predict.json"

    @property
    def review_table(self) -> Path:
        return self.folder / "review.csv"

    @property
    def review_sheet(self) -> Path:
        return self.folder / "review.jpg"

    @property
    def journal(self) -> Path:
        return self.folder / ".journal.jsonl"

    def mask(self, image_id: str) -> Path:
        """The only file of its id in its folder, as the ISIC challenge's scorer requires."""
        return self.folder / f"{image_id}_segmentation.png"

    def overlay(self, image_id: str) -> Path:
        return self.folder / "overlays" / f"{image_id}.jpg"

    def probability(self, image_id: str) -> Path:
        """Grey levels, 0 to 255 or 0 to 65535, at the image's size."""
        return self.folder / "probabilities" / f"{image_id}.png"

    def outputs(self, image_id: str) -> tuple[Path, ...]:
        """All files that a prediction of an image may write."""
        return self.mask(image_id), self.overlay(image_id), self.probability(image_id)

    def is_output(self, path: Path) -> bool:
        """Whether a file is, by its path, a mask, overlay, probabilities or the review sheet of this folder.

        In subfolders, a mask counts only if its overlay exists, and the others only if their mask exists.
        """
        folder, real = self.folder.resolve(), path.resolve()
        if not real.is_relative_to(folder):
            return False
        *parents, name = real.relative_to(folder).parts
        if real == self.review_sheet.resolve() and self.review_table.exists():
            return True
        beside = bool(parents) and parents[0] in BESIDE_MASKS
        suffix = BESIDE_MASKS[parents[0]] if beside else "_segmentation.png"
        image_id = "/".join([*parents[beside:], name.removesuffix(suffix)])
        counterpart = self.mask(image_id) if beside else self.overlay(image_id)
        return name.endswith(suffix) and (len(parents) == beside or counterpart.exists())

    def assign_ids(self, ids: Mapping[Path, str]) -> None:
        """Use these ids, except for a file that already has a row: it keeps that id, where its mask is."""
        by_image = {self.image_of(row): image_id for image_id, row in self.rows.items()}
        taken = set(ids.values())
        for path, image_id in ids.items():
            real = path.resolve()
            known = by_image.get(real, image_id)
            is_its_name = f"/{real.with_suffix('').as_posix()}".endswith(f"/{known}")
            self.ids[path] = known if is_its_name and known not in taken else image_id

    def id_of(self, path: Path) -> str:
        """Return an image file's id: the assigned one, or the file name without suffix."""
        return self.ids.get(path, path.stem)

    def image_of(self, row: Row) -> Path:
        """The absolute path of a row's image."""
        return Path(os.path.normpath((self.final or self.folder).resolve() / row["image"]))

    def is_done(self, path: Path) -> bool:
        """Whether the image's row and all its outputs exist.

        Raises:
            HamError: they belong to another file with the same id.
        """
        image_id = self.id_of(path)
        outputs = self.outputs(image_id) if self.probability_bits else self.outputs(image_id)[:2]
        if image_id not in self.rows or not all(path.exists() for path in outputs):
            return False
        predicted = self.image_of(self.rows[image_id])
        if predicted != path.resolve():
            raise HamError(
                f"{path}: {self.folder} holds the mask of {predicted}, another image of this name; choose another -o, "
                f"or --overwrite"
            )
        return True

    def save(self, path: Path, prediction: Prediction) -> Row:
        """Write an image's mask, overlay and, with `probability_bits`, probabilities; returns its row."""
        image_id = self.id_of(path)
        save_bytes(self.mask(image_id), encode(255 * prediction.mask, "PNG"))
        trust = trust_columns(prediction.observed, *prediction.mask.shape)
        drawn = draw_overlay(prediction, trust.get("margin_px") if self.margin else None)
        save_bytes(self.overlay(image_id), encode(drawn, "JPEG", quality=90))
        if self.probability_bits:
            levels = grey_levels(prediction.probability, self.probability_bits)
            save_bytes(self.probability(image_id), encode(levels, "PNG"))
        else:
            self.probability(image_id).unlink(missing_ok=True)
        measurements = measure_mask(prediction.mask, prediction.probability)
        image = os.path.relpath(path.resolve(), (self.final or self.folder).resolve())
        return {"image_id": image_id, "image": image, **measurements, **trust}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Lock the folder and read its rows; on exit, write the table.

        Raises:
            HamError: another process uses the folder, or its table is damaged.
        """
        with locked(self.folder, instead="choose another -o"):
            self.rows.folder = self.folder
            try:
                if self.table.exists():
                    self.rows.update((row["image_id"], row) for row in iterate_csv(self.table))
                if self.journal.exists():
                    self._read_journal()
            except (ValueError, KeyError) as error:
                raise HamError(f"{self.table}: damaged ({error!r}); choose another -o, or delete the folder") from None
            try:
                yield
            finally:
                self.save_table()
            # After an error it stays: masks may be there whose rows are not.
            self.journal.unlink(missing_ok=True)

    def _read_journal(self) -> None:
        with open(self.journal, encoding="utf-8", newline="\n") as file:
            whole = (text for text in file if text.endswith("\n"))  # the last line may be incomplete
            for line in map(json.loads, whole):
                if "begun" in line:
                    self.begun.update(line["begun"])
                else:
                    self.rows[line["image_id"]] = line

    def check_settings(self, made_with: Mapping[str, Any], paths: Sequence[Path], *, overwrite: bool) -> bool:
        """Whether the rows were made with these settings. If not, all of them must be predicted again.

        Raises:
            HamError: the settings differ, and `overwrite` is not set or the folder has rows of other images.
        """
        if not self.settings.exists():
            return True
        try:
            before = dict(load_json(self.settings))
        except ValueError as error:
            raise HamError(f"{self.settings}: damaged ({error}); choose another -o, or delete the folder") from None
        keys = made_with if "diagnosis" in made_with else {**made_with, "diagnosis": None}
        different = [key for key in keys if before.get(key) != keys[key]]
        if not different:
            return True
        found = ", ".join(f"{key} {before.get(key)}" for key in different)
        if not overwrite:
            raise HamError(f"{self.folder}: holds predictions made with {found}; choose another -o, or --overwrite")
        others = self.rows.keys() - {self.id_of(path) for path in paths}
        if others:
            raise HamError(
                f"{self.folder}: holds {len(others)} predictions of other images made with {found}, which --overwrite "
                f"would not replace; choose another -o"
            )
        return False

    def check_free(self, paths: Sequence[Path]) -> None:
        """Raise a HamError if an output of these images is taken by a file that no prediction has written."""
        for image_id in map(self.id_of, paths):
            existing = next((path for path in self.outputs(image_id) if path.exists()), None)
            if existing is not None and image_id not in self.rows and image_id not in self.begun:
                raise HamError(f"{existing}: exists and was not written by predict; move it away, or choose another -o")

    def start(self, made_with: Mapping[str, Any], paths: Sequence[Path]) -> None:
        """Start predicting these images, whose rows and outputs, of an interrupted prediction, are deleted."""
        ids = [self.id_of(path) for path in paths]
        for image_id in ids:
            self.rows.pop(image_id, None)
        self.save_table()  # with the other rows of the former journal
        save_text(self.journal, json.dumps({"begun": ids}) + "\n")
        for image_id in ids:
            self.discard(image_id)
        save_json(self.settings, made_with)

    def discard(self, image_id: str) -> None:
        """Delete the outputs of an image."""
        for path in self.outputs(image_id):
            path.unlink(missing_ok=True)

    def add(self, row: Row) -> None:
        """Record the row of an image after its outputs are written."""
        self.rows[row["image_id"]] = row
        with open(self.journal, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def save_table(self) -> None:
        if self.rows:
            save_csv(self.table, (self.rows[image_id] for image_id in sorted(self.rows)))
        else:
            self.table.unlink(missing_ok=True)
