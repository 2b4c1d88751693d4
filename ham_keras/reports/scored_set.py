"""A scored set of images of a run: its summary, rows and records, and the predicted masks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ham_keras.config import Config
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import select
from ham_keras.data.truth import read_truth
from ham_keras.errors import HamError, warn
from ham_keras.files import load_csv, load_json
from ham_keras.runs import Run, check_name, load_run
from ham_keras.runs.named import check_is_run
from ham_keras.scores.summary import scored_outline

# Other batches, devices and versions round differently, which may flip pixels at the outline: at most this fraction of
# the image, or this many of a small image.
FLIPPED_FRACTION, FLIPPED_PX = 1e-3, 10


@dataclass(frozen=True)
class ScoredSet:
    """The files that `evaluate` wrote to scores/<name>/, and the records that were scored.

    Attributes:
        config: the run's config, with the post-processing that was scored.
        summary: content of summary.json.
        rows: rows of per_image.csv, by image id.
        records: by image id, in the order of the rows.
    """

    run: Run
    config: Config
    name: str
    summary: dict[str, Any]
    rows: dict[str, dict[str, str]]
    records: dict[str, Record]

    @property
    def table(self) -> Path:
        return self.run.scores(self.name) / "per_image.csv"

    def jaccard(self, image_id: str) -> float:
        """The image's Jaccard index at its mask's size."""
        return float(self.rows[image_id]["jaccard_native"])

    def predict_masks(self, image_ids: Iterable[str]) -> dict[str, npt.NDArray[np.uint8]]:
        """Predict the masks of these images again: uint8 [H, W] in {0, 1}, at the size of the true masks.

        Warns if masks differ from the scored ones by a few pixels, by their Jaccard index.

        Raises:
            HamError: a mask differs by more, see `FLIPPED_FRACTION`.
        """
        from ham_keras.models.loading import load_model
        from ham_keras.prediction.evaluation import evaluate_images
        from ham_keras.prediction.predictor import Predictor

        records = [self.records[image_id] for image_id in dict.fromkeys(image_ids)]
        predictor = Predictor([(load_model(self.run, self.config), self.config.data)], self.config.outline)
        found, flipped = {}, []
        for row, record, mask in evaluate_images(predictor, records, visible=False):
            known = self.jaccard(record.image_id)
            union = np.count_nonzero(mask | read_truth(record).lesion.astype(np.uint8))
            pixels = round(abs(row["jaccard_native"] - known) * union)
            flipped += [pixels] if pixels else []
            if pixels > max(FLIPPED_PX, FLIPPED_FRACTION * mask.size):
                raise HamError(
                    f"{self.run.scores(self.name)}: {record.image_id} has Jaccard {known:.4f} there, but "
                    f"{row['jaccard_native']:.4f} now: weights or data have changed; run evaluate again, "
                    f"with --name NAME"
                )
            found[record.image_id] = mask
        if flipped:
            warn(
                f"{self.run.scores(self.name)}: {len(flipped)} of {len(found)} masks differ from the scored ones by up "
                f"to {max(flipped)} pixels: this machine rounds differently"
            )
        return found


def load_scored_set(folder: Path | str, name: str = "test", *, data_root: Path | str | None = None) -> ScoredSet:
    """Read scores/<name>/ of a run and find the scored images, at their original path or in `data_root`.

    Raises:
        HamError: not a run, not scored, or the images are missing.
    """
    run, _ = load_run(folder)
    check_is_run(run.folder, "report")
    check_name("--set", name)
    if not run.summary(name).exists():
        split = f" --split {name}" if name in {"test", "val", "train"} else " --name " + name
        raise HamError(
            f"{run.summary(name)}: missing; finish the training, or score the run with "
            f"`python -m ham_keras.evaluate {folder}{split}`"
        )
    summary, table = load_json(run.summary(name)), load_csv(run.scores(name) / "per_image.csv")
    root = Path(data_root or summary["data"])
    if not root.is_dir():
        raise HamError(f"{root}: folder of the scored images is missing; give the new one with --data ROOT")
    rows = {row["image_id"]: row for row in table}
    masks = summary.get("masks") or {}
    config = load_run(folder, [f"data.{key}={json.dumps(value)}" for key, value in masks.items()])[1]
    config = config.model_copy(update={"outline": scored_outline(summary)})
    known = decide_masks(find_records(root).records, config.data.repair_masks, config.data.lesion_values)
    records = select(known, list(rows), str(run.scores(name) / "per_image.csv"))
    return ScoredSet(run, config, name, summary, rows, {record.image_id: record for record in records})
