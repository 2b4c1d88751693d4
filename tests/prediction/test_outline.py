"""Cleaning and measuring masks, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ham_keras.prediction.outline import border_confidence, fill_holes, keep_largest, measure, outline_lesion
from ham_keras.settings import Outline


def mask(*rows: str) -> np.ndarray:
    return np.array([[int(pixel == "#") for pixel in row] for row in rows], np.uint8)


TWO_PARTS = mask(
    ".......",
    ".####..",
    ".#..#..",
    ".####..",
    "......#",
    ".....#.",
)


def test_enclosed_skin_is_filled_and_skin_at_the_frame_is_not() -> None:
    expected = TWO_PARTS.copy()
    expected[2, 2:4] = 1
    np.testing.assert_array_equal(fill_holes(TWO_PARTS), expected)
    bay = mask("####", "#..#", "#..#")
    np.testing.assert_array_equal(fill_holes(bay), bay)


def test_the_largest_part_stays_and_corners_connect() -> None:
    expected = TWO_PARTS.copy()
    expected[4:] = 0
    np.testing.assert_array_equal(keep_largest(TWO_PARTS), expected)
    diagonal = mask("#..", ".#.", "..#")
    np.testing.assert_array_equal(keep_largest(diagonal), diagonal)
    np.testing.assert_array_equal(keep_largest(np.zeros((3, 3), np.uint8)), 0)


def test_lesion_is_above_the_threshold_and_holes_are_filled_before_the_largest_is_chosen() -> None:
    ring = mask("#####......", "#...#..####", "#...#..####", "#...#..####", "#####..####")  # 16 and 16, filled 25
    probability = np.where(ring, 0.7, 0.2).astype(np.float32)
    np.testing.assert_array_equal(outline_lesion(probability, Outline(threshold=0.5)), ring)
    assert outline_lesion(probability, Outline(threshold=float(probability.max()))).sum() == 0
    both = outline_lesion(probability, Outline(threshold=0.5, keep_largest=True, fill_holes=True))
    assert both.sum() == 25 and both[:, :5].all()


def test_measurements_of_a_mask() -> None:
    probability = np.where(TWO_PARTS, 0.9, 0.1).astype(np.float32)
    found = measure(TWO_PARTS, probability)
    assert found == {
        "width_px": 7,
        "height_px": 6,
        "lesion_fraction": round(12 / 42, 6),
        "box_left_px": 1,
        "box_top_px": 1,
        "box_width_px": 6,
        "box_height_px": 5,
        "components": 2,
        "border_confidence_mean": 0.9,
        "border_confidence_lowest": 0.9,
        "touches_frame": 1,
    }


def test_without_lesion_there_is_no_box_and_no_border() -> None:
    found = measure(np.zeros((6, 8), np.uint8), np.zeros((6, 8), np.float32))
    empty = ("box_left_px", "box_height_px", "border_confidence_mean", "border_confidence_lowest")
    assert {found[name] for name in empty} == {""}
    assert (found["components"], found["touches_frame"], found["lesion_fraction"]) == (0, 0, 0.0)


def test_the_frame_is_no_border() -> None:
    assert border_confidence(np.ones((6, 8), np.uint8), np.ones((6, 8), np.float32)) == ("", "")
    half = np.zeros((6, 8), np.uint8)
    half[:, :4] = 1
    probability = np.where(half, 0.8, 0.2).astype(np.float32)
    probability[:, 0] = 0.5  # far from the only border
    assert border_confidence(half, probability) == (0.8, 0.8)
    found = measure(half, probability)
    assert (found["touches_frame"], found["components"], found["box_width_px"]) == (1, 1, 4)


def test_a_gradual_border_is_less_sure_than_a_sharp_one_and_its_vaguest_place_is_found() -> None:
    columns = np.arange(128) - 63.5
    sharp = np.clip(0.5 - columns / 4, 0, 1)
    gradual = np.clip(0.5 - columns / 64, 0, 1)
    probability = np.vstack([np.tile(sharp, (64, 1)), np.tile(gradual, (32, 1))]).astype(np.float32)
    lesion = (probability > 0.5).astype(np.uint8)
    mean, lowest = border_confidence(lesion, probability)
    # The window is 5 pixels wide around column 63, where columns are -2.5 to 1.5: |p - 0.5| is their size over 4, at
    # most 0.5, or over 64.
    sharp_mean = 0.5 + np.mean([0.5, 0.375, 0.125, 0.125, 0.375])
    gradual_mean = 0.5 + np.mean([2.5, 1.5, 0.5, 0.5, 1.5]) / 64
    assert lowest == pytest.approx(gradual_mean, abs=1e-4)
    assert mean == pytest.approx((2 * sharp_mean + gradual_mean) / 3, abs=1e-3)
