"""Pictures of a run: choice of cases, saved files, outlines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ham_keras.reports.pictures import best_median_worst, outlined, save_cases, save_curves


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (range(9), {"best": [8, 7, 6], "median": [5, 4, 3], "worst": [2, 1, 0]}),
        (range(13), {"best": [12, 11, 10], "median": [7, 6, 5], "worst": [2, 1, 0]}),
        (range(5), {"best": [4], "median": [2], "worst": [0]}),
        (range(2), {"best": [1, 0]}),
    ],
)
def test_best_median_and_worst_do_not_overlap(values: range, expected: dict[str, list[int]]) -> None:
    rows = [{"image_id": str(value), "jaccard_native": str(value / 100)} for value in values]
    chosen = best_median_worst(rows)
    assert {name: [int(row["image_id"]) for row in group] for name, group in chosen.items()} == expected


@pytest.mark.parametrize("sides", [False, True])
def test_curves_show_the_history(sides: bool, tmp_path: Path, plotted: dict[str, list[dict[str, Any]]]) -> None:
    history = [
        {"epoch": i, "loss": 1 / i, "val_loss": 1.1 / i, "jaccard": 1 - 1 / i, "val_jaccard": best}
        for i, best in ((1, 0.3), (2, 0.7), (3, 0.6))
    ]
    lesion = [{**row, "lesion_loss": row["loss"], "loss": 4 * row["loss"]} for row in history]
    save_curves(lesion if sides else history, "jaccard", tmp_path / "curves.png")
    loss, jaccard = plotted["curves"]
    for axes, name in ((loss, "loss"), (jaccard, "jaccard")):
        for label, key in (("training", name), ("validation", f"val_{name}")):
            expected = [[row["epoch"] for row in history], [row[key] for row in history]]
            np.testing.assert_array_equal(axes["lines"][label], expected)
    assert jaccard["lines"]["best: 0.7000, epoch 2"][0].tolist() == [2, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_cases_show_image_and_masks(tmp_path: Path, plotted: dict[str, list[dict[str, Any]]]) -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 10:30] = 1
    image = np.full((30, 40, 3), 180, np.uint8)
    save_cases([("best: a", image, mask, mask, 1.0), ("worst: b", image, mask, 0 * mask, 0.0)], tmp_path / "cases.png")
    panels = plotted["cases"]
    assert [panel["title"] for panel in panels[::3]] == ["best: a", "worst: b"]
    assert [panel["title"] for panel in panels[2::3]] == ["prediction, Jaccard 1.0000", "prediction, Jaccard 0.0000"]
    for panel, expected in zip((panels[1], panels[2], panels[4], panels[5]), (mask, mask, mask, 0 * mask), strict=True):
        np.testing.assert_array_equal(panel["images"][0], expected)
    drawn = (panels[0]["images"][0] != image).any(axis=2)
    assert drawn[5, 20] and not drawn[12, 20] and not drawn[1, 1]


def test_outline_is_drawn_only_on_the_masks_border() -> None:
    lesion = np.zeros((30, 40), np.uint8)
    lesion[10:20, 10:30] = 1
    panel = np.full((300, 400, 3), 128, np.uint8)
    changed = (outlined(panel, lesion, "#00a087") != panel).any(axis=2)
    assert changed[150, 97:104].any() and changed[100, 200]
    assert not changed[150, 200] and not changed[50, 50]
    assert not (outlined(panel, 0 * lesion, "#00a087") != panel).any()
