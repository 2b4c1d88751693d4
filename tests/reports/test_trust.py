"""The plots of expected against true Jaccard indices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.reports import trust
from ham_keras.scores.bootstrap import interval_over


def test_intervals_are_over_lesions_and_none_over_one(tmp_path: Path, monkeypatch: Any) -> None:
    """Twenty images in ten groups of two: of one lesion in the first group, of two in the others."""
    expected = np.arange(20) / 20
    jaccard = np.where(np.arange(20) % 2, 0.8, 0.6)
    lesions = ["L0", "L0", *(f"L{number}" for number in range(1, 19))]
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(trust, "save_figure", lambda figure, path: drawn.update(axes=figure.axes[0]))
    trust.save_reliability(expected, jaccard, lesions, tmp_path / "reliability.png")
    (bars,) = drawn["axes"].containers
    segments = bars.lines[2][0].get_segments()
    assert len(segments) == 10 and segments[0].size == 0
    np.testing.assert_allclose(segments[1][:, 1], interval_over([0.6, 0.8], ["a", "b"]))
    assert bars.get_label() == "groups of equal size, some of too few lesions"
