"""Paired comparison of two sets of scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ham_keras.errors import HamError
from ham_keras.files import save_csv
from ham_keras.scores.pairing import pair_scores


def write(path: Path, values: list[float], *, lesions: bool = True, first: int = 0) -> Path:
    rows = [
        {"image_id": f"I{i + first}", **({"lesion_id": f"L{i // 2}"} if lesions else {}), "jaccard_native": value}
        for i, value in enumerate(values)
    ]
    save_csv(path, rows)
    return path


def test_pairing_removes_the_variance_between_images(tmp_path: Path) -> None:
    base = np.random.default_rng(0).uniform(0.3, 0.9, 200)
    ours = write(tmp_path / "ours.csv", list(base + 0.02))
    theirs = write(tmp_path / "theirs.csv", list(base), lesions=False)
    result = pair_scores(ours, theirs)
    assert (result["images"], result["lesions"]) == (200, 100)
    assert result["difference"]["mean"] == pytest.approx(0.02)
    assert result["difference"]["interval"] == pytest.approx([0.02, 0.02])
    low, high = result["ours"]["interval"]
    assert high - low > 0.03


def test_rows_are_matched_by_id_not_by_order(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours.csv", [0.1, 0.2, 0.3])
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("image_id,jaccard_native\nI2,0.3\nI0,0.1\nI1,0.2\n")
    assert pair_scores(ours, theirs)["difference"]["mean"] == 0


def test_invalid_files_raise(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours.csv", [0.1, 0.2])
    with pytest.raises(HamError, match="2 images are in one file only, the first: I0"):
        pair_scores(ours, write(tmp_path / "other.csv", [0.1, 0.2], first=1))
    with pytest.raises(HamError, match="no column lesion_id"):
        pair_scores(write(tmp_path / "bare.csv", [0.1], lesions=False), ours)
    with pytest.raises(HamError, match="cannot be read"):
        pair_scores(tmp_path / "gone.csv", ours)
