"""Measure how far a run's answers can be trusted, on images that it was not trained on, and write trust.json."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
from ham_keras.prediction.ensemble import Ensemble, Member, single_run
from ham_keras.prediction.postprocessing import postprocess
from ham_keras.prediction.predictor import Prediction, Predictor, load_members, resize_to_image
from ham_keras.scores.quality import measure_quality
from ham_keras.scores.scores import THRESHOLD, count, score
from ham_keras.trust.distances import distance_to, find_outline, outline_distance
from ham_keras.trust.feature_names import FEATURES
from ham_keras.trust.features import measure
from ham_keras.trust.file import VERSION, InputCheck, Trust, load_trust, save_trust
from ham_keras.trust.fitting import (
    Answers,
    conformal_quantile,
    fit_input_check,
    fit_quality,
    input_limit,
)
from ham_keras.trust.temperature import fit_temperature

TRAINING_IMAGES = 1000  # for the input check
BLURRED_SHARE = 0.01  # of the calibration images that count as out of focus
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


def calibrate_run(
    ensemble: Ensemble,
    training: Sequence[Record],
    unseen: Sequence[Record],
    table: Path,
    made_from: dict[str, Any],
    *,
    visible: bool = True,
) -> dict[str, Any]:
    """Write trust.json of a single run, and the answers it was made from to `table`.

    Args:
        training: images that the network was trained on, for the input check.
        unseen: images with masks that it was not trained on.
        made_from: describes the images.

    Returns:
        `scores.quality.measure_quality` of the unseen images, out of fold.

    Raises:
        HamError: too few lesions, or a file cannot be read.
    """
    (member,) = ensemble.members
    observed = observe_images(member, unseen, visible=visible)
    check = fit_input_check(
        encode_images(member, training, visible=visible), observed.encodings, observed.answers.lesions
    )
    return _write(ensemble, observed, check, made_from, table)


def calibrate_folds(
    ensemble: Ensemble,
    sides: Sequence[tuple[Sequence[Record], Sequence[Record]]],
    table: Path,
    made_from: dict[str, Any],
    *,
    visible: bool = True,
) -> dict[str, Any]:
    """Write trust.json of a cross-validation from the answers of each fold's network to the images held out from it.

    The input check is that of the first fold, whose encoder the mean of the folds uses.

    Args:
        sides: the training and the held-out images of each fold.
    """
    parts = [
        observe_images(member, unseen, visible=visible)
        for member, (_, unseen) in zip(ensemble.members, sides, strict=True)
    ]
    first = parts[0]
    encodings = encode_images(ensemble.members[0], sides[0][0], visible=visible)
    check = fit_input_check(encodings, first.encodings, first.answers.lesions)
    return _write(ensemble, _join(parts), check, made_from, table)


def recalibrate(
    ensemble: Ensemble, records: Sequence[Record], table: Path, made_from: dict[str, Any], *, visible: bool = True
) -> dict[str, Any]:
    """Write trust.json again so that its bounds hold for images like these.

    The trees also learn from the answers in `table`; bounds, input check and blur are measured on these images alone.
    A cross-validation answers with its first fold's network.

    Raises:
        HamError: there is no trust.json yet; or see `calibrate_run`.
    """
    assert ensemble.trust is not None
    trust = load_trust(ensemble.trust, ensemble.weights_digest())
    if trust is None:
        raise HamError(f"{ensemble.trust}: missing; run `python -m ham_keras.calibrate {ensemble.trust.parent}` first")
    observed = observe_images(ensemble.members[0], records, visible=visible)
    limit = input_limit(trust.input_check, observed.encodings, observed.answers.lesions)
    check = trust.input_check.model_copy(update={"limit": limit})
    return _write(ensemble, observed, check, made_from, None, _read_answers(table))


def _write(
    ensemble: Ensemble,
    observed: Observed,
    check: InputCheck,
    made_from: dict[str, Any],
    table: Path | None,
    former: Answers | None = None,
) -> dict[str, Any]:
    assert ensemble.trust is not None
    answers, threshold = observed.answers, ensemble.config.outline.threshold
    quality = fit_quality(answers, former)
    temperature, before, after = fit_temperature(observed.band_probability, observed.band_lesion, threshold)
    measured = measure_quality(
        answers.jaccard,
        quality.out_of_fold["expected_jaccard"],
        quality.out_of_fold["jaccard_at_least"],
        quality.out_of_fold["margin"] >= answers.distance,
        quality.out_of_fold["expected_jaccard"] < THRESHOLD,
        answers.lesions,
    )
    trust = Trust(
        version=VERSION,
        made_from={
            **made_from,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "images": len(answers),
            "lesions": len(set(answers.lesions)),
            "band_calibration_error": {"without_temperature": before, "with_temperature": after},
            "out_of_fold": measured,
        },
        weights_sha256=ensemble.weights_digest(),
        threshold=threshold,
        features=list(FEATURES),
        lowest=quality.lowest,
        highest=quality.highest,
        trees=quality.trees,
        jaccard_factor=quality.jaccard_factor,
        margin_factor=quality.margin_factor,
        input_check=check,
        blurred_below=-conformal_quantile(-answers.feature("focus").astype(float), answers.lesions, 1 - BLURRED_SHARE),
        temperature=temperature,
    )
    save_trust(ensemble.trust, trust)
    if table is not None:
        _save_answers(table, observed, quality.out_of_fold)
    return measured


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

    rows = [row for _, row in _run(predictor, by_path, finish, "calibrating", visible)]
    features, encodings, jaccard, distance, probability, lesion = zip(*rows, strict=True)
    lesions = np.array([record.lesion_id for record in records])
    answers = Answers(np.stack(features), np.array(jaccard, float), np.array(distance, float), lesions)
    ids = [record.image_id for record in records]
    return Observed(ids, answers, np.stack(encodings), np.concatenate(probability), np.concatenate(lesion))


def encode_images(member: Member, records: Sequence[Record], *, visible: bool = True) -> npt.NDArray[np.float32]:
    """Return the encodings of at most `TRAINING_IMAGES` of these images, drawn at random: [n, C]."""
    drawn = np.random.default_rng(0).permutation(len(records))[:TRAINING_IMAGES]
    paths = [records[i].image_path for i in sorted(drawn)]
    found = _run(_observer(member), paths, lambda _, answer: answer.observed["encoding"], "encoding", visible)
    return np.stack([encoding for _, encoding in found])


def _observer(member: Member) -> Predictor:
    outline = member.config.outline

    def observe(images: tf.Tensor, probability: tf.Tensor, encoding: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": measure(images, probability, outline.threshold), "encoding": encoding}

    return Predictor(load_members(single_run(member.run, member.config)), outline, observe)


def _run(predictor: Predictor, paths: Any, finish: Any, what: str, visible: bool) -> Any:
    with tqdm(total=len(paths), desc=what, unit=" images", disable=not visible) as bar:
        for path, result in predictor.predict_files(paths, finish):
            if isinstance(result, HamError):
                raise result
            bar.update()
            yield path, result


def _draw_band_pixels(image_id: str, truth: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> Any:
    outlines = find_outline(truth) | find_outline(mask)
    if not outlines.any():
        return np.zeros_like(outlines)
    band = np.flatnonzero(distance_to(outlines) <= BAND_FRACTION * math.sqrt(truth.size))
    drawn = np.random.default_rng(zlib.crc32(image_id.encode())).choice(band, min(BAND_PIXELS, len(band)), replace=False)
    return np.unravel_index(np.sort(drawn), truth.shape)


def _join(parts: Sequence[Observed]) -> Observed:
    return Observed(
        [image_id for part in parts for image_id in part.image_ids],
        Answers(
            np.concatenate([part.answers.features for part in parts]),
            np.concatenate([part.answers.jaccard for part in parts]),
            np.concatenate([part.answers.distance for part in parts]),
            np.concatenate([part.answers.lesions for part in parts]),
        ),
        np.concatenate([part.encodings for part in parts]),
        np.concatenate([part.band_probability for part in parts]),
        np.concatenate([part.band_lesion for part in parts]),
    )


def _save_answers(table: Path, observed: Observed, out_of_fold: dict[str, npt.NDArray[np.float64]]) -> None:
    answers = observed.answers
    rows = []
    for i, image_id in enumerate(observed.image_ids):
        row: dict[str, Any] = {"image_id": image_id, "lesion_id": answers.lesions[i]}
        row |= {"jaccard": f"{answers.jaccard[i]:.6g}", "distance": f"{answers.distance[i]:.6g}"}
        row |= {f"out_of_fold_{name}": f"{values[i]:.6g}" for name, values in out_of_fold.items()}
        row |= {name: f"{value:.7g}" for name, value in zip(FEATURES, answers.features[i], strict=True)}
        rows.append(row)
    save_csv(table, rows)


def _read_answers(table: Path) -> Answers:
    try:
        rows = load_csv(table)
        features = np.array([[row[name] for name in FEATURES] for row in rows], np.float32)
        columns = [np.array([row[name] for row in rows], float) for name in ("jaccard", "distance")]
        return Answers(features, *columns, np.array([row["lesion_id"] for row in rows]))
    except (OSError, KeyError, ValueError) as error:
        again = f"write it again with `python -m ham_keras.calibrate {table.parent}`"
        raise HamError(f"{table}: missing or damaged ({error!r}); {again}") from None
