"""The report of one scored run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ham_keras.files import load_csv, save_csv
from ham_keras.reports.cases import EACH, LEGEND, draw_cases
from ham_keras.reports.facts import DIAGNOSES, describe
from ham_keras.reports.failures import GROUPS, measure_all, measure_rows, members, score_groups
from ham_keras.reports.page import MEASURES, PAGE, new_report, save_page
from ham_keras.reports.pictures import best_median_worst, save_curves
from ham_keras.reports.plots import save_by_diagnosis, save_by_size, save_distribution
from ham_keras.reports.scorings import Scoring, load_scoring
from ham_keras.scores.scores import SCORES

View = dict[str, Any]


def report_run(
    folder: Path | str,
    name: str = "test",
    *,
    data_root: Path | str | None = None,
    output: Path | str | None = None,
    visible: bool = True,
) -> Path:
    """Write the report of scores/<name>/ of a run into reports/<name>/, or into `output`; returns the page.

    Raises:
        HamError: not a run, not scored, images or weights are not those that were scored.
    """
    scoring = load_scoring(folder, name, data_root=data_root)
    target = Path(output) if output is not None else scoring.run.report(name)
    with new_report(target) as part:
        write_report(scoring, part, visible=visible)
    return target / PAGE


def write_report(scoring: Scoring, folder: Path, *, visible: bool = True) -> None:
    """Write all files of one scoring's report into a new folder."""
    rows = list(scoring.rows.values())
    measured = measure_all(list(scoring.records.values()), visible=visible)
    save_csv(folder / MEASURES, measure_rows(measured))
    groups = members(measured)
    scored = score_groups(rows, groups, resamples=scoring.config.score.bootstrap_resamples)

    history: list[View] = [{key: float(value) for key, value in row.items()} for row in load_csv(scoring.run.history)]
    save_curves(history, folder / "curves.png")
    save_distribution(rows, folder / "distribution.png")
    save_by_size(rows, folder / "size.png")
    save_by_diagnosis(rows, scoring.summary["by_diagnosis"], folder / "diagnosis.png")

    chosen = {kind: [row["image_id"] for row in kept] for kind, kept in best_median_worst(rows, EACH).items()}
    if "worst" in chosen:
        chosen["worst"].reverse()
    for group, ids in groups.items():
        chosen[group] = sorted(ids, key=lambda image_id: (scoring.jaccard(image_id), image_id))
        del chosen[group][EACH:]
    cards = draw_cases(scoring, chosen, folder)
    view: View = {
        "run": scoring.run.folder.resolve().name,
        "scoring": scoring,
        "facts": describe(scoring),
        "scores": SCORES,
        "cases": {kind: cards[kind] for kind in ("best", "median", "worst") if kind in cards},
        "groups": [{"group": GROUPS[name], "cards": cards[name], **scored[name]} for name in GROUPS],
        "ungrouped": len(scoring.rows.keys() - set().union(*groups.values())),
        "diagnoses": DIAGNOSES,
        "legend": LEGEND,
    }
    content = {"run": view["run"], "set": scoring.name, "summary": scoring.summary, "groups": scored, "cases": chosen}
    save_page("report.html", folder, content, view)
