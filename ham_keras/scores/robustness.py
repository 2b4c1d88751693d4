"""Summarise the scores of changed images: what each change costs, compared with the same images unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ham_keras.scores.bootstrap import interval_over
from ham_keras.scores.quality import quality_of_rows
from ham_keras.scores.scores import THRESHOLD

Row = Mapping[str, str]
Rows = Mapping[str, Row]  # by image id
Floats = npt.NDArray[np.float64]
Scored = Mapping[int, Rows]  # the rows of a change by strength, 1 to 5


def summarise_rows(rows: Iterable[Row], resamples: int) -> dict[str, Any]:
    """Summarise images of one condition or group.

    Returns:
        images, lesions, jaccard {"mean", "interval"}, below_0.65; with columns of trust.json also expected_jaccard
        (its mean), review (a share) and trust, see `scores.quality.measure_quality`.
    """
    kept = list(rows)
    lesions = [row["lesion_id"] for row in kept]
    jaccard = _column(kept, "jaccard_native")
    found = {
        "images": len(kept),
        "lesions": len(set(lesions)),
        "jaccard": _spread(jaccard, lesions, resamples),
        "below_0.65": float(np.mean(jaccard < THRESHOLD)),
    }
    if quality := quality_of_rows(kept):
        found["expected_jaccard"] = float(_column(kept, "expected_jaccard").mean())
        found["review"] = quality["review"] / quality["images"]
        found["trust"] = quality
    return found


def summarise_change(clean: Rows, changed: Scored, resamples: int) -> dict[str, Any]:
    """Summarise a change at its strengths.

    Images whose lesion the change has moved out of the frame are left out, and so is a strength without others. A loss
    is the Jaccard of the unchanged image minus that of the changed one, over the same images; its interval is paired.

    Returns:
        strengths: for each, `summarise_rows`, "strength", "loss" {"mean", "interval"}, "without_lesion" and, of a
            change with two directions, "directions": images, jaccard and loss of each.
        jaccard, loss: {"mean", "interval"} over all strengths, each image by its mean.
    """
    strengths = []
    for strength, rows in sorted(changed.items()):
        kept = with_lesion(clean, rows)
        if not kept:
            continue
        part = {"strength": strength, **summarise_rows(kept.values(), resamples), **_loss(clean, kept, resamples)}
        part["without_lesion"] = len(rows) - len(kept)
        directions = sorted({row["direction"] for row in kept.values()} - {""})
        if directions:
            part["directions"] = {name: _of_direction(clean, kept, name, resamples) for name in directions}
        strengths.append(part)
    jaccard, losses = mean_by_image(clean, changed)
    lesions = [clean[image_id]["lesion_id"] for image_id in jaccard]
    return {
        "strengths": strengths,
        "jaccard": _spread(np.array(list(jaccard.values())), lesions, resamples),
        "loss": _spread(np.array(list(losses.values())), lesions, resamples),
    }


def mean_by_image(clean: Rows, changed: Scored) -> tuple[dict[str, float], dict[str, float]]:
    """Each image's Jaccard and its loss, as means over the strengths that leave its lesion in the frame."""
    values: dict[str, list[float]] = {}
    for rows in changed.values():
        for image_id, row in with_lesion(clean, rows).items():
            values.setdefault(image_id, []).append(float(row["jaccard_native"]))
    jaccard = {image_id: float(np.mean(found)) for image_id, found in values.items()}
    return jaccard, {image_id: float(clean[image_id]["jaccard_native"]) - mean for image_id, mean in jaccard.items()}


def with_lesion(clean: Rows, rows: Rows) -> dict[str, Row]:
    """The rows of images whose lesion the change has left in the frame; images without one anyway stay."""
    return {
        image_id: row
        for image_id, row in rows.items()
        if float(row["lesion_fraction"]) > 0 or float(clean[image_id]["lesion_fraction"]) == 0
    }


