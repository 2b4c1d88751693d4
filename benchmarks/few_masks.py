"""Train on few masks, from random weights, from phantoms and from an ImageNet encoder, and draw the curve.

    python benchmarks/few_masks.py HAM10000 SPLIT.json [--imagenet FILE.weights.h5] [--counts 50 200 1000 3800]

best.json's recipe without mirror images, on the first images of the shuffled training split, so that fewer are part of
more; a fifth as many of the validation split choose the epoch. "Averaged" keeps half of the phantoms' weights in the
mean, see `train.initial_share`. The test split is scored at the masks' own size, also with the phantoms' network as it
is. Finished runs are not repeated. Writes benchmarks/results/few_masks.json and docs/images/few-masks.png.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from variants import Row, Variant, describe, save_table, score_rows, train_variant

from ham_keras.data.selection import read_records
from ham_keras.data.splits import load_split
from ham_keras.files import save_json
from ham_keras.prediction.ensemble import load_ensemble
from ham_keras.reports.pictures import save_figure
from ham_keras.runs import Run

AVERAGED = "phantoms, averaged"
MOST_AVERAGED = 200  # images; not measured with more
EPOCHS = {50: 60, 200: 30, 1000: 10, 3800: 4}  # the fewer images, the more often each is seen


def subset(split: dict[str, list[str]], count: int) -> dict[str, list[str]]:
    """`count` training images and a fifth as many validation images, at least 10, in random order."""
    shuffled = {name: random.Random(0).sample(split[name], len(split[name])) for name in ("train", "val")}
    return {"train": shuffled["train"][:count], "val": shuffled["val"][: max(10, count // 5)], "test": split["test"]}


def score_untrained(name: str, root: str, split: dict[str, list[str]]) -> Row:
    """The row of a run or model that was trained on other images."""
    ensemble = load_ensemble(name)
    (member,) = ensemble.members
    data = member.config.data.model_copy(update={"root": root})
    chosen = set(split["test"])
    records = [record for record in read_records(data) if record.image_id in chosen]
    home = Run(Path("evaluations") / ensemble.name)
    return describe(Variant(ensemble.name, [], [score_rows(ensemble, home, records, "fixed-test")]))


def draw(rows: list[Row], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for start in dict.fromkeys(row["start"] for row in rows):
        those = [row for row in rows if row["start"] == start]
        means = np.array([row["jaccard"]["mean"] for row in those])
        limits = np.array([row["jaccard"]["interval"] for row in those])
        counts = [row["training_images"] for row in those]
        if counts[0] == 0:
            axes.axhline(means[0], color="0.6", linestyle="--", label="phantoms, no real image")
            counts, means, limits = counts[1:], means[1:], limits[1:]
        errors = np.abs(limits.T - means)
        axes.errorbar(counts, means, errors, marker="o", capsize=3, label=start)
    axes.set(xscale="log", xlabel="training images with masks", ylabel="mean Jaccard of the test images")
    axes.set_xticks(list(EPOCHS), list(map(str, EPOCHS)))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(title="started from")
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what starting weights are worth with few masks.")
    parser.add_argument("root")
    parser.add_argument("split", type=Path)
    parser.add_argument("--phantom", default="phantom", help="a run or model trained on phantoms (default: phantom)")
    parser.add_argument("--imagenet", metavar="FILE", help="weights of a MobileNet encoder")
    parser.add_argument("--counts", type=int, nargs="+", choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--runs", type=Path, default=Path("runs/few_masks"))
    args = parser.parse_args()
    starts: dict[str, dict[str, Any]] = {
        "random weights": {"model.encoder_weights": None, "train.learning_rate": 1e-3},
        "phantoms": {"model.encoder_weights": None, "model.initial_weights": args.phantom},
    }
    starts[AVERAGED] = {**starts["phantoms"], "train.initial_share": 0.5}
    if args.imagenet:
        starts["ImageNet encoder"] = {"model.encoder_weights": args.imagenet}
    split = load_split(args.split)
    rows = [{"start": "phantoms", "training_images": 0, "epochs": 0, **score_untrained(args.phantom, args.root, split)}]
    for count in args.counts:
        split_file = args.runs / f"split-{count}.json"
        split_file.parent.mkdir(parents=True, exist_ok=True)
        save_json(split_file, subset(split, count))
        for start, settings in starts.items():
            if start == AVERAGED and count > MOST_AVERAGED:
                continue
            overrides = {
                "data.root": args.root, "data.split_file": str(split_file), "outline.tta": False,
                "train.epochs": EPOCHS[count], "train.ema_momentum": 0.99,
            }  # fmt: skip
            name = f"{start.replace(',', '').replace(' ', '-')}-{count}"
            variant = train_variant(name, "best", {**overrides, **settings}, args.runs)
            rows.append({"start": start, "training_images": count, "epochs": EPOCHS[count], **describe(variant)})
    rows.sort(key=lambda row: list(starts).index(row["start"]))
    save_table(rows, {"recipe": "best.json", "outline.tta": False}, Path("benchmarks/results/few_masks.json"))
    draw(rows, Path("docs/images/few-masks.png"))


if __name__ == "__main__":
    main()
