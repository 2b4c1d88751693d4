"""Two runs on the same changed images, side by side."""

from __future__ import annotations

from pathlib import Path

from ham_keras.data.changes.catalogue import CHANGES
from ham_keras.errors import HamError
from ham_keras.experiments.robustness_folder import RobustnessFolder
from ham_keras.files import load_json, replacing, save_json
from ham_keras.reports.robustness import save_panels
from ham_keras.scores.bootstrap import show_interval
from ham_keras.scores.pairing import RESAMPLES
from ham_keras.scores.robustness import compare_changes


def compare_robustness(first: Path, second: Path) -> str:
    """Compare two folders of robustness scores; writes vs-<other>.json and vs-<other>.png into the first.

    Returns:
        The comparison as plain text; differences are the first run minus the second.

    Raises:
        HamError: they have other images, or no change in common.
    """
    paths = RobustnessFolder(first), RobustnessFolder(second)
    summaries = [load_json(each.summary) for each in paths]
    ours, theirs = (each.load() for each in paths)
    if ours[0].keys() != theirs[0].keys():
        raise HamError(
            f"{first} and {second}: scores of different images; train both runs with the same data.split_file, or "
            f"measure both with --data ROOT"
        )
    names = [str(summary["run"]) for summary in summaries]
    if names[0] == names[1]:
        names = ["A", "B"]
    compared = compare_changes(ours, theirs, RESAMPLES)
    lesions = len({row["lesion_id"] for row in ours[0].values()})
    other = f"vs-{names[1]}"
    with replacing(first / f"{other}.json") as table:
        if len(compared) > 1:
            labelled = [{**summary, "run": name} for summary, name in zip(summaries, names, strict=True)]
            save_panels(labelled, first / f"{other}.png")
        save_json(table, {"runs": names, "images": len(ours[0]), "lesions": lesions, "compared": compared})
    lines = [f"\n{names[0]} minus {names[1]}, mean Jaccard over the strengths, paired 95 % intervals"]
    for name, pair in compared.items():
        title = CHANGES[name].title if name in CHANGES else "unchanged"
        difference = pair["difference"]
        interval = show_interval(difference["interval"], lesions, signed=True)
        lines.append(f"{title:16}{pair['ours']:8.4f}{pair['theirs']:8.4f}{difference['mean']:+9.4f}  {interval}")
    return "\n".join(lines)
