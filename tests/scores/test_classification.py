"""Scores of probabilities, by hand and by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    roc_auc_score,
)
from sklearn.metrics import (
    log_loss as sklearn_log_loss,
)

from ham_keras.scores.bootstrap import bootstrap_interval, bootstrap_statistic
from ham_keras.scores.classification import (
    auc,
    balanced_accuracy,
    calibration_error,
    confusion,
    lesions_of,
    log_loss,
    macro_auc,
    paired_difference,
    sensitivity_at_specificity,
    summarise_diagnoses,
)

CLASSES = ("bkl", "mel", "nv")


def draw(seed: int, images: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=images)
    scores = rng.normal(size=(images, 3)).round(1) + 1.2 * np.eye(3)[labels]  # rounded: some are equal
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True), labels


def test_auc_by_hand() -> None:
    scores, positive = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, True, False, True])
    # Of four pairs three are in order and one is a tie.
    assert auc(scores, positive) == 3.5 / 4
    assert np.isnan(auc(scores, np.ones(4, bool)))


def test_sensitivity_at_specificity_by_hand() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
    positive = np.array([0, 0, 0, 1, 0, 1, 0, 0, 1, 1], bool)
    # Of the 6 others, 5, 6 and 4 must be at or below the threshold, which is 0.7, 0.8 and 0.5.
    assert sensitivity_at_specificity(scores, positive, 0.8) == 0.5
    assert sensitivity_at_specificity(scores, positive, 0.9) == 0.5
    assert sensitivity_at_specificity(scores, positive, 0.6) == 0.75


def test_agrees_with_scikit_learn() -> None:
    probabilities, labels = draw(0)
    assert macro_auc(probabilities, labels) == pytest.approx(
        np.mean([roc_auc_score(labels == k, probabilities[:, k]) for k in range(3)])
    )
    assert log_loss(probabilities, labels) == pytest.approx(sklearn_log_loss(labels, probabilities))
    chosen = probabilities.argmax(1)
    assert balanced_accuracy(chosen, labels) == pytest.approx(balanced_accuracy_score(labels, chosen))
    assert confusion(chosen, labels, 3) == confusion_matrix(labels, chosen).tolist()


def test_odds_change_answers_and_nothing_else() -> None:
    probabilities, labels = np.array([[0.2, 0.2, 0.6], [0.3, 0.1, 0.6], [0.1, 0.1, 0.8]]), np.array([1, 0, 2])
    lesions = ["a", "b", "c"]
    plain = summarise_diagnoses(probabilities, labels, CLASSES, lesions, resamples=100)
    odds = np.array([2.5, 4.0, 1.0])
    changed = summarise_diagnoses(probabilities, labels, CLASSES, lesions, odds=odds, resamples=100)
    # 0.5, 0.8, 0.6 is answered with the second, 0.75, 0.4, 0.6 with the first, and 0.25, 0.4, 0.8 with the third.
    assert (plain["accuracy"]["value"], changed["accuracy"]["value"]) == (pytest.approx(1 / 3), 1)
    assert changed["confusion"] == np.eye(3, dtype=int).tolist()
    for name in ("macro_auc", "log_loss", "calibration_error"):
        assert changed[name] == plain[name], name


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.35, 0.65], [0.35, 0.65]])
    # Bins of 0.9, both right, and of 0.65, one right: (2 * 0.1 + 2 * 0.15) / 4.
    assert calibration_error(probabilities, np.array([0, 0, 1, 0])) == pytest.approx(0.125)


def test_bootstrap_of_a_mean_is_that_of_any_statistic() -> None:
    values = np.random.default_rng(1).normal(size=60)
    lesions = [f"l{index // 2}" for index in range(60)]
    found = bootstrap_statistic(lambda chosen: float(values[chosen].mean()), lesions, resamples=300)
    assert found == pytest.approx(bootstrap_interval(values, lesions, resamples=300))
    assert bootstrap_statistic(lambda chosen: 1.0, ["one"] * 60) is None


def test_summary_has_values_in_their_intervals() -> None:
    probabilities, labels = draw(2)
    lesions = [f"l{index // 2}" for index in range(len(labels))]
    summary = summarise_diagnoses(probabilities, labels, CLASSES, lesions, resamples=200)
    assert summary["images"] == 200 and summary["lesions"] == 100
    for name in ("macro_auc", "melanoma_auc", "balanced_accuracy", "melanoma_sensitivity_at_90", "log_loss"):
        low, high = summary[name]["interval"]
        assert low < summary[name]["value"] < high, name
    melanoma = summary["by_diagnosis"]["mel"]
    assert melanoma["images"] == (labels == 1).sum() and melanoma["auc"] == summary["melanoma_auc"]["value"]
    low, high = melanoma["sensitivity_interval"]
    assert low < melanoma["sensitivity"] < high
    assert np.sum(summary["confusion"]) == 200
    assert sum(each["images"] for each in summary["reliability"]) == 200


def test_without_melanoma_or_with_a_missing_class() -> None:
    probabilities, labels = draw(3)
    without = summarise_diagnoses(probabilities, labels, ("a", "b", "c"), [str(n) for n in range(200)], resamples=100)
    assert "melanoma_auc" not in without
    some = np.flatnonzero(labels != 1)
    summary = summarise_diagnoses(probabilities[some], labels[some], CLASSES, [str(n) for n in some], resamples=100)
    assert summary["melanoma_auc"] == {"value": None, "interval": None}
    melanoma = summary["by_diagnosis"]["mel"]
    assert (melanoma["images"], melanoma["auc"], melanoma["sensitivity"]) == (0, None, None)
    assert melanoma["sensitivity_interval"] is None
    assert 0.5 < summary["macro_auc"]["value"] < 1


def test_paired_difference_is_narrower_than_its_parts() -> None:
    probabilities, labels = draw(4)
    lesions = [str(number) for number in range(200)]
    worse = 0.8 * probabilities + 0.2 * draw(5)[0]
    same = paired_difference(probabilities, probabilities, labels, CLASSES, lesions, resamples=100)
    assert same["macro_auc"] == {"value": 0.0, "interval": [0.0, 0.0]}
    change = paired_difference(probabilities, worse, labels, CLASSES, lesions, resamples=200)["macro_auc"]
    alone = summarise_diagnoses(probabilities, labels, CLASSES, lesions, resamples=200)["macro_auc"]
    assert change["interval"][1] - change["interval"][0] < alone["interval"][1] - alone["interval"][0]


def test_melanoma_of_one_lesion_has_no_interval() -> None:
    """Twelve lesions in all, of which one is a melanoma: resampling says nothing about other melanomas."""
    lesions = [f"L{place}" for place in range(12)]
    labels = np.array([0] + [1] * 11)
    probabilities = np.linspace([0.9, 0.1], [0.1, 0.9], 12)
    summary = summarise_diagnoses(probabilities, labels, ["mel", "nv"], lesions, resamples=100)
    for name in ("melanoma_auc", "melanoma_sensitivity_at_90"):
        assert summary[name] == {"value": 1.0, "interval": None}
        assert lesions_of(summary, name) == 1
    assert summary["accuracy"]["interval"] is not None and lesions_of(summary, "accuracy") == 12
    swapped = summarise_diagnoses(probabilities, 1 - labels, ["mel", "nv"], lesions, resamples=100)
    assert swapped["melanoma_auc"]["interval"] is None and lesions_of(swapped, "melanoma_auc") == 11
