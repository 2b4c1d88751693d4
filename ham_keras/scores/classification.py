"""Scores of a classifier's probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ham_keras.scores.bootstrap import bootstrap_statistic, interval_over

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]
Odds = npt.NDArray[np.float64] | float
MELANOMA = "mel"
SPECIFICITIES = (90, 95)  # percent, at which the sensitivity of melanoma is reported
BINS = 10  # of confidence
LEAST_PROBABILITY = 1e-7


def auc(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the share of pairs of a positive and a negative in the right order, ties count half.

    nan without positives or without negatives.
    """
    ordered = np.sort(scores)
    # The mean of the ranks that equal scores share.
    ranks = (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right") + 1) / 2
    positives = int(positive.sum())
    negatives = len(scores) - positives
    if not (positives and negatives):
        return float("nan")
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def macro_auc(probabilities: Floats, labels: Labels) -> float:
    """The mean over the classes of the AUC of one class against the rest; classes without images are left out."""
    areas = [auc(probabilities[:, k], labels == k) for k in range(probabilities.shape[1])]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def balanced_accuracy(answers: Labels, labels: Labels) -> float:
    """The mean sensitivity of the classes that have images."""
    return float(np.mean([np.mean(answers[labels == k] == k) for k in np.unique(labels)]))


def accuracy(answers: Labels, labels: Labels) -> float:
    """The share of images whose answer is right."""
    return float(np.mean(answers == labels))


def sensitivity_at_specificity(scores: Floats, positive: npt.NDArray[np.bool_], specificity: float) -> float:
    """The highest sensitivity of a threshold whose specificity is at least `specificity`, 0..1."""
    if positive.all() or not positive.any():
        return float("nan")
    negatives = np.sort(scores[~positive])
    # A score above the threshold is positive; so many negatives must be at or below it.
    threshold = negatives[max(0, int(np.ceil(specificity * len(negatives) - 1e-9)) - 1)]
    return float(np.mean(scores[positive] > threshold))


def log_loss(probabilities: Floats, labels: Labels) -> float:
    """The mean of -log of the right class's probability."""
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(right, LEAST_PROBABILITY)).mean())


