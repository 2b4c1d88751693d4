"""One scoring of a run: its summary and rows, the images it was made of, and their predictions drawn again."""

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
from ham_keras.errors import HamError
from ham_keras.files import load_csv, load_json
from ham_keras.runs import Run, load_run
from ham_keras.scores.summary import scored_outline

SAME = 1e-3  # batches of other images round otherwise; a pixel or two may change sides


@dataclass(frozen=True)
class Scoring:
    """What `evaluate` left in scores/<name>/, and the records that it scored.

    Attributes:
        config: the run's, with the outline of this scoring.
        summary: summary.json.
        rows: per_image.csv, by image id.
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
        """The image's Jaccard index at its mask's own size."""
        return float(self.rows[image_id]["jaccard_native"])

    def lesions(self, image_ids: Iterable[str]) -> dict[str, npt.NDArray[np.uint8]]:
        """The predicted masks of these images at their own size, uint8 [H, W] in {0, 1}.

        Raises:
            HamError: a mask does not have the Jaccard index of per_image.csv.
        """
        from ham_keras.models.loading import load_model
        from ham_keras.prediction.evaluation import evaluate_images

        records = [self.records[image_id] for image_id in dict.fromkeys(image_ids)]
        found = {}
        model = load_model(self.run, self.config)
        for row, record, lesion in evaluate_images(model, records, self.config, visible=False):
            known = self.jaccard(record.image_id)
            if abs(row["jaccard_native"] - known) > SAME:
                raise HamError(
                    f"{self.run.scores(self.name)}: {record.image_id} has Jaccard {known:.4f} there and "
                    f"{row['jaccard_native']:.4f} now: weights or data have changed; run evaluate again, "
                    f"with --name NAME"
                )
            found[record.image_id] = lesion
        return found


def load_scoring(folder: Path | str, name: str = "test", *, data_root: Path | str | None = None) -> Scoring:
    """Read scores/<name>/ of a run and find the images it was made of, where they lay then or in `data_root`.

    Raises:
        HamError: not a run, not scored, or the images are not there.
    """
    run, _ = load_run(folder)
    if not run.summary(name).exists():
        split = f" --split {name}" if name in {"test", "val", "train"} else " --name " + name
        raise HamError(
            f"{run.summary(name)}: not there; finish the training, or score the run with "
            f"`python -m ham_keras.evaluate {folder}{split}`"
        )
    summary, table = load_json(run.summary(name)), load_csv(run.scores(name) / "per_image.csv")
    root = Path(data_root or summary["data"])
    if not root.is_dir():
        raise HamError(f"{root}: the images that were scored lay there; say where they are now with --data ROOT")
    rows = {row["image_id"]: row for row in table}
    masks = summary.get("masks") or {}
    config = load_run(folder, [f"data.{key}={json.dumps(value)}" for key, value in masks.items()])[1]
    config = config.model_copy(update={"outline": scored_outline(summary)})
    known = decide_masks(find_records(root).records, config.data.repair_masks, config.data.lesion_values)
    records = select(known, list(rows), str(run.scores(name) / "per_image.csv"))
    return Scoring(run, config, name, summary, rows, {record.image_id: record for record in records})
