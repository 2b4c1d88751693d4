"""The assessment of one image as columns of a table, with the reasons in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ham_keras.scores.scores import THRESHOLD

UNLIKE = "not like the dermoscopy images this network was trained on"
EMPTY, CUT, BLURRED, UNCERTAIN = "no lesion found", "lesion cut by the frame", "out of focus", "outline uncertain"
COLUMNS = ("expected_jaccard", "jaccard_at_least", "margin_px", "review", "review_reason")


def is_unlike(assessed: Mapping[str, Any]) -> bool:
    """Whether the input check of `assess.Assessor` finds an image unlike the training images; False without one."""
    return bool(assessed) and bool(assessed["input_distance"] > 1)


def trust_columns(assessed: Mapping[str, Any], height_px: int, width_px: int) -> dict[str, Any]:
    """Return `COLUMNS` of one image of this size; empty without an assessment.

    Args:
        assessed: one image's values of `assess.Assessor`.

    Returns:
        expected_jaccard, jaccard_at_least: 0..1, 4 decimals.
        margin_px: in pixels of the image, 1 decimal.
        review: 1 if a person should look at the mask, else 0.
        review_reason: in words, joined with "; "; "" if none.
    """
    if not assessed:
        return {}
    reasons = [UNLIKE] if is_unlike(assessed) else []
    if assessed["expected_jaccard"] == 0:  # of empty masks alone
        reasons.append(EMPTY)
    elif assessed["expected_jaccard"] < THRESHOLD:
        causes = [words for words, applies in ((CUT, assessed["cut"]), (BLURRED, assessed["blurred"])) if applies]
        reasons += causes or [UNCERTAIN]
    return {
        "expected_jaccard": round(float(assessed["expected_jaccard"]), 4),
        "jaccard_at_least": round(float(assessed["jaccard_at_least"]), 4),
        "margin_px": round(float(assessed["margin"]) * math.sqrt(height_px * width_px), 1),
        "review": int(assessed["review"]),
        "review_reason": "; ".join(reasons),
    }
