"""Report a scored run, or two side by side, as one HTML page that holds its pictures and can be mailed alone.

python -m ham_keras.report runs/base
python -m ham_keras.report runs/base runs/full
python -m ham_keras.report runs/base --set PH2
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ham_keras.errors import run_command
from ham_keras.runs import load_csv, save_csv

if TYPE_CHECKING:
    from ham_keras.reports.scorings import Scoring

View = dict[str, Any]


def report(
    folder: Path | str,
    other: Path | str | None = None,
    *,
    name: str = "test",
    data_root: Path | str | None = None,
    output: Path | str | None = None,
    visible: bool = True,
) -> Path:
    """Write the report of scores/<name>/ of a run, or of it and the same scoring of another run; returns the page.

    It goes to reports/<name>/ of the run, with another to reports/<name>-vs-<other>/, or to `output`. Beside
    report.html lie its pictures as PNGs, report.json with its figures, and failure_measures.csv. `data_root` is where
    the images lie now, if no longer where they were scored.

    Raises:
        HamError: not a run, not scored, other images in the two, images or weights are not those that were scored.
    """
    from ham_keras.reports.comparison import write_comparison
    from ham_keras.reports.page import PAGE, new_report
    from ham_keras.reports.scorings import load_scoring

    first = load_scoring(folder, name, data_root=data_root)
    second = load_scoring(other, name, data_root=data_root) if other is not None else None
    place = name if second is None else f"{name}-vs-{second.run.folder.resolve().name}"
    target = Path(output) if output is not None else first.run.report(place)
    with new_report(target) as part:
        if second is None:
            write_report(first, part, visible=visible)
        else:
            write_comparison(first, second, part, visible=visible)
    return target / PAGE


def write_report(scoring: Scoring, folder: Path, *, visible: bool = True) -> None:
    """Write all files of one scoring's report into a new folder."""
    from ham_keras.reports.cases import EACH, LEGEND, draw_cases
    from ham_keras.reports.facts import DIAGNOSES, describe
    from ham_keras.reports.failures import GROUPS, measure_all, measure_rows, members, score_groups
    from ham_keras.reports.page import MEASURES, save_page
    from ham_keras.reports.pictures import best_median_worst, save_curves
    from ham_keras.reports.plots import save_by_diagnosis, save_by_size, save_distribution
    from ham_keras.scores.scores import SCORES

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


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ham_keras.report",
        description="Write a scored run's report, or that of two runs side by side, as one HTML page with its pictures "
        "inside. It goes to RUN/reports/NAME/report.html; of two runs to RUN/reports/NAME-vs-OTHER/report.html.",
    )
    parser.add_argument("run", help="a run folder, e.g. runs/base")
    parser.add_argument("other", nargs="?", help="another run that scored the same images, to compare with")
    parser.add_argument("--set", default="test", metavar="NAME", help="report scores/NAME/ (default: test)")
    parser.add_argument("--data", metavar="ROOT", help="where the scored images lie now, if they have moved")
    parser.add_argument("--output", metavar="DIR", help="write into this folder instead")
    args = parser.parse_args(argv)
    print(report(args.run, args.other, name=args.set, data_root=args.data, output=args.output))
    return 0


if __name__ == "__main__":
    run_command(main)
