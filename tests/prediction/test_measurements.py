"""Measurements of masks, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_masks import TWO_PARTS

from ham_keras.prediction.measurements import border_confidence, measure_mask


def test_measurements_of_two_components() -> None:
    probability = np.where(TWO_PARTS, 0.9, 0.1).astype(np.float32)
    found = measure_mask(TWO_PARTS, probability)
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


def test_empty_mask_has_no_box_and_no_border() -> None:
    found = measure_mask(np.zeros((6, 8), np.uint8), np.zeros((6, 8), np.float32))
    empty = ("box_left_px", "box_height_px", "border_confidence_mean", "border_confidence_lowest")
    assert {found[name] for name in empty} == {""}
    assert (found["components"], found["touches_frame"], found["lesion_fraction"]) == (0, 0, 0.0)


def test_image_edge_is_not_a_border() -> None:
    assert border_confidence(np.ones((6, 8), np.uint8), np.ones((6, 8), np.float32)) == ("", "")
    half = np.zeros((6, 8), np.uint8)
    half[:, :4] = 1
    probability = np.where(half, 0.8, 0.2).astype(np.float32)
    probability[:, 0] = 0.5  # far from the border
    assert border_confidence(half, probability) == (0.8, 0.8)
    found = measure_mask(half, probability)
    assert (found["touches_frame"], found["components"], found["box_width_px"]) == (1, 1, 4)


def test_border_confidence_of_sharp_and_gradual_borders() -> None:
    columns = np.arange(128) - 63.5
    sharp = np.clip(0.5 - columns / 4, 0, 1)
    gradual = np.clip(0.5 - columns / 64, 0, 1)
    probability = np.vstack([np.tile(sharp, (64, 1)), np.tile(gradual, (32, 1))]).astype(np.float32)
    predicted = (probability > 0.5).astype(np.uint8)
    mean, lowest = border_confidence(predicted, probability)
    # The window covers 5 pixels around column 63, where `columns` is -2.5 to 1.5. |p - 0.5| is |columns| / 4, at most
    # 0.5, where the border is sharp and |columns| / 64 where it is gradual.
    sharp_mean = 0.5 + np.mean([0.5, 0.375, 0.125, 0.125, 0.375])
    gradual_mean = 0.5 + np.mean([2.5, 1.5, 0.5, 0.5, 1.5]) / 64
    assert lowest == pytest.approx(gradual_mean, abs=1e-4)
    assert mean == pytest.approx((2 * sharp_mean + gradual_mean) / 3, abs=1e-3)
