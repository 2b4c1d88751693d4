"""A folder of predictions: masks, overlays and a table, of one network and one way to outline."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ham_keras.data.outline import draw_outline
from ham_keras.errors import HamError
from ham_keras.measure import Outlining, measure
from ham_keras.runs import Run, load_csv, load_json, locked, save_bytes, save_csv, save_json

if TYPE_CHECKING:
    from ham_keras.segment import Segmented

OUTLINE_FRACTION = 1 / 400  # of the image's longer side
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The paths of such a folder, and its rows by image id.

    While a prediction runs each row is added to a journal, one line of JSON; at its end, however it ends, the
    rows become the table. What a killed one leaves in the journal is read by the next.
    """

    folder: Path
    rows: dict[str, Row] = dataclasses.field(default_factory=dict)

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
    def journal(self) -> Path:
        return self.folder / ".journal.jsonl"

    def mask(self, image_id: str) -> Path:
        """Directly in the folder, for the ISIC challenge's scorer; it takes no other file that has the id."""
        return self.folder / f"{image_id}_segmentation.png"

    def overlay(self, image_id: str) -> Path:
        return self.folder / "overlays" / f"{image_id}.jpg"

    def is_product(self, path: Path) -> bool:
        """Whether a file is, by its place and name, a mask or an overlay of this folder."""
        return path.resolve() in (
            self.mask(path.stem.removesuffix("_segmentation")).resolve(),
            self.overlay(path.stem).resolve(),
        )

    def holds(self, path: Path) -> bool:
        """Whether this file's mask, overlay and row are all there.

        Raises:
            HamError: they are those of another file of this name.
        """
        image_id = path.stem
        if image_id not in self.rows or not self.mask(image_id).exists() or not self.overlay(image_id).exists():
            return False
        there = self.rows[image_id]["image"]
        if there != str(path.absolute()):
            raise HamError(
                f"{path}: {self.folder} holds the mask of {there}, another image of this name; choose another -o, or "
                f"--overwrite"
            )
        return True

    def save(self, path: Path, segmented: Segmented) -> Row:
        """Write mask and overlay of an image file; returns its row of the table."""
        image_id = path.stem
        save_bytes(self.mask(image_id), _encode(255 * segmented.lesion, "PNG"))
        thickness_px = max(1, round(max(segmented.lesion.shape) * OUTLINE_FRACTION))
        drawn = draw_outline(segmented.image, segmented.lesion, thickness_px)
        save_bytes(self.overlay(image_id), _encode(drawn, "JPEG", quality=90))
        measured = measure(segmented.lesion, segmented.probability)
        return {"image_id": image_id, "image": str(path.absolute()), **measured}

    @contextmanager
    def opened(self, made_with: Mapping[str, Any], *, overwrite: bool) -> Iterator[None]:
        """Hold the folder for this process, with the rows it has; at the end write the table.

        Raises:
            HamError: it holds predictions that were made otherwise, and `overwrite` is not set; another process
                holds it.
        """
        with locked(self.folder):
            self._read(made_with, overwrite)
            save_json(self.settings, made_with)
            try:
                yield
            finally:
                if self.rows:
                    save_csv(self.table, [self.rows[image_id] for image_id in sorted(self.rows)])
                self.journal.unlink(missing_ok=True)

    def add(self, row: Row) -> None:
        self.rows[row["image_id"]] = row
        with open(self.journal, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _read(self, made_with: Mapping[str, Any], overwrite: bool) -> None:
        if self.table.exists():
            self.rows.update({row["image_id"]: row for row in load_csv(self.table)})
        if self.journal.exists():
            *lines, _ = self.journal.read_text(encoding="utf-8").split("\n")  # the last line may be cut
            self.rows.update({row["image_id"]: row for row in map(json.loads, lines)})
        if not self.settings.exists():
            return
        before = load_json(self.settings)
        different = [key for key in made_with if before.get(key) != made_with[key]]
        if different and not overwrite:
            there = ", ".join(f"{key} {before.get(key)}" for key in different)
            raise HamError(f"{self.folder}: holds predictions made with {there}; choose another -o, or --overwrite")
        if different:
            for image_id in self.rows:
                self.mask(image_id).unlink(missing_ok=True)
                self.overlay(image_id).unlink(missing_ok=True)
            self.rows.clear()


def describe_settings(run: Run, how: Outlining) -> dict[str, Any]:
    """What predictions depend on: the network, told by its weights, and how it is used."""
    digest = hashlib.sha256(run.weights.read_bytes()).hexdigest()
    return {"run": run.folder.resolve().name, "weights_sha256": digest, **dataclasses.asdict(how)}


def _encode(pixels: Any, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()
