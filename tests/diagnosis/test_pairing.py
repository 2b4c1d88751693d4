"""The paired comparison of two tables of diagnoses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ham_keras.compare import main
from ham_keras.diagnosis.pairing import pair_diagnoses
from ham_keras.errors import HamError
from ham_keras.files import save_csv
from ham_keras.scores.classification import summarise_diagnoses

LABELS = ("mel", "nv", "mel", "nv", "nv", "mel")
GOOD, BAD = (0.9, 0.1, 0.8, 0.3, 0.2, 0.7), (0.4, 0.6, 0.5, 0.3, 0.7, 0.6)


def write(path: Path, melanoma: tuple[float, ...], order: Any = range(6), **changed: Any) -> Path:
    rows = [
        {"image_id": f"I{i}", "lesion_id": f"L{i}", "diagnosis": LABELS[i], "answer": "nv", "p_mel": melanoma[i],
         "p_nv": 1 - melanoma[i]} | changed
        for i in order
    ]  # fmt: skip
    save_csv(path, rows)
    return path


def test_scores_are_those_of_the_summaries_and_images_are_paired(tmp_path: Path) -> None:
    ours = write(tmp_path / "a.csv", GOOD)
    theirs = write(tmp_path / "b.csv", BAD, order=(5, 3, 1, 0, 2, 4))
    found = pair_diagnoses(ours, theirs, resamples=100)
    assert (found["images"], found["lesions"]) == (6, 6)
    labels = np.array([["mel", "nv"].index(name) for name in LABELS])
    for side, values in (("ours", GOOD), ("theirs", BAD)):
        table = np.stack([values, 1 - np.array(values)], 1).astype(np.float32)
        summary = summarise_diagnoses(table, labels, ["mel", "nv"], [f"L{i}" for i in range(6)], resamples=100)
        for name, score in found["scores"].items():
            assert score[side] == pytest.approx(summary[name]["value"])
    auc = found["scores"]["melanoma_auc"]
    assert (auc["ours"], auc["theirs"]) == (1, pytest.approx(3.5 / 9))
    assert auc["difference"]["value"] == pytest.approx(1 - 3.5 / 9)
    assert auc["difference"]["interval"][0] >= 0
    same = pair_diagnoses(ours, write(tmp_path / "c.csv", GOOD, order=range(5, -1, -1)), resamples=100)
    assert all(score["difference"] == {"value": 0, "interval": [0, 0]} for score in same["scores"].values())


def test_command_compares_tables_of_diagnoses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = write(tmp_path / "a.csv", GOOD), write(tmp_path / "b.csv", BAD)
    assert main([str(ours), str(theirs), "--output", str(tmp_path / "c.json")]) == 0
    printed = capsys.readouterr().out
    assert (
        "6 images of 6 lesions" in printed and "melanoma auc                      1.0000  0.3889     +0.6111" in printed
    )
    assert json.loads((tmp_path / "c.json").read_text())["scores"]["macro_auc"]["ours"] == 1


def test_tables_of_other_images_or_diagnoses_are_errors(tmp_path: Path) -> None:
    ours = write(tmp_path / "a.csv", GOOD)
    with pytest.raises(HamError, match="2 images are in one table only, the first: I4; score both"):
        pair_diagnoses(ours, write(tmp_path / "b.csv", BAD, order=range(4)))
    with pytest.raises(HamError, match="the diagnoses of the same images differ"):
        pair_diagnoses(ours, write(tmp_path / "c.csv", BAD, diagnosis="nv"))
    with pytest.raises(HamError, match="mel, nv against mel, nv, bcc; expected the same diagnoses"):
        pair_diagnoses(ours, write(tmp_path / "d.csv", BAD, p_bcc=0))
