"""The folder of predictions keeps its journal until a prediction has ended normally."""

from __future__ import annotations

from pathlib import Path

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
