"""Scores of predicted quality: how well expected Jaccard indices and their bounds agree with the true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ham_keras.scores.scores import THRESHOLD

Floats = npt.NDArray[np.float64]


def measure_quality(
    jaccard: Floats,
    expected: Floats,
    at_least: Floats,
    within_margin: npt.NDArray[np.bool_],
    review: npt.NDArray[np.bool_],
    lesions: Sequence[str] | npt.NDArray[np.str_],
) -> dict[str, Any]:
    """Compare expected Jaccard indices with the true ones, [n] each.

    Returns:
        images: n.
        pearson: correlation; None if either is constant.
        mae: mean absolute error.
        failures, auroc: number of images below 0.65, and the area under the ROC curve of finding them by the lowest
            expected index; None if there are none, or only such.
        aurc: area under the risk-coverage curve, see `risk_coverage`; aurc_perfect and aurc_random: with the images
            ordered by their true index, and in no order.
        review, caught: number of images advised to review, and of the failures among them.
        at_least_coverage, margin_coverage: share of the images for which the bound holds, a lesion's images sharing
            its weight.
    """
    failed = jaccard < THRESHOLD
    mixed = bool(failed.any() and not failed.all())
    constant = np.ptp(jaccard) == 0 or np.ptp(expected) == 0
    _, index, counts = np.unique(np.asarray(lesions), return_inverse=True, return_counts=True)
    weights = 1 / counts[index]
    return {
        "images": len(jaccard),
        "pearson": None if constant else float(np.corrcoef(expected, jaccard)[0, 1]),
        "mae": float(np.abs(expected - jaccard).mean()),
        "failures": int(failed.sum()),
        "auroc": area_under_roc(failed, -expected) if mixed else None,
        "aurc": float(risk_coverage(jaccard, expected).mean()),
        "aurc_perfect": float(risk_coverage(jaccard, jaccard).mean()),
        "aurc_random": float(1 - jaccard.mean()),
        "review": int(review.sum()),
        "caught": int((review & failed).sum()),
        "at_least_coverage": float(np.average(jaccard >= at_least, weights=weights)),
        "margin_coverage": float(np.average(within_margin, weights=weights)),
    }


def risk_coverage(jaccard: Floats, confidence: Floats) -> Floats:
    """Return the mean risk, 1 - Jaccard, of the k most confident images, for k from 1 to n.

    Images of equal confidence count with their mean risk. The mean of the curve is the AURC (Geifman and El-Yaniv,
    ICLR 2019, Bias-reduced uncertainty estimation).
    """
    _, groups = np.unique(-confidence, return_inverse=True)
    risk = (np.bincount(groups, 1 - jaccard) / np.bincount(groups))[groups]
    ordered = risk[np.argsort(-confidence, kind="stable")]
    return np.cumsum(ordered) / np.arange(1, len(ordered) + 1)


def area_under_roc(positive: npt.NDArray[np.bool_], values: Floats) -> float:
    """Return the probability that a positive's value is above a negative's; ties count half."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[index]
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(values) - count)))


def quality_of_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return `measure_quality` of the rows of per_image.csv; None if they have no expected Jaccard index."""
    if not rows or "expected_jaccard" not in rows[0]:
        return None

    def column(name: str) -> Floats:
        return np.array([row[name] for row in rows], float)

    return measure_quality(
        column("jaccard_native"),
        column("expected_jaccard"),
        column("jaccard_at_least"),
        column("outline_distance_px") <= column("margin_px"),
        column("review") == 1,
        [str(row["lesion_id"]) for row in rows],
    )


def format_quality(quality: Mapping[str, Any]) -> str:
    """Format `measure_quality` as plain text."""

    def number(value: float | None) -> str:
        return "none" if value is None else f"{value:.4f}"

    return "\n".join(
        (
            "Expected Jaccard",
            f"  Pearson {number(quality['pearson'])}, mean absolute error {number(quality['mae'])}, "
            f"AUROC of Jaccard < {THRESHOLD} {number(quality['auroc'])}",
            f"  AURC {number(quality['aurc'])} (perfect order {number(quality['aurc_perfect'])}, "
            f"no order {number(quality['aurc_random'])})",
            f"  review advised for {quality['review']} of {quality['images']} images; they include "
            f"{quality['caught']} of the {quality['failures']} below {THRESHOLD}",
            f"  jaccard_at_least holds for {quality['at_least_coverage']:.1%}, margin_px for "
            f"{quality['margin_coverage']:.1%} of the images",
        )
    )
