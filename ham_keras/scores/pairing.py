"""Paired comparison of two sets of scores of the same images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.errors import HamError
from ham_keras.files import load_csv
from ham_keras.scores.bootstrap import interval_over

RESAMPLES = 10000


def pair_scores(ours: Path | str, theirs: Path | str, score: str = "jaccard_native") -> dict[str, Any]:
    """Mean and 95 % interval of a score in two files and of the difference, ours minus theirs.

    Lesions are resampled, the same ones for both files; lesion ids are read from the first.

    Returns:
        {"score", "images", "lesions", "ours", "theirs", "difference"}, the last three
        {"mean", "interval"}; intervals are None if there is only one lesion.

    Raises:
        HamError: a file or column is missing, or the files do not contain the same images.
    """
    first, second = read_scores(ours, ("lesion_id", score)), read_scores(theirs, (score,))
    check_paired(ours, theirs, first, second)
    lesions = [row["lesion_id"] for row in first.values()]
    try:
        a = np.array([float(row[score]) for row in first.values()])
        b = np.array([float(second[image_id][score]) for image_id in first])
    except ValueError as error:
        raise HamError(f"{ours} and {theirs}: {score} is not a column of numbers: {error}") from None
    result: dict[str, Any] = {"score": score, "images": len(a), "lesions": len(set(lesions))}
    for name, values in (("ours", a), ("theirs", b), ("difference", a - b)):
        interval = interval_over(values, lesions, resamples=RESAMPLES)
        result[name] = {"mean": float(values.mean()), "interval": interval}
    return result


def check_paired(
    ours: Path | str, theirs: Path | str, first: Iterable[str], second: Iterable[str], kind: str = "file"
) -> None:
    """Check that two files, called `kind`, have the same image ids.

    Raises:
        HamError: they do not.
    """
    if unpaired := sorted(set(first) ^ set(second)):
        raise HamError(
            f"{ours} and {theirs}: {len(unpaired)} images are in one {kind} only, the first: {unpaired[0]}; "
            f"score both runs on the same images"
        )


def read_scores(path: Path | str, columns: Sequence[str] = ("jaccard_native",)) -> dict[str, dict[str, str]]:
    """The rows of a per_image.csv by image id.

    Raises:
        HamError: the file cannot be read, or a column is missing.
    """
    try:
        rows = load_csv(Path(path))
    except (OSError, UnicodeDecodeError) as error:
        raise HamError(f"{path}: cannot be read: {error}") from None
    missing = [name for name in ("image_id", *columns) if not rows or name not in rows[0]]
    if missing:
        raise HamError(f"{path}: no column {missing[0]}; expected a per_image.csv")
    return {row["image_id"]: row for row in rows}
