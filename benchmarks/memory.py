"""Memory cost of the data: peak of training on 10,015 images minus that of the same training on 64.

    python benchmarks/memory.py [DATA_ROOT] [--images 10015] [--epochs 3] [--cache memory disk none]

Each run is `ham_keras.training.loop.train_run` in a separate process, with native augmentation. DATA_ROOT's files, or
phantoms, are repeated under other ids until there are enough. By default the network is one convolution, which saves
hours of arithmetic; the rest, including a pipeline with every image in every epoch, is as in any training. 1 MB is
2**20 bytes. Prints one table and writes benchmarks/results/memory/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from side_by_side import Row, alone, measured, save
from watched_run import ONE_CONVOLUTION, repeated_records, watch_training

FEW_IMAGES = 64
GOALS_GB = {"memory": 0.8, "disk": 0.3, "none": 0.2}  # 1 GB is 10**9 bytes
GROWTH_GOAL_MB = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the memory cost of 10,015 images for each cache.")
    parser.add_argument("root", nargs="?", type=Path, metavar="DATA_ROOT", help="default: generated phantoms")
    parser.add_argument("--images", type=int, default=10015)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--cache", nargs="+", choices=list(GOALS_GB), default=list(GOALS_GB))
    parser.add_argument("--size", type=int, default=128, help="input size of the network, in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument(
        "--backbone", default=ONE_CONVOLUTION, help="backbone of a U-Net (default: %(default)s instead of a U-Net)"
    )
    args = parser.parse_args()
    training = {
        "network": args.backbone, "size_px": args.size, "batch": args.batch, "epochs": args.epochs,
        "precision": "float32",
    }  # fmt: skip
    rows: list[Row] = []
    with repeated_records(args.root, args.images) as records:
        for cache in args.cache:
            few, all_of_them = (
                alone(watch_training, records=some, cache=cache, **training) for some in (records[:FEW_IMAGES], records)
            )
            if not rows:
                rows.append(_row("after import of TensorFlow", few["imported_mb"]))
                rows.append(_row("after one training step", few["first_step_mb"]))
            name = f"cache {cache}: peak with {len(records)} images over that with {FEW_IMAGES}"
            peaks = {"few_peak_mb": round(few["peak_mb"]), "peak_mb": round(all_of_them["peak_mb"])}
            goal = round(GOALS_GB[cache] * 1e9 / 2**20)
            rows.append(_row(name, all_of_them["peak_mb"] - few["peak_mb"], goal, **peaks))
            if args.epochs > 2:
                after = [round(value, 1) for value in all_of_them["epochs_mb"]]
                name = f"cache {cache}: growth from epoch 2 to {args.epochs}"
                rows.append(_row(name, after[-1] - after[1], GROWTH_GOAL_MB, after_each_epoch_mb=after))
    source = "phantoms" if args.root is None else "files of a data folder, repeated"
    setting = {"images": args.images, "source": source, "augment": "native", **training}
    save("memory", rows, setting)


def _row(name: str, value_mb: float, goal: float | None = None, **others: object) -> Row:
    return measured(name, round(value_mb, 1), goal=goal, unit="MB", **others)


if __name__ == "__main__":
    main()
