"""Score a run's network on images with masks: a row for each image, and their summary, in scores/<name>/."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from ham_keras.config import Config
from ham_keras.data.masks import resize_mask
from ham_keras.data.records import Record
from ham_keras.data.truth import read_truth
from ham_keras.errors import HamError
from ham_keras.files import replacing_folder, save_csv, save_json
from ham_keras.models.loading import load_model
from ham_keras.prediction.outline import outline_lesion
from ham_keras.prediction.predictor import Network, Segmented, Segmenter, enlarge
from ham_keras.runs import Run
from ham_keras.scores.scores import SCORES, count, score
from ham_keras.scores.summary import summarise
from ham_keras.settings import Outline


def score_run(
    run: Run,
    config: Config,
    records: Sequence[Record],
    name: str,
    made_from: Mapping[str, Any],
    *,
    save_masks: bool = False,
    visible: bool = True,
) -> dict[str, Any]:
    """Score the run's network on these records; writes scores/<name>/per_image.csv and summary.json.

    `made_from` goes into the summary and says which images these are. `save_masks` also writes
    masks/<id>_segmentation.png.

    Returns:
        the content of summary.json, see `scores.summary.summarise`.
    """
    target = run.scores(name)
    scored = score_images(load_model(run, config), records, config, visible=visible)
    if save_masks:
        with replacing_folder(target / "masks") as masks:
            rows = [_save_mask(masks, *one) for one in scored]
    else:
        rows = [row for row, _, _ in scored]
    save_csv(target / "per_image.csv", rows)
    summary = {"run": run.folder.name, "set": name, **made_from}
    summary |= summarise(rows, resamples=config.score.bootstrap_resamples)
    save_json(target / "summary.json", summary)
    return summary


def _save_mask(folder: Path, row: dict[str, Any], record: Record, lesion: np.ndarray) -> dict[str, Any]:
    Image.fromarray(255 * lesion).save(folder / f"{record.image_id}_segmentation.png")
    return row


def score_images(
    network: Network, records: Sequence[Record], config: Config, *, visible: bool = True
) -> Iterator[tuple[dict[str, Any], Record, np.ndarray]]:
    """Yield, for each record, its row of per_image.csv, itself, and the predicted mask at its mask's own size.

    The mask is uint8 [H, W] in {0, 1}, the one that `predict` writes with the same outline. See `Segmenter` for what
    a network is.

    Raises:
        HamError: names the first image or mask that cannot be read.
    """
    segmenter = Segmenter(network, config.data, config.outline)
    by_path = {record.image_path: record for record in records}

    def finish(path: Path, segmented: Segmented) -> tuple[dict[str, Any], Record, np.ndarray]:
        return _score(by_path[path], segmented, config.outline)

    with tqdm(total=len(records), desc="scoring", unit=" images", disable=not visible) as bar:
        for _, scored in segmenter.segment_files(by_path, finish):
            if isinstance(scored, HamError):
                raise scored
            bar.update()
            yield scored


def _score(record: Record, segmented: Segmented, outline: Outline) -> tuple[dict[str, Any], Record, np.ndarray]:
    mask = read_truth(record)
    height_px, width_px = mask.lesion.shape
    native = segmented.lesion
    if native.shape != mask.lesion.shape:
        native = outline_lesion(enlarge(segmented.answer, height_px, width_px), outline)
    network = outline_lesion(segmented.answer[..., 0], outline)
    row = {
        "image_id": record.image_id,
        "lesion_id": record.lesion_id,
        "diagnosis": record.diagnosis,
        "height_px": height_px,
        "width_px": width_px,
        "lesion_fraction": round(float(mask.lesion.mean()), 6),
        "mask_repaired": int(mask.repaired),
    }
    scores = {
        "native": score(*count(mask.lesion, native)),
        "network": score(*count(resize_mask(mask.lesion, *network.shape), network)),
    }
    row |= {f"{name}_{size}": scores[size][name] for size in scores for name in SCORES}
    return row, record, native
