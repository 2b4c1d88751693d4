"""Scores of predicted quality against values worked out by hand and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ham_keras.scores.quality import area_under_roc, format_quality, measure_quality, quality_of_rows, risk_coverage


def test_risk_coverage_worked_out() -> None:
    jaccard, confidence = np.array([0.9, 0.5, 0.8]), np.array([0.7, 0.6, 0.1])
    np.testing.assert_allclose(risk_coverage(jaccard, confidence), [0.1, 0.3, 0.8 / 3])
    # Without an order, every prefix has the mean risk.
    np.testing.assert_allclose(risk_coverage(jaccard, np.zeros(3)), [0.8 / 3] * 3)


def test_area_under_roc_equals_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 20, 200).astype(float)  # with ties
    positive = rng.uniform(size=200) < values / 25
    assert area_under_roc(positive, values) == pytest.approx(roc_auc_score(positive, values))


def test_quality_worked_out() -> None:
    rows = [
        {"lesion_id": "a", "jaccard_native": 0.9, "expected_jaccard": 0.8, "jaccard_at_least": 0.7, "margin_px": 9,
         "outline_distance_px": 4, "review": 0},
        {"lesion_id": "a", "jaccard_native": 0.5, "expected_jaccard": 0.6, "jaccard_at_least": 0.55, "margin_px": 9,
         "outline_distance_px": 12, "review": 1},
        {"lesion_id": "b", "jaccard_native": 0.6, "expected_jaccard": 0.9, "jaccard_at_least": 0.5, "margin_px": 9,
         "outline_distance_px": 9, "review": 0},
    ]  # fmt: skip
    quality = quality_of_rows(rows)
    assert quality is not None
    assert quality["mae"] == pytest.approx(0.5 / 3)
    assert (quality["failures"], quality["review"], quality["caught"]) == (2, 1, 1)
    assert quality["auroc"] == pytest.approx(0.5)  # 0.8 is above 0.6 and below 0.9
    assert quality["aurc"] == pytest.approx((0.4 + 0.25 + 1 / 3) / 3)
    assert quality["aurc_perfect"] == pytest.approx((0.1 + 0.25 + 1 / 3) / 3)
    assert quality["aurc_random"] == pytest.approx(1 / 3)
    assert quality["at_least_coverage"] == quality["margin_coverage"] == pytest.approx(0.75)  # half of a, all of b
    assert "review advised for 1 of 3 images; they include 1 of the 2 below 0.65" in format_quality(quality)


def test_no_failures_and_rows_without_trust() -> None:
    ones = np.ones(4)
    quality = measure_quality(ones, ones, ones, ones > 0, ones < 0, list("abcd"))
    assert quality["auroc"] is None and quality["pearson"] is None and quality["aurc"] == 0
    assert "AUROC of Jaccard < 0.65 none" in format_quality(quality)
    assert quality_of_rows([{"jaccard_native": 1.0}]) is None