def summarise_changes(clean: Rows, changes: Mapping[str, Scored], resamples: int) -> dict[str, Any]:
    """Summarise all changes.

    Returns:
        images, lesions; clean: `summarise_rows`; changes: `summarise_change` of each; mean: Jaccard and loss over all
        changes and strengths, each image by its mean; with columns of trust.json also trust: over all changed images,
        `scores.quality.measure_quality`, and pearson_of_means, the correlation of the mean expected Jaccard of a
        condition with its mean Jaccard.
    """
    found: dict[str, Any] = {"images": len(clean), "lesions": len({row["lesion_id"] for row in clean.values()})}
    found["clean"] = summarise_rows(clean.values(), resamples)
    found["changes"] = {name: summarise_change(clean, scored, resamples) for name, scored in changes.items()}
    if not changes:
        return found
    means = [mean_by_image(clean, scored) for scored in changes.values()]
    for place, name in enumerate(("jaccard", "loss")):
        found.setdefault("mean", {})[name] = _mean_over([each[place] for each in means], clean, resamples)
    everything = [
        row for scored in changes.values() for rows in scored.values() for row in with_lesion(clean, rows).values()
    ]
    if quality := quality_of_rows(everything):
        conditions = [found["clean"], *(part for each in found["changes"].values() for part in each["strengths"])]
        expected, true = (np.array([read(part) for part in conditions]) for read in (_expected, _mean))
        constant = np.ptp(expected) == 0 or np.ptp(true) == 0
        of_means = None if constant else float(np.corrcoef(expected, true)[0, 1])
        found["trust"] = {"pearson_of_means": of_means, **quality}
    return found


def compare_changes(
    first: tuple[Rows, Mapping[str, Scored]], second: tuple[Rows, Mapping[str, Scored]], resamples: int
) -> dict[str, Any]:
    """Compare two runs on the same changed images: the mean Jaccard of each, and their paired difference.

    Args:
        first, second: the rows of the unchanged images, and those of the changes by strength.

    Returns:
        {"clean" or change: {"ours", "theirs", "difference": {"mean", "interval"}}}, of a change over all strengths.
    """
    ours, theirs = (
        {image_id: float(row["jaccard_native"]) for image_id, row in side[0].items()} for side in (first, second)
    )
    found = {"clean": _pair(ours, theirs, first[0], resamples)}
    for name in first[1].keys() & second[1].keys():
        ours, theirs = (mean_by_image(side[0], side[1][name])[0] for side in (first, second))
        found[name] = _pair(ours, theirs, first[0], resamples)
    return {name: found[name] for name in ("clean", *first[1]) if name in found}


def _pair(ours: Mapping[str, float], theirs: Mapping[str, float], clean: Rows, resamples: int) -> dict[str, Any]:
    a, b = (np.array([side[image_id] for image_id in ours]) for side in (ours, theirs))
    lesions = [clean[image_id]["lesion_id"] for image_id in ours]
    return {"ours": float(a.mean()), "theirs": float(b.mean()), "difference": _spread(a - b, lesions, resamples)}


def summarise_groups(
    clean: Rows, properties: Mapping[str, Mapping[str, str]], order: Callable[[str], Any], resamples: int
) -> dict[str, dict[str, Any]]:
    """`summarise_rows` of the unchanged images by property and group; `properties` have each image's group."""
    found: dict[str, dict[str, Any]] = {}
    for name, groups in properties.items():
        known = {image_id: group for image_id, group in groups.items() if image_id in clean}
        members: dict[str, list[Row]] = {group: [] for group in sorted(set(known.values()), key=order)}
        for image_id, group in known.items():
            members[group].append(clean[image_id])
        found[name] = {group: summarise_rows(rows, resamples) for group, rows in members.items()}
    return found


def _loss(clean: Rows, kept: Rows, resamples: int) -> dict[str, Any]:
    before = _column([clean[image_id] for image_id in kept], "jaccard_native")
    lost = before - _column(list(kept.values()), "jaccard_native")
    return {"loss": _spread(lost, [row["lesion_id"] for row in kept.values()], resamples)}


def _of_direction(clean: Rows, kept: Rows, name: str, resamples: int) -> dict[str, Any]:
    members = {image_id: row for image_id, row in kept.items() if row["direction"] == name}
    mean = float(_column(list(members.values()), "jaccard_native").mean())
    return {"images": len(members), "jaccard": {"mean": mean}, **_loss(clean, members, resamples)}


def _mean_over(values: Sequence[Mapping[str, float]], clean: Rows, resamples: int) -> dict[str, Any]:
    known = [image_id for image_id in clean if any(image_id in each for each in values)]
    means = np.array([np.mean([each[image_id] for each in values if image_id in each]) for image_id in known])
    return _spread(means, [clean[image_id]["lesion_id"] for image_id in known], resamples)


def _expected(part: Mapping[str, Any]) -> float:
    return float(part["expected_jaccard"])


def _mean(part: Mapping[str, Any]) -> float:
    return float(part["jaccard"]["mean"])


def _column(rows: Sequence[Row], name: str) -> Floats:
    return np.array([float(row[name]) for row in rows])


def _spread(values: Floats, lesions: Sequence[str], resamples: int) -> dict[str, Any]:
    return {"mean": float(values.mean()), "interval": interval_over(values, lesions, resamples=resamples)}
