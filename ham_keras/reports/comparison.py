"""The report comparing two runs scored on the same images, with a paired interval for every difference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.files import save_csv
from ham_keras.reports.cases import CASES_PER_KIND, LEGEND, draw_cases
from ham_keras.reports.facts import DIAGNOSES, describe_set
from ham_keras.reports.failures import GROUPS, group_members, measure_records, measurement_rows
from ham_keras.reports.page import MEASURES, PAGE, new_report, save_page
from ham_keras.reports.plots import save_pairs
from ham_keras.reports.scored_set import ScoredSet, load_scored_set
from ham_keras.scores.bootstrap import spread
from ham_keras.scores.pairing import RESAMPLES, pair_scores
from ham_keras.scores.scores import SCORES
from ham_keras.scores.summary import size_group

Kinds = dict[str, dict[str, set[str]]]


def report_pair(
    folder: Path | str,
    other: Path | str,
    name: str = "test",
    *,
    data_root: Path | str | None = None,
    output: Path | str | None = None,
    visible: bool = True,
) -> Path:
    """Write the report of two runs' scores/<name>/ into reports/<name>-vs-<other>/ of the first, or into `output`.

    Raises:
        HamError: not runs, not scored, not the same images, or images or weights have changed since.
    """
    first, second = (load_scored_set(run, name, data_root=data_root) for run in (folder, other))
    title = f"{name}-vs-{second.run.folder.resolve().name}"
    target = Path(output) if output is not None else first.run.report(title)
    with new_report(target) as part:
        write_comparison(first, second, part, visible=visible)
    return target / PAGE


def write_comparison(first: ScoredSet, second: ScoredSet, folder: Path, *, visible: bool = True) -> None:
    """Write all files of a comparison into a new folder. Differences are the first minus the second.

    Raises:
        HamError: the two sets have different images, or as in `ScoredSet.predict_masks`.
    """
    scores = {name: pair_scores(first.table, second.table, f"{name}_native") for name in SCORES}
    measured = measure_records(list(first.records.values()), visible=visible)
    save_csv(folder / MEASURES, measurement_rows(measured))
    failure_groups = {GROUPS[name].title: ids for name, ids in group_members(measured).items()}
    kinds = {"Failure group": failure_groups, **_kinds(first)}
    differences = {kind: _differences(first, second, groups) for kind, groups in kinds.items()}

    ours, theirs = (np.array([scored.jaccard(image_id) for image_id in first.rows]) for scored in (first, second))
    save_pairs(ours, theirs, folder / "pairs.png")
    change = dict(zip(first.rows, ours - theirs, strict=True))
    ordered = sorted(change, key=lambda image_id: (change[image_id], image_id))
    chosen = {
        "a_better": [image_id for image_id in reversed(ordered[-CASES_PER_KIND:]) if change[image_id] > 0],
        "b_better": [image_id for image_id in ordered[:CASES_PER_KIND] if change[image_id] < 0],
    }
    cards = draw_cases(first, chosen, folder, second)
    view: dict[str, Any] = {
        "runs": [scored.run.folder.resolve().name for scored in (first, second)],
        "set": first.name,
        "scores": scores,
        "facts": _side_by_side(describe_set(first), describe_set(second)),
        "differences": differences,
        "cases": {"A is better by most": cards["a_better"], "B is better by most": cards["b_better"]},
        "diagnoses": DIAGNOSES,
        "legend": LEGEND,
        "resamples": RESAMPLES,
    }
    content = {
        "runs": view["runs"],
        "set": first.name,
        "scores": scores,
        "differences": differences,
        "cases": chosen,
    }
    save_page("comparison.html", folder, content, view)


def _kinds(scored: ScoredSet) -> Kinds:
    """Return the image ids of each diagnosis and each size group, in the summary's order."""
    by_diagnosis: dict[str, set[str]] = {name: set() for name in scored.summary["by_diagnosis"]}
    by_size: dict[str, set[str]] = {name: set() for name in scored.summary["by_size"]}
    for image_id, row in scored.rows.items():
        by_diagnosis[row["diagnosis"]].add(image_id)
        by_size[size_group(float(row["lesion_fraction"]))].add(image_id)
    return {"Diagnosis": by_diagnosis, "Lesion size": by_size}


def _differences(first: ScoredSet, second: ScoredSet, groups: Mapping[str, set[str]]) -> dict[str, dict[str, Any]]:
    """Return each group's size, both mean Jaccards and the difference with its interval; None if it is empty."""
    found = {}
    for name, ids in groups.items():
        rows = [row for image_id, row in first.rows.items() if image_id in ids]
        ours = np.array([first.jaccard(row["image_id"]) for row in rows])
        theirs = np.array([second.jaccard(row["image_id"]) for row in rows])
        lesions = [row["lesion_id"] for row in rows]
        found[name] = {
            "images": len(rows),
            "lesions": len(set(lesions)),
            "ours": float(ours.mean()) if rows else None,
            "theirs": float(theirs.mean()) if rows else None,
            "difference": spread(ours - theirs, lesions, resamples=RESAMPLES) if rows else None,
        }
    return found


def _side_by_side(first: dict[str, dict[str, str]], second: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Merge two runs' facts into rows (label, A, B), by section."""
    return {
        section: [
            (label, first[section].get(label, ""), second[section].get(label, ""))
            for label in {**first[section], **second[section]}
        ]
        for section in first
    }
