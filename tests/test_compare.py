"""Paired comparison of two scorings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ham_keras.compare import compare, main
from ham_keras.errors import HamError
from ham_keras.files import save_csv


def write(path: Path, values: list[float], *, lesions: bool = True, first: int = 0) -> Path:
    rows = [
        {"image_id": f"I{i + first}", **({"lesion_id": f"L{i // 2}"} if lesions else {}), "jaccard_native": value}
        for i, value in enumerate(values)
    ]
    save_csv(path, rows)
    return path


def test_pairing_takes_out_what_images_have_in_common(tmp_path: Path) -> None:
    base = np.random.default_rng(0).uniform(0.3, 0.9, 200)
    ours = write(tmp_path / "ours.csv", list(base + 0.02))
    theirs = write(tmp_path / "theirs.csv", list(base), lesions=False)
    result = compare(ours, theirs)
    assert (result["images"], result["lesions"]) == (200, 100)
    assert result["difference"]["mean"] == pytest.approx(0.02)
    assert result["difference"]["interval"] == pytest.approx([0.02, 0.02])
    low, high = result["ours"]["interval"]
    assert high - low > 0.03


def test_rows_are_matched_by_id_not_by_place(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours.csv", [0.1, 0.2, 0.3])
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("image_id,jaccard_native\nI2,0.3\nI0,0.1\nI1,0.2\n")
    assert compare(ours, theirs)["difference"]["mean"] == 0


def test_mistakes(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours.csv", [0.1, 0.2])
    with pytest.raises(HamError, match="2 images stand in one file only, the first: I0"):
        compare(ours, write(tmp_path / "other.csv", [0.1, 0.2], first=1))
    with pytest.raises(HamError, match="no column lesion_id"):
        compare(write(tmp_path / "bare.csv", [0.1], lesions=False), ours)
    with pytest.raises(HamError, match="cannot be read"):
        compare(tmp_path / "gone.csv", ours)


def test_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = write(tmp_path / "a.csv", [0.5, 0.5]), write(tmp_path / "b.csv", [0.25, 0.25])
    assert main([str(ours), str(theirs), "--output", str(tmp_path / "c.json")]) == 0
    assert "difference  +0.2500  +0.2500 to +0.2500" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text())["difference"]["mean"] == 0.25