def reliability(probabilities: Floats, labels: Labels) -> list[dict[str, float]]:
    """Confidence of the most probable class and accuracy in bins of confidence: "images", "confidence", "accuracy"."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "images": int((place == number).sum()),
            "confidence": float(confidence[place == number].mean()),
            "accuracy": float(right[place == number].mean()),
        }
        for number in np.unique(place)
    ]


def calibration_error(probabilities: Floats, labels: Labels) -> float:
    """Expected calibration error over 10 bins of confidence (Guo et al. 2017)."""
    bins = reliability(probabilities, labels)
    return float(sum(each["images"] * abs(each["confidence"] - each["accuracy"]) for each in bins) / len(labels))


def confusion(answers: Labels, labels: Labels, classes: int) -> list[list[int]]:
    """Number of images by class (row) and answer (column)."""
    counts = np.bincount(labels * classes + answers, minlength=classes**2)
    return [[int(count) for count in row] for row in counts.reshape(classes, classes)]


Statistic = Callable[[Floats, Labels], float]


def statistics_of(classes: Sequence[str], odds: Odds | None = 1.0) -> dict[str, Statistic]:
    """The scores of a summary, by name; those of melanoma only if it is one of the classes.

    The answer is the class with the highest probability times its `odds`; with None, scores of answers are left out.
    """

    overall: dict[str, Statistic] = {"macro_auc": macro_auc}
    if odds is not None:
        overall["balanced_accuracy"] = partial(_of_answers, odds=odds, score=balanced_accuracy)
        overall["accuracy"] = partial(_of_answers, odds=odds, score=accuracy)
    overall |= {"log_loss": log_loss, "calibration_error": calibration_error}
    if MELANOMA not in classes:
        return overall
    place = list(classes).index(MELANOMA)

    def melanoma_auc(probabilities: Floats, labels: Labels) -> float:
        return auc(probabilities[:, place], labels == place)

    def sensitivity(probabilities: Floats, labels: Labels, percent: int) -> float:
        return sensitivity_at_specificity(probabilities[:, place], labels == place, percent / 100)

    at = {f"melanoma_sensitivity_at_{percent}": partial(sensitivity, percent=percent) for percent in SPECIFICITIES}
    return {"macro_auc": macro_auc, "melanoma_auc": melanoma_auc, **at, **overall}


def _of_answers(probabilities: Floats, labels: Labels, odds: Odds, score: Callable[[Labels, Labels], float]) -> float:
    return score((probabilities * odds).argmax(1), labels)


def summarise_diagnoses(
    probabilities: Floats,
    labels: Labels,
    classes: Sequence[str],
    lesions: Sequence[str],
    *,
    odds: Odds = 1.0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Summarise the probabilities [N, K] of images whose classes are `labels`, indices of `classes`.

    The answer is the class with the highest probability times its `odds`.

    Returns:
        {"images", "lesions", "classes", <score>: {"value", "interval"}, "by_diagnosis": {class: {"images", "lesions",
        "auc", "sensitivity", "sensitivity_interval", "specificity"}}, "reliability", "confusion"}. Intervals are 95 %
        bootstraps over lesions, and None where they or the value do not exist, and of melanoma, if a single lesion has
        it.
    """
    summary: dict[str, Any] = {"images": len(labels), "lesions": len(set(lesions)), "classes": list(classes)}
    for name, statistic in statistics_of(classes, odds).items():

        def of(chosen: Labels, statistic: Statistic = statistic) -> float:
            return statistic(probabilities[chosen], labels[chosen])

        value = known(statistic(probabilities, labels))
        summary[name] = {"value": value, "interval": _interval(name, of, labels, classes, lesions, resamples)}
    answers = (probabilities * odds).argmax(1)
    summary["by_diagnosis"] = {}
    for place, name in enumerate(classes):
        inside = labels == place
        right, theirs = answers[inside] == place, np.asarray(lesions)[inside].tolist()
        summary["by_diagnosis"][name] = {
            "images": int(inside.sum()),
            "lesions": len(set(theirs)),
            "auc": known(auc(probabilities[:, place], inside)),
            "sensitivity": _share(right),
            "sensitivity_interval": interval_over(right.astype(np.float64), theirs, resamples=resamples),
            "specificity": _share(answers[~inside] != place),
        }
    counts = confusion(answers, labels, len(classes))
    return summary | {"reliability": reliability(probabilities, labels), "confusion": counts}


def paired_difference(
    first: Floats,
    second: Floats,
    labels: Labels,
    classes: Sequence[str],
    lesions: Sequence[str],
    *,
    odds: Odds | None = 1.0,
    resamples: int = 2000,
) -> dict[str, dict[str, Any]]:
    """For each of `statistics_of`, that of `first` minus that of `second` on the same images: {"value", "interval"}."""
    found = {}
    for name, statistic in statistics_of(classes, odds).items():

        def difference(chosen: Labels, statistic: Statistic = statistic) -> float:
            return statistic(first[chosen], labels[chosen]) - statistic(second[chosen], labels[chosen])

        value = known(difference(np.arange(len(labels))))
        found[name] = {"value": value, "interval": _interval(name, difference, labels, classes, lesions, resamples)}
    return found


def _interval(
    name: str,
    statistic: Callable[[Labels], float],
    labels: Labels,
    classes: Sequence[str],
    lesions: Sequence[str],
    resamples: int,
) -> list[float] | None:
    """The bootstrap interval of a score; None for one of melanoma if a single lesion has it, or has not."""
    if name.startswith("melanoma"):
        positive = labels == list(classes).index(MELANOMA)
        if min(len(set(np.asarray(lesions)[side])) for side in (positive, ~positive)) < 2:
            return None
    return bootstrap_statistic(statistic, lesions, resamples=resamples)


def lesions_of(summary: Mapping[str, Any], name: str) -> int | None:
    """The number of lesions that a score's interval is over: of melanoma, those with it. None if it is not known."""
    if name.startswith("melanoma"):
        count: int | None = summary["by_diagnosis"][MELANOMA].get("lesions")
        return count
    return int(summary["lesions"])


def known(value: float) -> float | None:
    """The value; None if it is not a number, for a score that these images do not have."""
    return None if np.isnan(value) else value


def _share(right: npt.NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if len(right) else None
