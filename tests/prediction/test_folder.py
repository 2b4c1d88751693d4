"""The folder of predictions keeps its journal until a prediction has ended normally."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ham_keras.prediction.folder import PredictionFolder


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


def test_masks_stay_until_new_ones_replace_them(tmp_path: Path) -> None:
    """Also when a second prediction is killed as the first one was: the journal keeps what it may not delete."""
    photographs = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    prediction: Any = SimpleNamespace(
        observed=None,
        image=np.zeros((4, 4, 3), np.uint8),
        mask=np.eye(4, dtype=np.uint8),
        probability=np.eye(4, dtype=np.float32),
    )
    first = PredictionFolder(tmp_path / "out", probability_bits=8)
    with first.opened():
        first.start({"threshold": 0.5}, photographs)
        for photograph in photographs:
            first.add(first.save(photograph, prediction))
    written = {path: path.read_bytes() for path in first.folder.rglob("*.*") if path.suffix in {".png", ".jpg"}}
    assert len(written) == 6
    for _ in range(2):
        killed = PredictionFolder(tmp_path / "out")
        with pytest.raises(KeyboardInterrupt), killed.opened():
            killed.start({"threshold": 0.4}, photographs)
            assert killed.rows == {}
            raise KeyboardInterrupt
        assert {path: path.read_bytes() for path in written} == written
    last = PredictionFolder(tmp_path / "out")
    with last.opened():
        assert not last.is_done(photographs[0])
        last.start({"threshold": 0.4}, photographs)
        last.add(last.save(photographs[0], prediction))
        last.discard("b")
    assert sorted(path.name for path in last.folder.rglob("*.*") if path in written) == ["a.jpg", "a_segmentation.png"]
