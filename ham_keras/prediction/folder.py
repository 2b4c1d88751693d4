"""A folder of predictions: masks, overlays, probabilities and a table, of one network and one outline."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.data.overlay import draw_outline
from ham_keras.errors import HamError
from ham_keras.files import load_csv, load_json, locked, save_bytes, save_csv, save_json, save_text
from ham_keras.prediction.outline import Probability, measure
from ham_keras.runs import Run
from ham_keras.settings import Outline

if TYPE_CHECKING:
    from ham_keras.prediction.predictor import Segmented

OUTLINE_FRACTION = 1 / 400  # of the image's longer side
BESIDE_MASKS = {"overlays": ".jpg", "probabilities": ".png"}  # folders, and how their files end
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The paths of such a folder, its rows by image id, and the ids of the images that are predicted.

    An id may have folders: "p1/DSC0001". An image without one has its file's name without the ending.

    With `probability_bits`, 8 or 16, the probabilities are saved too.

    While a prediction runs, a journal holds, one line of JSON each, the ids it has begun with and each row; at its
    end, however it ends, the rows become the table. What a killed one leaves in the journal is read by the next.
    """

    folder: Path
    probability_bits: int | None = None
    rows: dict[str, Row] = dataclasses.field(default_factory=dict)
    begun: set[str] = dataclasses.field(default_factory=set)
    ids: dict[Path, str] = dataclasses.field(default_factory=dict)

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
        """In the folder itself, unless the id has folders; the ISIC challenge's scorer takes no other file of an id."""
        return self.folder / f"{image_id}_segmentation.png"

    def overlay(self, image_id: str) -> Path:
        return self.folder / "overlays" / f"{image_id}.jpg"

    def probability(self, image_id: str) -> Path:
        """Grey levels, 0 to 255 or 65535, at the image's size."""
        return self.folder / "probabilities" / f"{image_id}.png"

    def products(self, image_id: str) -> tuple[Path, ...]:
        """All files that a prediction of an image may have written."""
        return self.mask(image_id), self.overlay(image_id), self.probability(image_id)

    def is_product(self, path: Path) -> bool:
        """Whether a file is, by its place and name, a mask, an overlay or probabilities of this folder.

        In folders within it a mask is one that has an overlay, and the others are those that have a mask.
        """
        folder, real = self.folder.resolve(), path.resolve()
        if not real.is_relative_to(folder):
            return False
        *parents, name = real.relative_to(folder).parts
        beside = bool(parents) and parents[0] in BESIDE_MASKS
        ending = BESIDE_MASKS[parents[0]] if beside else "_segmentation.png"
        image_id = "/".join([*parents[beside:], name.removesuffix(ending)])
        counterpart = self.mask(image_id) if beside else self.overlay(image_id)
        return name.endswith(ending) and (len(parents) == beside or counterpart.exists())

    def name(self, ids: Mapping[Path, str]) -> None:
        """Take these ids for files, but for a file that has a row keep that row's: its mask is found there."""
        by_image = {row["image"]: image_id for image_id, row in self.rows.items()}
        taken = set(ids.values())
        for path, image_id in ids.items():
            real = path.resolve()
            there = by_image.get(str(real), image_id)
            is_its_name = f"/{real.with_suffix('').as_posix()}".endswith(f"/{there}")
            self.ids[path] = there if is_its_name and there not in taken else image_id

    def id_of(self, path: Path) -> str:
        """The id of an image file: that of `name`, else its name without the ending."""
        return self.ids.get(path, path.stem)

    def holds(self, path: Path) -> bool:
        """Whether this file's row and all files that this prediction writes of it are there.

        Raises:
            HamError: they are those of another file of this name.
        """
        image_id = self.id_of(path)
        products = self.products(image_id) if self.probability_bits else self.products(image_id)[:2]
        if image_id not in self.rows or not all(product.exists() for product in products):
            return False
        there = self.rows[image_id]["image"]
        if there != str(path.resolve()):
            raise HamError(
                f"{path}: {self.folder} holds the mask of {there}, another image of this name; choose another -o, or "
                f"--overwrite"
            )
        return True

    def save(self, path: Path, segmented: Segmented) -> Row:
        """Write mask, overlay and, with `probability_bits`, probabilities of an image file; returns its row."""
        image_id = self.id_of(path)
        save_bytes(self.mask(image_id), _encode(255 * segmented.lesion, "PNG"))
        thickness_px = max(1, round(max(segmented.lesion.shape) * OUTLINE_FRACTION))
        drawn = draw_outline(segmented.image, segmented.lesion, thickness_px)
        save_bytes(self.overlay(image_id), _encode(drawn, "JPEG", quality=90))
        if self.probability_bits:
            levels = grey_levels(segmented.probability, self.probability_bits)
            save_bytes(self.probability(image_id), _encode(levels, "PNG"))
        measured = measure(segmented.lesion, segmented.probability)
        return {"image_id": image_id, "image": str(path.resolve()), **measured}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder for this process, with the rows it has; at the end write the table.

        Raises:
            HamError: another process holds it, or its tables are damaged.
        """
        with locked(self.folder, instead="choose another -o"):
            try:
                if self.table.exists():
                    self.rows.update({row["image_id"]: row for row in load_csv(self.table)})
                if self.journal.exists():
                    self._read_journal()
            except (ValueError, KeyError) as error:
                raise HamError(f"{self.table}: damaged ({error!r}); choose another -o, or delete the folder") from None
            try:
                yield
            finally:
                self._save_table()
                self.journal.unlink(missing_ok=True)

    def _read_journal(self) -> None:
        *lines, _ = self.journal.read_text(encoding="utf-8").split("\n")  # the last line may be cut
        for line in map(json.loads, lines):
            if "begun" in line:
                self.begun.update(line["begun"])
            else:
                self.rows[line["image_id"]] = line

    def check_settings(self, made_with: Mapping[str, Any], paths: Sequence[Path], *, overwrite: bool) -> bool:
        """Whether the rows were made with these settings; if not, all of them are to be made anew.

        Raises:
            HamError: they were made otherwise, and `overwrite` is not set or there are some of other images.
        """
        if not self.settings.exists():
            return True
        try:
            before = dict(load_json(self.settings))
        except ValueError as error:
            raise HamError(f"{self.settings}: damaged ({error}); choose another -o, or delete the folder") from None
        different = [key for key in made_with if before.get(key) != made_with[key]]
        if not different:
            return True
        there = ", ".join(f"{key} {before.get(key)}" for key in different)
        if not overwrite:
            raise HamError(f"{self.folder}: holds predictions made with {there}; choose another -o, or --overwrite")
        others = self.rows.keys() - {self.id_of(path) for path in paths}
        if others:
            raise HamError(
                f"{self.folder}: holds {len(others)} predictions of other images made with {there}, which --overwrite "
                f"would not make anew; choose another -o"
            )
        return False

    def begin(self, made_with: Mapping[str, Any], paths: Sequence[Path]) -> None:
        """Get ready to write these images' files: what is there of an earlier prediction of them goes.

        Raises:
            HamError: a file is there that no prediction has written.
        """
        ids = [self.id_of(path) for path in paths]
        for image_id in ids:
            there = next((path for path in self.products(image_id) if path.exists()), None)
            if there is not None and image_id not in self.rows and image_id not in self.begun:
                raise HamError(
                    f"{there}: is there already and is not this command's; move it away, or choose another -o"
                )
        for image_id in ids:
            self.rows.pop(image_id, None)
        self._save_table()  # before the masks go: a row never stands for another mask than its own
        save_text(self.journal, json.dumps({"begun": ids}) + "\n")
        for image_id in ids:
            for product in self.products(image_id):
                product.unlink(missing_ok=True)
        save_json(self.settings, made_with)

    def add(self, row: Row) -> None:
        """Note the row of an image whose mask and overlay are there."""
        self.rows[row["image_id"]] = row
        with open(self.journal, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _save_table(self) -> None:
        if self.rows:
            save_csv(self.table, [self.rows[image_id] for image_id in sorted(self.rows)])
        else:
            self.table.unlink(missing_ok=True)


def describe_settings(run: Run, outline: Outline, probability_bits: int | None = None) -> dict[str, Any]:
    """What predictions depend on: the network, known by its weights, the outline, and what is saved."""
    digest = hashlib.sha256(run.weights.read_bytes()).hexdigest()
    used = {"run": run.folder.resolve().name, "weights_sha256": digest, **outline.model_dump()}
    return {**used, "probability_bits": probability_bits}


def grey_levels(probability: Probability, bits: int) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Probabilities, 0..1, as whole numbers from 0 to 2**bits - 1: uint8 or uint16."""
    return np.rint(probability.astype(np.float64) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def _encode(pixels: Any, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()
