"""The benchmarks that compare variants of a diagnosis run and measure its cost, at a small scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarking import load

from ham_keras.config import to_json
from ham_keras.files import load_json
from ham_keras.runs import Run


@pytest.mark.slow
def test_variants_are_compared_on_the_same_images(
    small_diagnosis: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "diagnosis.json"
    path.write_text(to_json(small_diagnosis(tmp_path)))
    output = tmp_path / "found.json"
    load("diagnosis").main([str(path), "--set", "val", "--output", str(output)])
    printed = capsys.readouterr().out
    content = load_json(output)
    assert {"this config", "whole image", "skin only", "true masks", "no encoder", "prior"} <= content["scores"].keys()
    assert {each["images"] for each in content["scores"].values()} == {6}
    answered = np.sum(content["scores"]["prior"]["confusion"], axis=0)
    assert sorted(answered) == [0, 6]  # the prior answers all images with the same diagnosis
    differences = content["differences"]
    assert "this config" not in differences and differences.keys() < content["scores"].keys()
    for name, each in differences.items():
        own, other = (content["scores"][key]["log_loss"]["value"] for key in ("this config", name))
        assert each["log_loss"]["value"] == pytest.approx(own - other, abs=1e-6)
    assert f" {content['scores']['whole image']['log_loss']['value']:.4f} (" in printed


@pytest.mark.slow
def test_cost_is_measured(diagnosed: Path, trained: Run, phantoms: Path, tmp_path: Path) -> None:
    output = tmp_path / "cost.json"
    arguments = [trained.folder, diagnosed, phantoms / "images", "--images", 4, "--rounds", 1, "--output", output]
    load("diagnosis_cost").main([str(each) for each in arguments])
    found = load_json(output)
    assert found["images"] == 4 and found["ratio"] == pytest.approx(
        found["seconds_with_diagnosis"][0] / found["seconds"][0]
    )
