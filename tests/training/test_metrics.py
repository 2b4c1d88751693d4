"""Training metrics against `ham_keras.scores` and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ham_keras.scores.scores import count, score
from ham_keras.training.metrics import MeanJaccard, build_metrics

RNG = np.random.default_rng(2)
TRUTH = (RNG.random((37, 24, 24, 1)) < RNG.random((37, 1, 1, 1))).astype(np.float32)
PROBABILITY = np.clip(TRUTH * 0.5 + RNG.random(TRUTH.shape) * 0.6, 0, 1).astype(np.float32)
TRUTH[3], TRUTH[4], PROBABILITY[4] = 0, 0, 0.2


@pytest.mark.parametrize("batch_size", [1, 4, 16, 37])
def test_mean_jaccard_matches_scores_for_any_batch_size(batch_size: int) -> None:
    metric = MeanJaccard()
    for start in range(0, len(TRUTH), batch_size):
        metric.update_state(TRUTH[start : start + batch_size], PROBABILITY[start : start + batch_size])
    expected = np.mean([score(*count(t, p > 0.5))["jaccard"] for t, p in zip(TRUTH, PROBABILITY, strict=True)])
    assert float(metric.result()) == pytest.approx(expected, abs=1e-9)


def test_two_empty_masks_score_one_and_reset_clears_the_mean() -> None:
    metric = MeanJaccard()
    metric.update_state(TRUTH[3:4], PROBABILITY[3:4])
    assert float(metric.result()) == 0.0
    metric.update_state(TRUTH[4:5], PROBABILITY[4:5])
    assert float(metric.result()) == 0.5
    metric.reset_state()
    metric.update_state(TRUTH[4:5], PROBABILITY[4:5])
    assert float(metric.result()) == 1.0


def test_probability_equal_to_threshold_is_not_lesion() -> None:
    metric = MeanJaccard(threshold=0.25)
    metric.update_state(
        np.array([1.0, 1, 0, 0]).reshape(1, 2, 2, 1), np.array([0.25, 0.26, 0.26, 0.1]).reshape(1, 2, 2, 1)
    )
    assert float(metric.result()) == pytest.approx(1 / 3)


def test_half_precision_probabilities_are_counted_exactly() -> None:
    metric = MeanJaccard()
    ones = np.ones((1, 512, 512, 1))  # 262,144 ones: their sum is inf in float16
    metric.update_state(ones, ones.astype(np.float16))
    assert float(metric.result()) == 1.0


def test_iou_score_is_computed_over_the_whole_batch() -> None:
    iou, jaccard = build_metrics(0.5)
    truth, probability = TRUTH[:2], PROBABILITY[:2]
    tp = ((truth == 1) & (probability > 0.5)).sum()
    union = ((truth == 1) | (probability > 0.5)).sum()
    iou.update_state(truth, probability)
    assert float(iou.result()) == pytest.approx(tp / union, abs=1e-6)
    assert iou.name == "iou_score"
    assert jaccard.name == "jaccard"
