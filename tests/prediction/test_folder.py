"""The folder of predictions keeps its journal until a prediction has ended normally."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ham_keras.errors import HamError
from ham_keras.files import load_csv
from ham_keras.prediction.folder import PredictionFolder
from ham_keras.prediction.replacement import finish_replacement, place_for


def test_prediction_that_ended_early_can_be_continued(tmp_path: Path) -> None:
    photograph = tmp_path / "a.jpg"
    photograph.touch()
    first = PredictionFolder(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt), first.opened():
        first.start({"threshold": 0.5}, [photograph])
        first.mask("a").write_bytes(b"mask without a row")
        raise KeyboardInterrupt
    assert first.journal.exists()
    second = PredictionFolder(tmp_path / "out")
    with second.opened():
        second.start({"threshold": 0.5}, [photograph])
        assert not second.mask("a").exists()
        second.add({"image_id": "a", "image": str(photograph)})
    assert not second.journal.exists() and second.table.exists()


def predict(folder: Path, photographs: Sequence[Path], mask: np.ndarray, bits: int | None = None, read: int = 3) -> int:
    """Give all photographs this mask; those after the first `read` cannot be read. Returns how many were missing."""
    prediction: Any = SimpleNamespace(observed=None, image=np.zeros((4, 4, 3), np.uint8), mask=mask)
    prediction.probability = mask.astype(np.float32)
    predictions = PredictionFolder(folder, probability_bits=bits)
    with predictions.opened():
        finish_replacement(predictions)
        with place_for(predictions, photographs, {"probability_bits": bits}) as (place, missing):
            place.start({"probability_bits": bits}, missing)
            for photograph in missing:
                if photograph in photographs[:read]:
                    place.add(place.save(photograph, prediction))
                else:
                    place.discard(place.id_of(photograph))
    return len(missing)


def lesion_fractions(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The lesion fraction of each image, by the table and by the masks."""
    table = PredictionFolder(folder).table
    rows = {row["image_id"]: float(row["lesion_fraction"]) for row in load_csv(table)} if table.exists() else {}
    masks = sorted(folder.glob("*_segmentation.png"))
    return rows, {path.name[0]: float(np.mean(np.asarray(Image.open(path)) > 0)) for path in masks}


def test_masks_and_rows_stay_until_all_new_ones_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it is killed, the old masks and rows stay or the new ones are there; the same call ends the same."""
    photographs = [tmp_path / f"{name}.jpg" for name in "abc"]
    for photograph in photographs:
        photograph.touch()
    old, new = np.eye(4, dtype=np.uint8), 1 - np.eye(4, dtype=np.uint8)
    whole = dict.fromkeys("abc", 0.25), dict.fromkeys("abc", 0.25)
    kept = 0
    for renames in range(100):
        folder = tmp_path / str(renames)
        assert predict(folder, photographs, old, bits=8) == 3
        assert lesion_fractions(folder) == whole
        with monkeypatch.context() as patch:
            left = iter(range(renames))

            def rename(*paths: Any, left: Iterator[int] = left, original: Any = os.replace) -> None:
                if next(left, None) is None:  # as if killed: nothing is written any more
                    raise KeyboardInterrupt
                original(*paths)

            patch.setattr(os, "replace", rename)
            with suppress(KeyboardInterrupt):
                predict(folder, photographs, new, read=2)
            killed = next(left, None) is None
        rows, masks = lesion_fractions(folder)
        assert all(masks[image_id] == fraction for image_id, fraction in rows.items())
        kept += (rows, masks) == whole
        if not (folder / ".next" / "complete.json").exists() and killed:
            assert (rows, masks) == whole or rows == dict.fromkeys("ab", 0.75)
        predict(folder, photographs, new, read=2)
        assert lesion_fractions(folder) == (dict.fromkeys("ab", 0.75), dict.fromkeys("ab", 0.75))
        assert not (folder / ".next").exists() and not list(folder.glob("probabilities/*"))
        assert sorted(path.stem for path in folder.glob("overlays/*")) == ["a", "b"]
        if not killed:
            break
    assert kept >= 8 and renames < 60  # nothing old is touched before all new ones are there


def test_image_changed_since_an_interruption_is_predicted_again(tmp_path: Path) -> None:
    photographs = [tmp_path / f"{name}.jpg" for name in "abc"]
    for photograph in photographs:
        photograph.touch()
    mask = np.eye(4, dtype=np.uint8)
    predict(tmp_path / "out", photographs, mask)
    predictions = PredictionFolder(tmp_path / "out")
    made_with = {"probability_bits": None}
    prediction: Any = SimpleNamespace(observed=None, image=np.zeros((4, 4, 3), np.uint8), mask=mask)
    prediction.probability = mask.astype(np.float32)
    with (
        pytest.raises(KeyboardInterrupt),
        predictions.opened(),
        place_for(predictions, photographs, made_with) as (place, missing),
    ):
        place.start(made_with, missing)
        for photograph in photographs[:2]:
            place.add(place.save(photograph, prediction))
        raise KeyboardInterrupt
    written = place.mask("b").stat().st_mtime
    os.utime(photographs[1], (written + 9, written + 9))
    assert predict(tmp_path / "out", photographs, 1 - mask) == 2
    assert lesion_fractions(tmp_path / "out")[1] == {"a": 0.25, "b": 0.75, "c": 0.75}


def test_folder_that_moves_with_its_images_knows_them(tmp_path: Path) -> None:
    photographs = [tmp_path / "study" / "photos" / f"{name}.jpg" for name in "ab"]
    photographs[0].parent.mkdir(parents=True)
    for photograph in photographs:
        photograph.touch()
    predict(tmp_path / "study" / "out", photographs, np.eye(4, dtype=np.uint8))
    images = [row["image"] for row in load_csv(tmp_path / "study" / "out" / "predictions.csv")]
    assert images == ["../photos/a.jpg", "../photos/b.jpg"]
    moved = (tmp_path / "study").rename(tmp_path / "elsewhere")
    predictions = PredictionFolder(moved / "out")
    with predictions.opened():
        assert predictions.is_done(moved / "photos" / "a.jpg")
        (tmp_path / "a.jpg").touch()
        with pytest.raises(HamError, match="another image of this name"):
            predictions.is_done(tmp_path / "a.jpg")
        # A table of an earlier version has absolute paths.
        predictions.rows["b"] = {**predictions.rows["b"], "image": str(moved / "photos" / "b.jpg")}
        assert predictions.is_done(moved / "photos" / "b.jpg")
