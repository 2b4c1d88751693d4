"""Update the tables of docs/explanation/mfsnet.md and docs/how-to/hair.md.

    python benchmarks/mfsnet_tables.py

Tables follow a line `<!-- mfsnet: NAME -->`, see `TABLES`. Screenings are read from benchmarks/results, full trainings
from docs/runs. Differences are paired by image, with 95 % bootstrap intervals over lesions.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.files import load_csv, load_json, save_text
from ham_keras.scores.bootstrap import interval_over, show_interval
from ham_keras.scores.summary import size_group

DOCUMENTS = (Path("docs/explanation/mfsnet.md"), Path("docs/how-to/hair.md"))
RESULTS, RUNS = Path("benchmarks/results"), Path("docs/runs")
MARKED = re.compile(r"<!-- mfsnet: (?P<name>[\w ]+) -->\n\n(\|.*\n)*")
LABELS = {
    "unet": "U-Net",
    "unet-deep-supervision": "U-Net, deep supervision",
    "unet-weighted-loss": "U-Net, `boundary_jaccard_bce`",
    "mfsnet": "MFSNet",
    "mfsnet-image-loss": "MFSNet, `image_jaccard_bce` instead of `boundary_jaccard_bce`",
    "mfsnet-without-boundary": "MFSNet without boundary attention",
    "mfsnet-without-reverse": "MFSNet without reverse attention",
}
LABELS |= {f"{name}-inpaint": f"{label}, hairs inpainted" for name, label in LABELS.items()} | {
    f"{name}-hairs": f"{label}, hairs drawn" for name, label in LABELS.items()
}
HANDLED = ("-inpaint", "-hairs")
Row = dict[str, Any]
Table = list[list[str]]


def update(document: str) -> str:
    """Return the document with every marked table made again."""

    def table(found: re.Match[str]) -> str:
        head, *body = TABLES[found["name"]]()
        lines = [head, ["---"] * len(head), *body]
        return f"<!-- mfsnet: {found['name']} -->\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)

    return MARKED.sub(table, document)


def shown(score: Row | None, decimals: int = 4, *, signed: bool = False) -> str:
    """A mean with its interval; nothing for None."""
    if score is None:
        return ""
    interval = show_interval(score["interval"], signed=signed, decimals=decimals)
    return f"{score['mean']:{'+' if signed else ''}.{decimals}f} ({interval})"


def load_rows(result: str) -> list[Row]:
    """The rows of a screening, in the order of `LABELS`, each network followed by itself with hair handling."""
    rows = {row["name"]: row for row in load_json(RESULTS / f"{result}.json")["rows"]}
    order = [name + handling for name in LABELS if not name.endswith(HANDLED) for handling in ("", *HANDLED)]
    assert rows.keys() <= set(order)
    return [rows[name] for name in order if name in rows]


def screening(result: str) -> Table:
    """The scores of a screening's networks, and what they cost."""
    head = ["", "mean Jaccard", "difference to the U-Net", "below 0.65", "Hausdorff 95 in px", "difference",
            "million parameters", "minutes of training", "ms"]  # fmt: skip
    return [head] + [
        [
            LABELS[row["name"]],
            shown(row["jaccard"]),
            shown(row.get("jaccard_difference"), signed=True),
            f"{100 * row['below_065']:.1f} %",
            f"{row['hausdorff95_px']['mean']:.1f}",
            shown(row.get("hausdorff95_px_difference"), 1, signed=True),
            f"{row['parameters'] / 1e6:.1f}",
            f"{row['minutes']:.1f}",
            f"{row['ms']:.1f}",
        ]
        for row in load_rows(result)
    ]


def parts(*results: str) -> Table:
    """Variants of a network against the network itself."""
    table = [["encoder, size", "", "against", "mean Jaccard", "Hausdorff 95 in px"]]
    for result in results:
        setting = load_json(RESULTS / f"{result}.json")["setting"]
        encoder = f"{'MobileNet' if setting['backbone'] == 'mobilenet' else 'ResNet34'}, {setting['size']} px"
        for row in load_rows(result):
            if (against := row.get("against")) and not row["name"].endswith(HANDLED):
                differences = (against["jaccard_difference"], against["hausdorff95_px_difference"])
                table.append([
                    encoder, LABELS[row["name"]], LABELS[against["name"]], shown(differences[0], signed=True),
                    shown(differences[1], 1, signed=True),
                ])  # fmt: skip
    return table


def drawn_hairs() -> Table:
    """What hairs drawn over the validation images cost."""
    table = [["", "without hairs", "loss by 4 hairs", "by 10", "by 20", "by 40", "by 80"]]
    for row in load_rows("mfsnet"):
        loss = {each["amount"]: each["loss"] for each in row["drawn_hairs"]}
        few, many = ([f"{loss[amount]['mean']:.4f}" for amount in amounts] for amounts in ((4, 10, 20), (80,)))
        table.append([LABELS[row["name"]], f"{row['jaccard']['mean']:.4f}", *few, shown(loss[40]), *many])
    return table


