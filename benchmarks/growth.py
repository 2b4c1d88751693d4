"""How training scales: an epoch with the number of images, a step with the number of pixels.

    python benchmarks/growth.py [DATA_ROOT] [--counts 1000 2000 5000 10000] [--sizes 64 128 192 256 320 384]
        [--batch 4] [--rounds 5] [--without-peer]

Counts: `ham_keras.training.loop.train_run` in a separate process, U-Net with ResNet18 at 64x64, batch 16, cache in
memory, native augmentation; seconds are of the last epoch. DATA_ROOT's files, or phantoms, are repeated under other ids
until there are enough. Sizes: the training step of training_step.py, U-Net with ResNet34, against the peer as it is,
with a batch small enough for the largest size to fit in memory.

The exponent of a power law is fitted in logarithms: 1 is linear, and the goal is at most that. Prints one table and
writes benchmarks/results/growth/.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from side_by_side import Contestant, Row, alone, alternate, compare, measured, save, show
from training_step import ours, peer
from watched_run import ONE_CONVOLUTION, repeated_records, watch_training

COUNT_SIZE_PX = 64
COUNT_BATCH = 16
GOAL = 1.0  # maximum


def auto_precision() -> str:
    from ham_keras.models.precision import choose_precision

    return choose_precision("auto")


def exponent(amounts: Sequence[float], seconds: Sequence[float]) -> float:
    """Exponent of the growth of seconds with the amount: a least squares fit in logarithms."""
    return round(float(np.polyfit(np.log(amounts), np.log(seconds), 1)[0]), 3)


def grow_images(root: Path | None, counts: Sequence[int], *, network: str, epochs: int, precision: str) -> list[Row]:
    rows = []
    settings = {
        "network": network, "size_px": COUNT_SIZE_PX, "batch": COUNT_BATCH, "cache": "memory", "epochs": epochs,
        "precision": precision,
    }  # fmt: skip
    with repeated_records(root, max(counts)) as records:
        for count in counts:
            watched = alone(watch_training, records=records[:count], **settings)
            seconds = round(watched["epochs_seconds"][-1], 3)
            others = {"images": count, "peak_mb": round(watched["peak_mb"])}
            rows.append(measured(f"epoch of {count} images", seconds, goal=None, unit="s", **others))
    if len(rows) > 1:
        grown = exponent(counts, [row["ours"] for row in rows])
        rows.append(measured("growth of an epoch with its images", grown, goal=GOAL, unit="exponent"))
    return rows


def grow_pixels(sizes: Sequence[int], *, batch: int, rounds: int, precision: str, with_peer: bool) -> list[Row]:
    rows = []
    for size_px in sizes:
        settings = {"precision": precision, "batch": batch, "size_px": size_px}
        contestants = {"ours": Contestant(ours, settings)}
        if with_peer:
            contestants["peer"] = Contestant(peer, settings | {"compiled": False})
        seconds = alternate(contestants, rounds=rounds, calls=2, warm_up=2)
        name = f"training at {size_px}x{size_px}, batch {batch}"
        if with_peer:
            row = compare(name, seconds["ours"], seconds["peer"], goal=None, unit="images/s", images=batch)
        else:
            row = measured(name, show(seconds["ours"], "images/s", batch), goal=None, unit="images/s")
        rows.append(row | {"size_px": size_px, "batch": batch})
    if len(rows) > 1:
        pixels = [size_px**2 for size_px in sizes]
        name = "growth of an image's time with its pixels"
        grown = measured(name, exponent(pixels, [1 / row["ours"] for row in rows]), goal=GOAL, unit="exponent")
        if with_peer:
            grown["peer"] = exponent(pixels, [1 / row["peer"] for row in rows])
        rows.append(grown)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how training grows with images and with pixels.")
    parser.add_argument("root", nargs="?", type=Path, metavar="DATA_ROOT", help="default: generated phantoms")
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 2000, 5000, 10000])
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 128, 192, 256, 320, 384], help="in pixels")
    parser.add_argument("--batch", type=int, default=4, help="batch size for --sizes")
    parser.add_argument(
        "--network", default="resnet18", help=f'network for --counts: a backbone, or "{ONE_CONVOLUTION}"'
    )
    parser.add_argument("--epochs", type=int, default=2, help="epochs per count; the last one is timed")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per size")
    parser.add_argument("--precision", default="auto", help="see train.precision (default: %(default)s)")
    parser.add_argument("--without-peer", action="store_true", help="measure only ours; does not need torch")
    args = parser.parse_args()
    precision = alone(auto_precision) if args.precision == "auto" else args.precision
    rows: list[Row] = []
    if args.counts:
        rows += grow_images(args.root, args.counts, network=args.network, epochs=args.epochs, precision=precision)
    if args.sizes:
        settings = {"batch": args.batch, "rounds": args.rounds, "precision": precision}
        rows += grow_pixels(args.sizes, with_peer=not args.without_peer, **settings)
    setting = {
        "source": "phantoms" if args.root is None else "files of a data folder, repeated",
        "counts": {"network": args.network, "size_px": COUNT_SIZE_PX, "batch": COUNT_BATCH, "epochs": args.epochs},
        "sizes": {"network": "resnet34", "batch": args.batch, "rounds": args.rounds, "steps_a_round": 2},
    }
    save("growth", rows, setting, precision=precision)


if __name__ == "__main__":
    main()
