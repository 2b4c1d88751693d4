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
def test_plots_show_the_scores_of_any_number_of_images(
    count: int, tmp_path: Path, plotted: dict[str, list[dict[str, Any]]]
) -> None:
    rows = make_rows(count)
    values = np.array([row["jaccard_native"] for row in rows])
    fractions = np.array([row["lesion_fraction"] for row in rows])
    groups = summarise(rows, resamples=100)["by_diagnosis"]
    save_distribution(rows, tmp_path / "distribution.png")
    save_by_size(rows, tmp_path / "size.png")
    save_by_diagnosis(rows, groups, tmp_path / "diagnosis.png")

    histogram, cumulative = plotted["distribution"]
    assert sum(histogram["bars"]) == count
    assert histogram["lines"][f"mean {values.mean():.4f}"][0].tolist() == [values.mean()] * 2
    steps = next(iter(cumulative["lines"].values()))
    np.testing.assert_allclose(steps[0, -count:], np.sort(values))

    (axes,) = plotted["size"]
    shown = np.column_stack([fractions, values])[fractions > 0]
    np.testing.assert_allclose(axes["points"][0], shown)
    np.testing.assert_allclose(axes["lines"]["running median"], running_median(*shown.T))

    (axes,) = plotted["diagnosis"]
    points = [points[:, 0] for points in axes["points"]]
    assert sorted(map(len, points)) == sorted(group["images"] for group in groups.values())
    np.testing.assert_allclose(np.sort(np.concatenate(points)), np.sort(values))
    diamonds = [line[0, 0] for line in axes["lines"].values() if line.shape[1] == 1]
    assert {group["jaccard"]["mean"] for group in groups.values()} <= set(diamonds)


def test_pairs_and_their_differences(tmp_path: Path, plotted: dict[str, list[dict[str, Any]]]) -> None:
    first, second = np.array([0.9, 0.5, 0.7, 0.2]), np.array([0.8, 0.5, 0.6, 0.6])
    save_pairs(first, second, tmp_path / "pairs.png")
    pairs, differences = plotted["pairs"]
    np.testing.assert_array_equal(pairs["points"][0], np.column_stack([first, second]))
    assert pairs["texts"] == ["A better: 2 images", "B better: 1 images"]
    assert sum(differences["bars"]) == 4
    assert differences["lines"]["mean -0.0500"][0] == pytest.approx([-0.05, -0.05])


def test_names_with_dollar_signs_are_not_read_as_mathematics(tmp_path: Path) -> None:
    rows = [row | {"diagnosis": "$x^$"} for row in make_rows(2)]
    save_by_diagnosis(rows, summarise(rows, resamples=100)["by_diagnosis"], tmp_path / "diagnosis.png")
    with Image.open(tmp_path / "diagnosis.png") as picture:
        assert picture.width > 500 and picture.convert("L").getextrema()[0] < 60
