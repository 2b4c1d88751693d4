"""Score a run's network on images with masks: a row for each image, and their summary, in scores/<name>/."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from ham_keras.config import Config
from ham_keras.data.images import resize_probability
from ham_keras.data.pipeline import Examples, make_eval_dataset
from ham_keras.data.records import Record
from ham_keras.data.truth import read_truth
from ham_keras.files import replacing_folder, save_csv, save_json
from ham_keras.models.loading import load_model
from ham_keras.runs import Run
from ham_keras.scores.scores import SCORES, count, score
from ham_keras.scores.summary import summarise

BATCH_SIZE = 16


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
    model: keras.Model, records: Sequence[Record], config: Config, *, visible: bool = True
) -> Iterator[tuple[dict[str, Any], Record, np.ndarray]]:
    """Yield, for each record, its row of per_image.csv, itself, and the predicted mask at native size.

    The mask is uint8 [H, W] in {0, 1}.
    """
    predict = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    resize = tf.function(resize_probability, reduce_retracing=True)
    examples = Examples(records, config.data.model_copy(update={"cache": "none"}), visible=False)
    remaining = iter(records)
    with tqdm(total=len(records), desc="scoring", unit=" images", disable=not visible) as bar, examples.explained():
        for images, masks in make_eval_dataset(examples, batch_size=BATCH_SIZE):
            for probability, small in zip(predict(images), masks.numpy(), strict=True):
                record = next(remaining)
                mask = read_truth(record)
                height, width = mask.lesion.shape
                native = resize(probability[None], height, width).numpy()[0, ..., 0] > config.score.threshold
                network = probability.numpy() > config.score.threshold
                row = {
                    "image_id": record.image_id,
                    "lesion_id": record.lesion_id,
                    "diagnosis": record.diagnosis,
                    "height_px": height,
                    "width_px": width,
                    "lesion_fraction": round(float(mask.lesion.mean()), 6),
                    "mask_repaired": int(mask.repaired),
                }
                scores = {"native": score(*count(mask.lesion, native)), "network": score(*count(small, network))}
                row |= {f"{name}_{size}": scores[size][name] for size in scores for name in SCORES}
                bar.update()
                yield row, record, native.astype(np.uint8)
