"""The command that compares two sets of scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ham_keras.compare import main
from ham_keras.errors import HamError
from ham_keras.files import save_csv


def write(path: Path, values: list[float]) -> Path:
    save_csv(path, [{"image_id": f"I{i}", "lesion_id": f"L{i}", "jaccard_native": v} for i, v in enumerate(values)])
    return path


def test_command_prints_and_writes_the_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = write(tmp_path / "a.csv", [0.5, 0.5]), write(tmp_path / "b.csv", [0.25, 0.25])
    assert main([str(ours), str(theirs), "--output", str(tmp_path / "c.json")]) == 0
    assert "difference  +0.2500  +0.2500 to +0.2500" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text())["difference"]["mean"] == 0.25


def test_interval_over_one_lesion_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = write(tmp_path / "a.csv", [0.5]), write(tmp_path / "b.csv", [0.25])
    assert main([str(ours), str(theirs), "--output", str(tmp_path / "c.json")]) == 0
    assert "difference  +0.2500  one lesion only" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text())["difference"]["interval"] is None


def test_output_replaces_no_input(tmp_path: Path) -> None:
    ours, theirs = write(tmp_path / "a.csv", [0.5]), write(tmp_path / "b.csv", [0.25])
    before = theirs.read_text()
    with pytest.raises(HamError, match=r"b\.csv: is an input"):
        main([str(ours), str(theirs), "--output", str(theirs)])
    assert theirs.read_text() == before
