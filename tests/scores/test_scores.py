"""Scores of hand-drawn masks."""

from __future__ import annotations

import numpy as np
import pytest

from ham_keras.scores.scores import count, score

TRUTH = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
LESION = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_counts_and_scores_worked_out_by_hand() -> None:
    assert count(TRUTH, LESION) == (2, 3, 2, 9)
    scores = score(2, 3, 2, 9)
    assert scores == {
        "jaccard": 2 / 7,
        "dice": 4 / 9,
        "sensitivity": 1 / 2,
        "specificity": 3 / 4,
        "accuracy": 11 / 16,
        "threshold_jaccard": 0.0,
    }
    assert scores["dice"] == pytest.approx(2 * scores["jaccard"] / (1 + scores["jaccard"]))


def test_threshold_jaccard_includes_the_threshold() -> None:
    assert score(13, 7, 0, 0)["threshold_jaccard"] == 0.65
    assert score(12, 8, 0, 0)["threshold_jaccard"] == 0.0


def test_ratios_with_denominator_zero_are_one() -> None:
    assert set(score(*count(0 * TRUTH, 0 * TRUTH)).values()) == {1.0}
    everything = score(*count(0 * TRUTH + 1, 0 * TRUTH + 1))
    assert (everything["jaccard"], everything["specificity"]) == (1.0, 1.0)
    assert score(*count(0 * TRUTH, LESION))["jaccard"] == 0.0


def test_counts_match_the_official_scorer() -> None:
    metrics = pytest.importorskip("isic_challenge_scoring.metrics")
    confusion = pytest.importorskip("isic_challenge_scoring.confusion")
    rng = np.random.default_rng(3)
    for share in (0.0, 0.1, 0.5, 0.97, 1.0):
        truth, lesion = rng.random((2, 31, 17)) < share
        theirs = confusion.create_binary_confusion_matrix(truth, lesion, name="image")
        ours = score(*count(truth, lesion))
        for name in ("jaccard", "dice", "sensitivity", "specificity", "accuracy", "threshold_jaccard"):
            assert ours[name] == pytest.approx(getattr(metrics, f"binary_{name}")(theirs), abs=1e-12), name


def test_shapes_must_match() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        count(TRUTH, LESION[:2])
