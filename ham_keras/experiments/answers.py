"""A network's answers to images with masks: what is measured of them for trust.json, and their table."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tqdm import tqdm

from ham_keras.data.records import Record
from ham_keras.data.truth import read_truth
from ham_keras.errors import HamError
from ham_keras.files import load_csv, save_csv
from ham_keras.prediction.ensemble import Member, single_run
from ham_keras.prediction.postprocessing import postprocess
from ham_keras.prediction.predictor import Prediction, Predictor, load_members, resize_to_image
from ham_keras.scores.distances import distance_to, find_outline, outline_distance
from ham_keras.scores.scores import count, score
from ham_keras.trust.feature_names import FEATURES
from ham_keras.trust.features import measure
from ham_keras.trust.fitting import Answers

TRAINING_IMAGES = 1000  # for the input check
BAND_FRACTION = 1 / 32  # of the root of the image's area, on both sides of both outlines
BAND_PIXELS = 400  # drawn from the band of each image, for the temperature


@dataclass(frozen=True)
class Observed:
    """What is measured of a network's answers to n images.

    Attributes:
        image_ids: [n].
        answers: features and scores.
        encodings: float32 [n, C].
        band_probability, band_lesion: of drawn pixels near the outlines, at the masks' own size.
    """

    image_ids: list[str]
    answers: Answers
    encodings: npt.NDArray[np.float32]
    band_probability: npt.NDArray[np.float32]
    band_lesion: npt.NDArray[np.bool_]


def observe_images(member: Member, records: Sequence[Record], *, visible: bool = True) -> Observed:
    """Run a network on images and compare its masks with the true ones, at their own size.

    Raises:
        HamError: an image or mask cannot be read.
    """
    outline = member.config.outline
    predictor = _observer(member)
    by_path = {record.image_path: record for record in records}

    def finish(path: Path, prediction: Prediction) -> tuple[Any, ...]:
        truth = read_truth(by_path[path]).lesion
        probability = prediction.probability
        if probability.shape != truth.shape:
            probability = resize_to_image(prediction.shares, *truth.shape)
        mask = postprocess(probability, outline)
        band = _draw_band_pixels(by_path[path].image_id, truth, mask)
        return (
            prediction.observed["features"],
            prediction.observed["encoding"],
            score(*count(truth, mask))["jaccard"],
            outline_distance(truth, mask) / math.sqrt(truth.size),
            probability[band],
            truth[band].astype(bool),
        )

    rows = list(_run(predictor, by_path, finish, "calibrating", visible))
    features, encodings, jaccard, distance, probability, lesion = zip(*rows, strict=True)
    lesions = np.array([record.lesion_id for record in records])
    answers = Answers(np.stack(features), np.array(jaccard, float), np.array(distance, float), lesions)
    ids = [record.image_id for record in records]
    return Observed(ids, answers, np.stack(encodings), np.concatenate(probability), np.concatenate(lesion))


def encode_images(member: Member, records: Sequence[Record], *, visible: bool = True) -> npt.NDArray[np.float32]:
    """Return the encodings of at most `TRAINING_IMAGES` of these images, drawn at random: [n, C]."""
    drawn = np.random.default_rng(0).permutation(len(records))[:TRAINING_IMAGES]
    paths = [records[i].image_path for i in sorted(drawn)]
    return np.stack(
        list(_run(_observer(member), paths, lambda _, each: each.observed["encoding"], "encoding", visible))
    )


def _observer(member: Member) -> Predictor:
    outline = member.config.outline

    def observe(images: tf.Tensor, probability: tf.Tensor, encoding: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": measure(images, probability, outline.threshold), "encoding": encoding}

    return Predictor(load_members(single_run(member.run, member.config)), outline, observe)


def _run(
    predictor: Predictor,
    paths: Collection[Path],
    finish: Callable[[Path, Prediction], Any],
    what: str,
    visible: bool,
) -> Iterator[Any]:
    with tqdm(total=len(paths), desc=what, unit=" images", disable=not visible) as bar:
        for _, result in predictor.predict_files(paths, finish):
            if isinstance(result, HamError):
                raise result
            bar.update()
            yield result


def _draw_band_pixels(image_id: str, truth: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> Any:
    outlines = find_outline(truth) | find_outline(mask)
    if not outlines.any():
        return np.zeros_like(outlines)
    band = np.flatnonzero(distance_to(outlines) <= BAND_FRACTION * math.sqrt(truth.size))
    rng = np.random.default_rng(zlib.crc32(image_id.encode()))
    return np.unravel_index(rng.choice(band, min(BAND_PIXELS, len(band)), replace=False), truth.shape)


def join(parts: Sequence[Observed]) -> Observed:
    """Join the answers of several networks."""
    return Observed(
        [image_id for part in parts for image_id in part.image_ids],
        join_answers([part.answers for part in parts]),
        np.concatenate([part.encodings for part in parts]),
        np.concatenate([part.band_probability for part in parts]),
        np.concatenate([part.band_lesion for part in parts]),
    )


def join_answers(parts: Sequence[Answers]) -> Answers:
    """Join answers to several sets of images."""
    return Answers(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.jaccard for part in parts]),
        np.concatenate([part.distance for part in parts]),
        np.concatenate([part.lesions for part in parts]),
    )


def save_answers(table: Path, observed: Observed, out_of_fold: Mapping[str, npt.NDArray[np.float64]]) -> None:
    """Write a row per image: scores, out-of-fold predictions and features."""
    answers = observed.answers
    rows = []
    for i, image_id in enumerate(observed.image_ids):
        row: dict[str, Any] = {"image_id": image_id, "lesion_id": answers.lesions[i]}
        row |= {"jaccard": f"{answers.jaccard[i]:.6g}", "distance": f"{answers.distance[i]:.6g}"}
        row |= {f"out_of_fold_{name}": f"{values[i]:.6g}" for name, values in out_of_fold.items()}
        row |= {name: f"{value:.7g}" for name, value in zip(FEATURES, answers.features[i], strict=True)}
        rows.append(row)
    save_csv(table, rows)


def read_answers(table: Path) -> Answers:
    """Read the answers that `save_answers` wrote.

    Raises:
        HamError: the table is missing or damaged.
    """
    try:
        rows = load_csv(table)
        features = np.array([[row[name] for name in FEATURES] for row in rows], np.float32)
        jaccard, distance = (np.array([row[name] for row in rows], float) for name in ("jaccard", "distance"))
        return Answers(features, jaccard, distance, np.array([row["lesion_id"] for row in rows]))
    except (OSError, KeyError, ValueError) as error:
        again = f"write it again with `python -m ham_keras.calibrate {table.parent}`"
        raise HamError(f"{table}: missing or damaged ({error!r}); {again}") from None
