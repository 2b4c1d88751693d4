"""The report of one scored set of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ham_keras.files import load_csv, save_csv
from ham_keras.reports.cases import CASES_PER_KIND, LEGEND, draw_cases
from ham_keras.reports.facts import DIAGNOSES, describe_set
from ham_keras.reports.failures import GROUPS, group_members, measure_records, measurement_rows, score_groups
from ham_keras.reports.maps import draw_maps
from ham_keras.reports.page import MEASURES, PAGE, new_report, save_page
from ham_keras.reports.pictures import best_median_worst, save_curves
from ham_keras.reports.plots import save_by_diagnosis, save_by_size, save_distribution
from ham_keras.reports.robustness import load_robustness, rank_changes, save_expected, save_panels
from ham_keras.reports.scored_set import ScoredSet, load_scored_set
from ham_keras.reports.trust import save_trust_plots
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
        HamError: not a run, not scored, or images or weights have changed since.
    """
    scored = load_scored_set(folder, name, data_root=data_root)
    target = Path(output) if output is not None else scored.run.report(name)
    with new_report(target) as part:
        write_report(scored, part, visible=visible)
    return target / PAGE


def write_report(scored: ScoredSet, folder: Path, *, visible: bool = True) -> None:
    """Write all files of a scored set's report into a new folder."""
    rows = list(scored.rows.values())
    measured = measure_records(list(scored.records.values()), visible=visible)
    save_csv(folder / MEASURES, measurement_rows(measured))
    groups = group_members(measured)
    group_scores = score_groups(rows, groups, resamples=scored.config.score.bootstrap_resamples)

    history: list[View] = [{key: float(value) for key, value in row.items()} for row in load_csv(scored.run.history)]
    save_curves(history, scored.config.train.monitor, folder / "curves.png")
    save_distribution(rows, folder / "distribution.png")
    save_by_size(rows, folder / "size.png")
    save_by_diagnosis(rows, scored.summary["by_diagnosis"], folder / "diagnosis.png")
    if "trust" in scored.summary:
        save_trust_plots(rows, folder)
    robustness = load_robustness(scored.run, scored.name)
    if robustness:
        save_panels([robustness], folder / "robustness.png")
        save_expected(robustness, folder / "expected_means.png")

    chosen = {kind: [row["image_id"] for row in kept] for kind, kept in best_median_worst(rows, CASES_PER_KIND).items()}
    if "worst" in chosen:
        chosen["worst"].reverse()
    for group, ids in groups.items():
        chosen[group] = sorted(ids, key=lambda image_id: (scored.jaccard(image_id), image_id))
        del chosen[group][CASES_PER_KIND:]
    cards = draw_cases(scored, chosen, folder)
    maps = draw_maps(scored, [chosen[kind][0] for kind in ("best", "median", "worst") if chosen.get(kind)], folder)
    view: View = {
        "run": scored.run.folder.resolve().name,
        "scored": scored,
        "facts": describe_set(scored),
        "scores": SCORES,
        "cases": {kind: cards[kind] for kind in ("best", "median", "worst") if kind in cards},
        "maps": maps,
        "robustness": robustness,
        "ranked": rank_changes(robustness) if robustness else [],
        "groups": [{"group": GROUPS[name], "cards": cards[name], **group_scores[name]} for name in GROUPS],
        "ungrouped": len(scored.rows.keys() - set().union(*groups.values())),
        "diagnoses": DIAGNOSES,
        "legend": LEGEND,
    }
    content = {
        "run": view["run"],
        "set": scored.name,
        "summary": scored.summary,
        "groups": group_scores,
        "cases": chosen,
        "robustness": robustness,
    }
    save_page("report.html", folder, content, view)
