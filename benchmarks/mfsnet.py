"""Measure what MFSNet, its parts and hair handling bring, beside the U-Net of the same encoder.

    python benchmarks/mfsnet.py HAM10000 SPLIT.json --imagenet FILE.weights.h5 --ratings hair_ratings.csv --drawn-hairs
    python benchmarks/mfsnet.py HAM10000 SPLIT.json --backbone resnet34 --runs runs/mfsnet_resnet34

A screening: best.json's recipe without mirror images on 1,000 of the training images, 6 epochs, scored on the
validation split at the masks' own size; 100 other training images choose the epoch. Differences are to the U-Net, and
to the network that a variant leaves out a part of, trains with another loss, or adds hair handling to. With --ratings,
the images rated for hair are scored too, except those of lesions that were seen in training or are in the test split:
heavy hair (a mean rating of 1.5 and more) against none (below 0.5) with the same mix of sizes and diagnoses, and with
against without hair handling. With --drawn-hairs, the validation images are also scored with hairs drawn over them, at
the five strengths of `robustness`. Also the number of parameters, and the time of the network alone for one image in
float32. Finished runs are not repeated. Writes benchmarks/results/mfsnet.json, or <name of --runs>.json where that is
not the default.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from variants import Row, Variant, describe, differences, save_table, score_rows, train_variant

from ham_keras.data.records import Record
from ham_keras.data.selection import read_records
from ham_keras.data.splits import load_split
from ham_keras.files import load_csv, load_json, save_json
from ham_keras.models.loading import load_model
from ham_keras.prediction.ensemble import load_ensemble
from ham_keras.robustness import robustness
from ham_keras.scores.bootstrap import bootstrap_statistic, interval_over
from ham_keras.scores.summary import size_group

MFSNET = {"model.architecture": "mfsnet", "model.deep_supervision": True}
WEIGHTED = {"train.loss": "boundary_jaccard_bce"}
HAIR_HANDLING: dict[str, dict[str, Any]] = {
    "inpaint": {"data.hair_removal": "inpaint"},
    "hairs": {"augment.hairs": 0.5},
}
NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {},
    "unet-deep-supervision": {"model.deep_supervision": True},
    "mfsnet": MFSNET | WEIGHTED,
    "mfsnet-without-boundary": MFSNET | WEIGHTED | {"model.boundary_attention": False},
    "mfsnet-without-reverse": MFSNET | WEIGHTED | {"model.reverse_attention": False},
}
OTHER_LOSS: dict[str, dict[str, Any]] = {"unet-weighted-loss": WEIGHTED, "mfsnet-image-loss": MFSNET}
WITHOUT_HANDLING = {f"{network}-{handling}": network for network in NETWORKS for handling in HAIR_HANDLING}
HANDLED = {
    name: NETWORKS[network] | HAIR_HANDLING[name.removeprefix(f"{network}-")]
    for name, network in WITHOUT_HANDLING.items()
}
VARIANTS = NETWORKS | OTHER_LOSS | HANDLED
PARENTS = WITHOUT_HANDLING | {
    name: "mfsnet" for name in ("mfsnet-without-boundary", "mfsnet-without-reverse", "mfsnet-image-loss")
}
ROUNDS = 40  # of timed calls, the networks taking turns
RUNS = Path("runs/mfsnet_screening")
HEAVY, NONE = 1.5, 0.5  # mean ratings from and below which hair is heavy and none


def screening_split(split: dict[str, list[str]], images: int) -> dict[str, list[str]]:
    """Training images, 100 others to choose the epoch, and the validation split to score."""
    shuffled = random.Random(0).sample(split["train"], len(split["train"]))
    return {"train": shuffled[:images], "val": shuffled[images : images + 100], "test": split["val"]}


def score_rated(variant: Variant, records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """The rows of rated images by image id, with the Jaccard index averaged over the seeds."""
    each = [score_rows(load_ensemble(run.folder), run, records, "rated") for run in variant.runs]
    chosen = [record.image_id for record in records]
    return {
        image_id: each[0][image_id]
        | {"jaccard": float(np.mean([float(rows[image_id]["jaccard_native"]) for rows in each]))}
        for image_id in chosen
    }


def compare_rated(
    rows: dict[str, dict[str, Any]], plain: dict[str, dict[str, Any]] | None, ratings: dict[str, float]
) -> Row:
    """Mean Jaccard under heavy hair and without hair, and their difference at the same mix of sizes and diagnoses.

    With `plain`, the rows of the same network without inpainting or drawn hairs: also the paired differences to it.
    """
    chosen = [row for row in rows.values() if ratings[row["image_id"]] >= HEAVY or ratings[row["image_id"]] < NONE]
    heavy = np.array([ratings[row["image_id"]] >= HEAVY for row in chosen])
    jaccard = np.array([row["jaccard"] for row in chosen])
    strata = np.array([f"{row['diagnosis']}, {size_group(float(row['lesion_fraction']))}" for row in chosen])
    lesions = [row["lesion_id"] for row in chosen]

    def difference(drawn: np.ndarray) -> float:
        return loss_under_hair(jaccard[drawn], heavy[drawn], strata[drawn])

    matched = int(np.isin(strata[heavy], strata[~heavy]).sum())
    found: Row = {
        "heavy_hair": {"images": int(heavy.sum()), "jaccard": float(jaccard[heavy].mean())},
        "no_hair": {"images": int((~heavy).sum()), "jaccard": float(jaccard[~heavy].mean())},
        "heavy_minus_none": {
            "mean": difference(np.arange(len(chosen))),
            "interval": bootstrap_statistic(difference, lesions),
            "heavy_images_with_a_match": matched,
        },
    }
    if plain is not None:
        gains = jaccard - np.array([plain[row["image_id"]]["jaccard"] for row in chosen])
        for name, part in (("heavy_hair", heavy), ("no_hair", ~heavy)):
            of_part = [lesion for lesion, inside in zip(lesions, part, strict=True) if inside]
            gain = {"mean": float(gains[part].mean()), "interval": interval_over(gains[part], of_part)}
            found[name]["gain_by_handling"] = gain
    return found


def loss_under_hair(jaccard: np.ndarray, heavy: np.ndarray, strata: np.ndarray) -> float:
    """Mean over the hairy images whose stratum has hairless ones, of their Jaccard minus the mean of the latter."""
    hairless = {name: jaccard[(strata == name) & ~heavy].mean() for name in set(strata[~heavy])}
    known = [index for index in np.flatnonzero(heavy) if strata[index] in hairless]
    return float(np.mean([jaccard[index] - hairless[strata[index]] for index in known])) if known else float("nan")


def score_drawn(variant: Variant) -> Row:
    """Of the first seed: mean Jaccard with hairs drawn over the images at each strength, and the loss by them."""
    summary = robustness(variant.runs[0].folder, changes=["hairs"], visible=False)
    keys = ("strength", "amount", "jaccard", "loss")
    return {"drawn_hairs": [{key: one[key] for key in keys} for one in summary["changes"]["hairs"]["strengths"]]}


def measure_networks(variants: Sequence[Variant]) -> list[Row]:
    """The parameters of each network, and its median time for one image, in ms."""
    configs = [variant.runs[0].load() for variant in variants]
    models = [load_model(variant.runs[0], config) for variant, config in zip(variants, configs, strict=True)]
    calls = [tf.function(model) for model in models]
    images = [tf.zeros((1, *config.data.image_size, 3)) for config in configs]
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(ROUNDS):
        for call, image, times in zip(calls, images, seconds, strict=True):
            start = time.perf_counter()
            call(image).numpy()
            times.append(time.perf_counter() - start)
    return [
        {"parameters": model.count_params(), "ms": round(1000 * statistics.median(times), 2)}
        for model, times in zip(models, seconds, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what MFSNet, its parts and hair removal bring.")
    parser.add_argument("root")
    parser.add_argument("split", type=Path)
    parser.add_argument("--imagenet", metavar="FILE", help="weights of a MobileNet encoder (default: random)")
    parser.add_argument("--ratings", type=Path, metavar="FILE", help="a table of image_id and mean_rating of hair")
    parser.add_argument("--drawn-hairs", action="store_true", help="also score with hairs drawn over the images")
    parser.add_argument("--backbone", default="mobilenet")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=RUNS)
    args = parser.parse_args()
    result = Path("benchmarks/results") / f"{'mfsnet' if args.runs.name == RUNS.name else args.runs.name}.json"
    former = {row["name"] for row in load_json(result)["rows"]} if result.exists() else set()
    if lost := former - set(args.variants):
        parser.error(f"--variants: {result} would lose {', '.join(sorted(lost))}; name another folder with --runs")
    fixed = load_split(args.split)
    split = screening_split(fixed, args.images)
    split_file = args.runs / "split.json"
    split_file.parent.mkdir(parents=True, exist_ok=True)
    save_json(split_file, split)
    overrides = {
        "data.root": args.root, "data.split_file": str(split_file), "data.image_size": args.size,
        "model.backbone": args.backbone, "model.encoder_weights": args.imagenet, "outline.tta": False,
        "train.epochs": args.epochs, "train.ema_momentum": 0.99,
    }  # fmt: skip
    trained = {
        name: train_variant(name, "best", overrides | VARIANTS[name], args.runs, args.seeds) for name in args.variants
    }
    rows = [describe(variant, trained.get("unet")) for variant in trained.values()]
    for row, (name, variant) in zip(rows, trained.items(), strict=True):
        parent = trained.get(PARENTS.get(name, ""))
        if parent is not None and parent.name != "unet":
            row["against"] = {"name": parent.name} | differences(variant, parent)
    for row, measured in zip(rows, measure_networks(list(trained.values())), strict=True):
        row |= measured
    if args.ratings:
        rated = {row["image_id"]: float(row["mean_rating"]) for row in load_csv(args.ratings)}
        records = read_records(next(iter(trained.values())).runs[0].load().data)
        kept_back = {*split["train"], *split["val"], *fixed["test"]}
        seen = {record.lesion_id for record in records if record.image_id in kept_back}
        records = [record for record in records if record.image_id in rated and record.lesion_id not in seen]
        scored = {name: score_rated(variant, records) for name, variant in trained.items()}
        for row, (name, found) in zip(rows, scored.items(), strict=True):
            row |= compare_rated(found, scored.get(WITHOUT_HANDLING.get(name, "")), rated)
    if args.drawn_hairs:
        for row, variant in zip(rows, trained.values(), strict=True):
            row |= score_drawn(variant)
    setting = {"recipe": "best.json", "images": args.images, "epochs": args.epochs, "size": args.size}
    encoder = {"backbone": args.backbone, "encoder": "ImageNet" if args.imagenet else "random"}
    save_table(rows, setting | encoder, result)


if __name__ == "__main__":
    main()
