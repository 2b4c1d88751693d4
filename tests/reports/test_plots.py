"""Plots of the scores of many images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ham_keras.reports.plots import running_median, save_by_diagnosis, save_by_size, save_distribution, save_pairs
from ham_keras.scores.scores import SCORES
from ham_keras.scores.summary import summarise


def make_rows(count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        row = {"image_id": str(i), "lesion_id": f"L{i}", "diagnosis": ("nv", "$x^$")[i % 2]}
        row["lesion_fraction"] = 0.0 if i == 0 else rng.uniform(0.01, 0.9)
        rows.append(row | {f"{name}_{size}": rng.random() for name in SCORES for size in ("native", "network")})
    return rows


def test_running_median_of_five_neighbours() -> None:
    x = np.array([7.0, 1, 2, 3, 4, 5, 6])
    y = np.array([0.0, 10, 50, 20, 40, 30, 90])
    # Sorted by x, y is 10 50 20 40 30 90 0.
    middle, medians = running_median(x, y)
    assert middle.tolist() == [3, 4, 5]
    assert medians.tolist() == [30, 40, 30]
    assert running_median(x[:4], y[:4])[0].size == 0


@pytest.mark.parametrize("count", [1, 3, 40])
def test_plots_of_few_images_and_of_names_with_dollar_signs(count: int, tmp_path: Path) -> None:
    rows = make_rows(count)
    save_distribution(rows, tmp_path / "a.png")
    save_by_size(rows, tmp_path / "b.png")
    save_by_diagnosis(rows, summarise(rows, resamples=100)["by_diagnosis"], tmp_path / "c.png")
    values = np.array([row["jaccard_native"] for row in rows])
    save_pairs(values, values, tmp_path / "d.png")
    for name in "abcd":
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width > 500 and picture.convert("L").getextrema()[0] < 60
