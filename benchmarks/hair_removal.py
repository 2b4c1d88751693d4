"""Compare our removal of hairs with OpenCV's, on phantoms, whose hairs are known.

    python benchmarks/hair_removal.py [--count 60] [--seed 103]

Each phantom is drawn with and without its hairs. Writes benchmarks/results/hair_removal.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import tensorflow as tf

from ham_keras.data.phantoms import photograph
from ham_keras.data.phantoms.hairs import add_hairs
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.environment import describe_environment
from ham_keras.files import save_json
from ham_keras.preprocessing.hairs import find_hairs, inpaint_hairs

SIZE = (600, 450)


def opencv(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """MFSNet's preprocessing, as published, except that grey is that of RGB."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (17, 17))
    darkness = cv2.morphologyEx(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.MORPH_BLACKHAT, cross)
    mask = cv2.threshold(darkness, 10, 255, cv2.THRESH_BINARY)[1]
    return mask > 0, cv2.inpaint(image, mask, 1, cv2.INPAINT_TELEA)


def timed(function: Callable[[np.ndarray], Any], image: np.ndarray) -> tuple[Any, float]:
    start = time.perf_counter()
    result = function(image)
    return result, 1000 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the removal of hairs with OpenCV's.")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=103)
    args = parser.parse_args()
    traced = tf.function(inpaint_hairs, input_signature=[tf.TensorSpec([*SIZE[::-1], 3], tf.uint8)])
    same, rows, hairy, times = 0, [], [], []
    for number in range(args.count):
        image, _, hairs, _ = draw_phantom(args.seed, number, number, SIZE)
        with mock.patch.object(photograph, "add_hairs", lambda rng, drawn: add_hairs(rng, drawn.copy())):
            bare = draw_phantom(args.seed, number, number, SIZE)[0].astype(int)
        (mask, telea), opencv_ms = timed(opencv, image)
        ours, ours_ms = timed(lambda pixels: traced(pixels).numpy().astype(int), image)
        times.append((ours_ms, opencv_ms))
        same += bool((find_hairs(image[None])[0].numpy() == mask).all())
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
        "milliseconds": dict(zip(("ours", "opencv"), np.median(times, axis=0).round(1).tolist(), strict=True)),
    }
    print(result)
    setting = {"count": args.count, "seed": args.seed, "size_px": SIZE}
    content = {"setting": setting, "levels": "0..255", "result": result}
    environment = describe_environment("CPU", "uint8")
    save_json(Path("benchmarks/results/hair_removal.json"), {**content, "environment": environment})


if __name__ == "__main__":
    main()