def rated_hairs() -> Table:
    """Scores of images rated for hair."""
    head = ["", "heavy hair", "no hair", "difference at the same mix", "gain under heavy hair", "gain without hair"]
    table = [head]
    for row in load_rows("mfsnet"):
        heavy, none = row["heavy_hair"], row["no_hair"]
        gains = [shown(part.get("gain_by_handling"), signed=True) for part in (heavy, none)]
        means = [f"{part['jaccard']:.4f}" for part in (heavy, none)]
        table.append([LABELS[row["name"]], *means, shown(row["heavy_minus_none"], signed=True), *gains])
    return table


def read_scores(run: str, name: str) -> dict[str, dict[str, str]]:
    """The kept rows of a scored set by image id."""
    with gzip.open(RUNS / run / "scores" / name / "per_image.csv.gz", "rt", encoding="utf-8") as file:
        return {row["image_id"]: row for row in csv.DictReader(file)}


def column(run: str, name: str, score: str) -> dict[str, float]:
    """A score by image id; the outlines of docs/runs/best are in a scoring of their own."""
    kept = "test-hd" if run == "best" and name == "test" else name
    return {image_id: float(row[score]) for image_id, row in read_scores(run, kept).items()}


def paired(ours: Sequence[str], theirs: Sequence[str], name: str, score: str) -> tuple[list[float], list[float], Row]:
    """The means of each run, and the difference of the runs' means on each image."""
    each = [[column(run, name, score) for run in runs] for runs in (ours, theirs)]
    ids = list(each[0][0])
    values = [np.array([[run[image_id] for image_id in ids] for run in runs]) for runs in each]
    difference = values[0].mean(axis=0) - values[1].mean(axis=0)
    lesions = [row["lesion_id"] for row in read_scores(ours[0], name).values()]
    means = [[float(mean) for mean in side.mean(axis=1)] for side in values]
    return means[0], means[1], {"mean": float(difference.mean()), "interval": interval_over(difference, lesions)}


def minutes(run: str) -> float:
    return sum(float(row["seconds"]) for row in load_csv(RUNS / run / "history.csv")) / 60


def full(ours: Sequence[str], theirs: Sequence[str]) -> Table:
    """Full trainings of MFSNet and the U-Net, one for each seed."""
    table = [["", "MFSNet", "U-Net", "difference"]]
    for label, name, score, decimals in (
        ("878 test images", "test", "jaccard_native", 4),
        ("Hausdorff 95 in px", "test", "hausdorff95_px", 1),
        ("isic2018, 326 images of other clinics", "isic2018", "jaccard_native", 4),
        ("pad_ufes, 416 smartphone photographs", "pad_ufes", "jaccard_native", 4),
    ):
        first, second, difference = paired(ours, theirs, name, score)
        sides = [", ".join(f"{mean:.{decimals}f}" for mean in means) for means in (first, second)]
        table.append([label, *sides, shown(difference, decimals, signed=True)])
    failed = [
        ", ".join(f"{100 * np.mean(np.array(list(column(run, 'test', 'jaccard_native').values())) < 0.65):.1f} %"
                  for run in runs)
        for runs in (ours, theirs)
    ]  # fmt: skip
    table.insert(2, ["below 0.65", *failed, ""])
    return [
        *table,
        [
            "minutes, on a machine in use by others",
            *(", ".join(f"{minutes(run):.0f}" for run in runs) for runs in (ours, theirs)),
            "",
        ],
    ]


def by_size(ours: Sequence[str], theirs: Sequence[str]) -> Table:
    """The difference of full trainings on the test images by the lesion's size."""
    rows = read_scores(ours[0], "test")
    each = [[column(run, "test", "jaccard_native") for run in runs] for runs in (ours, theirs)]
    groups: dict[str, list[str]] = {}
    for image_id, row in rows.items():
        groups.setdefault(size_group(float(row["lesion_fraction"])), []).append(image_id)
    table = [["lesion's share of the image", "images", "MFSNet minus U-Net"]]
    for name in sorted(groups, key=lambda name: int(name.partition("%")[0])):
        ids = groups[name]
        first, second = (np.mean([[run[image_id] for image_id in ids] for run in runs], axis=0) for runs in each)
        interval = interval_over(first - second, [rows[image_id]["lesion_id"] for image_id in ids])
        difference = {"mean": float((first - second).mean()), "interval": interval}
        table.append([name.replace("%", " %"), str(len(ids)), shown(difference, signed=True)])
    return table


SEEDS = (("mfsnet", "mfsnet-seed1"), ("best", "unet-seed1"))
LARGE = (("mfsnet-256",), ("unet-256",))
TABLES: dict[str, Callable[[], Table]] = {
    "full": partial(full, *SEEDS),
    "full by size": partial(by_size, *SEEDS),
    "full at 256": partial(full, *LARGE),
    "full at 256 by size": partial(by_size, *LARGE),
    "screening": partial(screening, "mfsnet"),
    "screening with ResNet34": partial(screening, "mfsnet_resnet34"),
    "screening at 256": partial(screening, "mfsnet_256"),
    "parts": partial(parts, "mfsnet", "mfsnet_256", "mfsnet_resnet34"),
    "drawn hairs": drawn_hairs,
    "rated hairs": rated_hairs,
}


def main() -> None:
    for document in DOCUMENTS:
        save_text(document, update(document.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
