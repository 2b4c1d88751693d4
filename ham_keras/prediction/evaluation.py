"""Score one run or several on images with masks: a row per image and a summary, in scores/<name>/."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from ham_keras.data.changes.condition import CLEAN, Condition
from ham_keras.data.images import read_image
from ham_keras.data.masks import resize_mask
from ham_keras.data.records import Record
from ham_keras.data.truth import read_truth
from ham_keras.errors import HamError
from ham_keras.files import load_csv, locked, replacing, replacing_folder, save_csv, save_json
from ham_keras.prediction.ensemble import Ensemble
from ham_keras.prediction.postprocessing import postprocess
from ham_keras.prediction.predictor import Prediction, Predictor, load_predictor, resize_to_image
from ham_keras.runs import Run
from ham_keras.scores.distances import hausdorff95, outline_distance
from ham_keras.scores.quality import quality_of_rows
from ham_keras.scores.scores import SCORES, count, score
from ham_keras.scores.summary import summarise
from ham_keras.settings import Outline
from ham_keras.trust.columns import trust_columns

UNCHANGED = Condition(CLEAN, 0)


def evaluate_ensemble(
    ensemble: Ensemble,
    home: Run,
    records: Sequence[Record],
    name: str,
    made_from: Mapping[str, Any],
    *,
    save_masks: bool = False,
    visible: bool = True,
) -> dict[str, Any]:
    """Score a run, or the mean of several, on these records; writes scores/<name>/per_image.csv and summary.json.

    The post-processing is that of the ensemble's config. `made_from` is added to the summary and says which images
    were scored. `save_masks` also writes masks/<id>_segmentation.png; otherwise those of a former scoring are removed
    if the scores have changed. The scores are written to the folder `home`.

    Returns:
        the content of summary.json, see `scores.summary.summarise`.

    Raises:
        HamError: an image or mask cannot be read, or another process is writing these scores.
    """
    target = home.scores(name)
    predictor = load_predictor(ensemble, ensemble.config.outline)
    with locked(target, instead="choose --name NAME"), ExitStack() as stack:
        masks = stack.enter_context(replacing_folder(target / "masks")) if save_masks else None
        rows = []
        for row, record, mask in evaluate_images(predictor, records, visible=visible):
            if masks is not None:
                _save_mask(masks, record, mask)
            rows.append(row)
        summary = {"run": ensemble.name, "set": name, **made_from}
        summary |= summarise(rows, resamples=ensemble.config.score.bootstrap_resamples)
        if quality := quality_of_rows(rows):
            summary["trust"] = quality
        stale = not save_masks and (target / "masks").exists() and _differ(target / "per_image.csv", rows)
        # All are there before the first replaces an old one.
        save_csv(stack.enter_context(replacing(target / "per_image.csv")), rows)
        save_json(stack.enter_context(replacing(target / "summary.json")), summary)
        stack.close()
        if stale:
            shutil.rmtree(target / "masks", ignore_errors=True)
    return summary


def _differ(table: Path, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the images of a per_image.csv, or their scores, are others than in these rows."""
    former = {row["image_id"]: row["jaccard_native"] for row in load_csv(table)} if table.exists() else {}
    return former != {row["image_id"]: str(row["jaccard_native"]) for row in rows}


def _save_mask(folder: Path, record: Record, mask: np.ndarray) -> None:
    path = folder / f"{record.image_id}_segmentation.png"
    path.parent.mkdir(parents=True, exist_ok=True)  # an id may contain folders
    Image.fromarray(255 * mask).save(path)


def evaluate_images(
    predictor: Predictor, records: Sequence[Record], *, condition: Condition = UNCHANGED, visible: bool = True
) -> Iterator[tuple[dict[str, Any], Record, np.ndarray]]:
    """Yield, for each record, its row of per_image.csv, the record, and the predicted mask at the true mask's size.

    The predicted mask is uint8 [H, W] in {0, 1} and equals the one that `predict` writes with the same settings.
    `condition` changes the images and true masks.

    Raises:
        HamError: an image or mask cannot be read; names the first.
    """
    by_path = {record.image_path: record for record in records}

    def finish(path: Path, prediction: Prediction) -> tuple[dict[str, Any], Record, np.ndarray]:
        return _score(by_path[path], prediction, predictor.outline, condition)

    def read(path: Path) -> np.ndarray:
        return condition.image(by_path[path].image_id, read_image(path))

    with tqdm(total=len(records), desc="scoring", unit=" images", disable=not visible) as bar:
        for _, scored in predictor.predict_files(by_path, finish, read):
            if isinstance(scored, HamError):
                raise scored
            bar.update()
            yield scored


def _score(
    record: Record, prediction: Prediction, outline: Outline, condition: Condition
) -> tuple[dict[str, Any], Record, np.ndarray]:
    truth = read_truth(record)
    lesion = condition.mask(record.image_id, truth.lesion)
    height_px, width_px = lesion.shape
    native = prediction.mask
    if native.shape != lesion.shape:
        native = postprocess(resize_to_image(prediction.shares, height_px, width_px), outline)
    network = postprocess(prediction.network_probability[..., 0], outline)
    row = {
        "image_id": record.image_id,
        "lesion_id": record.lesion_id,
        "diagnosis": record.diagnosis,
        "height_px": height_px,
        "width_px": width_px,
        "lesion_fraction": round(float(lesion.mean()), 6),
        "mask_repaired": int(truth.repaired),
        "hausdorff95_px": round(hausdorff95(lesion, native), 1),
    }
    scores = {
        "native": score(*count(lesion, native)),
        "network": score(*count(resize_mask(lesion, *network.shape), network)),
    }
    if trust := trust_columns(prediction.observed, height_px, width_px):
        row |= {**trust, "outline_distance_px": round(outline_distance(lesion, native), 1)}
    row |= {f"{name}_{size}": scores[size][name] for size in scores for name in SCORES}
    return row, record, native
