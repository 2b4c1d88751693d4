"""Paired comparison of two tables of diagnoses of the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.diagnosis.scoring import read_probabilities
from ham_keras.errors import HamError
from ham_keras.scores.classification import known, paired_difference, statistics_of
from ham_keras.scores.pairing import check_paired


def pair_diagnoses(ours: Path, theirs: Path, resamples: int = 2000) -> dict[str, Any]:
    """Scores of the probabilities in two tables and the differences, ours minus theirs, with 95 % intervals.

    Lesions are resampled, the same ones for both tables. Scores of answers need the classifier's odds, which no table
    has, and are left out.

    Args:
        ours, theirs: per_image.csv or network.csv of a diagnosis run.

    Returns:
        {"images", "lesions", "scores": {name: {"ours", "theirs", "difference": {"value", "interval"}}}}. A value is
        None where a diagnosis is missing, an interval also where one lesion has it.

    Raises:
        HamError: not such tables, or not of the same images and diagnoses.
    """
    ids, lesions, classes, labels, first = read_probabilities(ours)
    other_ids, _, other_classes, other_labels, second = read_probabilities(theirs)
    if classes != other_classes:
        raise HamError(f"{ours} and {theirs}: {', '.join(classes)} against {', '.join(other_classes)}; "
                       "expected the same diagnoses")  # fmt: skip
    check_paired(ours, theirs, ids, other_ids, kind="table")
    order = [other_ids.index(image_id) for image_id in ids]
    if not np.array_equal(labels, other_labels[order]):
        raise HamError(f"{ours} and {theirs}: the diagnoses of the same images differ")
    second = second[order]
    differences = paired_difference(first, second, labels, classes, lesions, odds=None, resamples=resamples)
    scores = {
        name: {
            "ours": known(statistic(first, labels)),
            "theirs": known(statistic(second, labels)),
            "difference": differences[name],
        }
        for name, statistic in statistics_of(classes, odds=None).items()
    }
    return {"images": len(ids), "lesions": len(set(lesions)), "scores": scores}
