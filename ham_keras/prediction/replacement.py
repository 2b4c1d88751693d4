"""Predict images again: the old masks, overlays and rows stay until all new ones are there, also after a kill."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ham_keras.files import load_json, save_json
from ham_keras.prediction.folder import PredictionFolder
from ham_keras.prediction.rows import Rows

NEXT = ".next"  # the folder of the new predictions
COMPLETE = "complete.json"  # in it, once all are there: the ids of the images


@contextmanager
def place_for(
    predictions: PredictionFolder, paths: Sequence[Path], made_with: Mapping[str, Any]
) -> Iterator[tuple[PredictionFolder, list[Path]]]:
    """Yield the folder to predict images into, and those of them that it lacks.

    It is `predictions` itself if it has none of them. Otherwise it is a folder in it, whose contents replace those of
    `predictions` when the block ends without an error. After an interruption, the same call continues.

    Raises:
        HamError: an output path is taken by a file that no prediction has written.
    """
    predictions.check_free(paths)
    ids = [predictions.id_of(path) for path in paths]
    if not any(image_id in predictions.rows for image_id in ids):
        yield predictions, list(paths)
        return
    place = _next(predictions)
    if place.settings.exists() and not is_unfinished(predictions, made_with):
        shutil.rmtree(place.folder)
    with place.opened():
        yield place, [path for path in paths if not (place.is_done(path) and _is_newer(place, path))]
    save_json(place.folder / COMPLETE, sorted({*ids, *place.rows}))
    _replace(predictions, place)


def is_unfinished(predictions: PredictionFolder, made_with: Mapping[str, Any]) -> bool:
    """Whether replacing predictions by those of these settings was interrupted."""
    settings = _next(predictions).settings
    return settings.exists() and load_json(settings) == made_with


def finish_replacement(predictions: PredictionFolder) -> None:
    """Finish replacing predictions, if that was killed when all new ones were there."""
    place = _next(predictions)
    if (place.folder / COMPLETE).exists():
        with place.opened():
            _replace(predictions, place)


def _next(predictions: PredictionFolder) -> PredictionFolder:
    folder = predictions.folder
    return replace(predictions, folder=folder / NEXT, final=folder, rows=Rows(), begun=set())


def _is_newer(place: PredictionFolder, path: Path) -> bool:
    """Whether the new mask was written after the image was last changed."""
    return place.mask(place.id_of(path)).stat().st_mtime >= path.stat().st_mtime


def _replace(predictions: PredictionFolder, place: PredictionFolder) -> None:
    """Move the new predictions to the old ones' places; can be repeated after a kill."""
    ids = load_json(place.folder / COMPLETE)
    made_with = load_json(place.settings)
    for image_id in ids:
        predictions.rows.pop(image_id, None)
    predictions.save_table()  # a row never describes another mask
    save_json(predictions.settings, made_with)
    for image_id in ids:
        if image_id not in place.rows:  # it can no longer be read
            predictions.discard(image_id)
            continue
        for new, old in zip(place.outputs(image_id), predictions.outputs(image_id), strict=True):
            if new.exists():
                old.parent.mkdir(parents=True, exist_ok=True)
                os.replace(new, old)
        if not made_with["probability_bits"]:
            predictions.probability(image_id).unlink(missing_ok=True)
        predictions.rows[image_id] = place.rows[image_id]
    predictions.save_table()
    shutil.rmtree(place.folder)
