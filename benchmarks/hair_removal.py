"""Compare our hair removal with OpenCV's, on phantoms, whose hairs are known.

    python benchmarks/hair_removal.py [--count 60] [--seed 103]
    python benchmarks/hair_removal.py --photographs ham10000/images --ratings hair_ratings.csv

Each phantom is drawn with and without its hairs. The times are of ours, of OpenCV's and of best.json's network, which
take turns. With photographs and a table of their image_id and mean_rating of hair, also the share that is replaced, and
the times, of 40 without hair (a mean rating below 0.5) and of 40 with heavy hair (1.5 and more). Writes
benchmarks/results/hair_removal.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from mfsnet import HEAVY, NONE

from ham_keras.config import Config, load_config
from ham_keras.data.images import read_image
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.environment import describe_environment
from ham_keras.files import load_csv, save_json
from ham_keras.models.build import build_model
from ham_keras.preprocessing.hairs import black_hat_mask, inpaint_hairs

SIZE = (600, 450)
MEASURED = ("ours", "opencv", "network")
PHOTOGRAPHS = 40


def opencv(image: np.ndarray, cross_px: int = 17) -> tuple[np.ndarray, np.ndarray]:
    """MFSNet's preprocessing, as published, except that grey is that of RGB: the found pixels, and without them."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (cross_px, cross_px))
    darkness = cv2.morphologyEx(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.MORPH_BLACKHAT, cross)
    mask = cv2.threshold(darkness, 10, 255, cv2.THRESH_BINARY)[1]
    return mask > 0, cv2.inpaint(image, mask, 1, cv2.INPAINT_TELEA)


def timed(function: Callable[[np.ndarray], Any], image: np.ndarray) -> tuple[Any, float]:
    start = time.perf_counter()
    result = function(image)
    return result, 1000 * (time.perf_counter() - start)


class Side:
    """Both removals and the network, traced, on one image at a time."""

    def __init__(self, config: Config) -> None:
        signature = [tf.TensorSpec([None, None, 3], tf.uint8)]
        self.removal: Callable[..., Any] = tf.function(inpaint_hairs, input_signature=signature)
        self.network: Callable[..., Any] = tf.function(build_model(config.model))
        self.input = tf.zeros((1, *config.data.image_size, 3))

    def __call__(self, image: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, tuple[float, ...]]:
        """OpenCV's found pixels and image, our image, and the time of each of `MEASURED` in ms."""
        theirs, theirs_ms = timed(opencv, image)
        ours, ours_ms = timed(lambda pixels: self.removal(pixels).numpy().astype(int), image)
        _, network_ms = timed(lambda _: self.network(self.input).numpy(), image)
        return theirs, ours, (ours_ms, theirs_ms, network_ms)


def medians(times: Sequence[tuple[float, ...]]) -> dict[str, float]:
    return dict(zip(MEASURED, np.median(times, axis=0).round(1).tolist(), strict=True))


def measure_photographs(measure: Side, folder: Path, ratings: Path) -> dict[str, Any]:
    """Of photographs without and with heavy hair: the share replaced, its mean and largest value, and the times."""
    found: dict[str, Any] = {}
    for name, rated in (("no_hair", lambda value: value < NONE), ("heavy_hair", lambda value: value >= HEAVY)):
        paths = [folder / f"{row['image_id']}.jpg" for row in load_csv(ratings) if rated(float(row["mean_rating"]))]
        paths = [path for path in paths if path.exists()][:PHOTOGRAPHS]
        if not paths:
            raise SystemExit(f"{folder}: has none of the photographs in {ratings}")
        measured = [measure(read_image(path)) for path in paths]
        shares = [mask.mean() for (mask, _), _, _ in measured]
        found[name] = {
            "images": len(paths),
            "replaced": {"mean": round(float(np.mean(shares)), 4), "max": round(float(np.max(shares)), 4)},
            "milliseconds": medians([times for _, _, times in measured]),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare our hair removal with OpenCV's.")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=103)
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="NAME.jpg of each image_id")
    parser.add_argument("--ratings", type=Path, metavar="FILE", help="a table of image_id and mean_rating of hair")
    args = parser.parse_args()
    if (args.photographs is None) != (args.ratings is None):
        parser.error("--photographs and --ratings belong together")
    measure = Side(load_config("best", {"model.encoder_weights": None}))
    same, rows, hairy, times = 0, [], [], []
    for number in range(args.count):
        image, _, hairs, _ = draw_phantom(args.seed, number, number, SIZE)
        bare = draw_phantom(args.seed, number, number, SIZE, hairless=True)[0].astype(int)
        (mask, telea), ours, milliseconds = measure(image)
        times.append(milliseconds)
        same += bool((black_hat_mask(image[None])[0].numpy() == mask).all())
        if mask.any():
            difference = np.abs(ours - telea)[mask]
            rows.append((difference.mean(), np.percentile(difference, 99), mask[~hairs].mean()))
        dark = hairs & ((bare - image).mean(axis=-1) > 10)
        if dark.mean() > 0.002:
            errors = [np.abs(each - bare)[dark].mean() for each in (image.astype(int), ours, telea.astype(int))]
            hairy.append((mask[dark].mean(), *errors))
    mean, high, elsewhere = np.mean(rows, axis=0)
    found, before, after, telea_after = np.mean(hairy, axis=0)
    result = {
        "same_pixels_as_opencv": f"{same} of {args.count} phantoms",
        "difference_to_telea": {"mean": round(mean, 2), "percentile_99": round(high, 1)},
        "replaced_without_hair": round(elsewhere, 4),
        "hairy_phantoms": len(hairy),
        "dark_hair_pixels_found": round(found, 3),
        "error_at_dark_hairs": {"before": round(before, 1), "ours": round(after, 1), "telea": round(telea_after, 1)},
        "milliseconds": medians(times),
    }
    if args.photographs:
        result["photographs"] = measure_photographs(measure, args.photographs, args.ratings)
    print(result)
    setting = {"count": args.count, "seed": args.seed, "size_px": SIZE}
    content = {"setting": setting, "levels": "0..255", "result": result}
    environment = describe_environment("CPU", "uint8")
    save_json(Path("benchmarks/results/hair_removal.json"), {**content, "environment": environment})


if __name__ == "__main__":
    main()
