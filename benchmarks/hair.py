"""Validate the hair measure on phantoms, whose hairs are known, and choose the threshold of a hairy image.

    python benchmarks/hair.py [--count 240] [--choose 101] [--report 102]

On phantoms of the first seed: for each threshold, how many without dark hair are called hairy, and how many with dark
hair on more than a hundredth of the image. On phantoms of the second seed, held out, with the package's threshold: rank
correlation of measured and true fraction, AUC and error rates. Dark hairs are separated from light ones by drawing the
same phantoms without the latter. Writes benchmarks/results/hair.json.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from ham_keras.data.dark_hairs import find_hairs
from ham_keras.data.phantoms import hairs as phantom_hairs
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.environment import describe_environment
from ham_keras.files import save_json
from ham_keras.reports.failures import HAIRY_FRACTION

SIZE = (600, 450)
HAIRY = 0.01  # true fraction of the image under dark hairs
THRESHOLDS = (0.002, 0.005, 0.01, 0.02, 0.03)


def measure_phantoms(seed: int, count: int) -> dict[str, np.ndarray]:
    """Return the measured hair fraction and the true fractions of all and of dark hairs, for `count` phantoms."""

    def one(number: int) -> tuple[float, float]:
        cv2.setNumThreads(0)
        image, _, hairs, _ = draw_phantom(seed, number, number, SIZE)
        return float(find_hairs(image).mean()), float(hairs.mean())

    def dark(number: int) -> float:
        return float(draw_phantom(seed, number, number, SIZE)[2].mean())

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        measured, every = zip(*pool.map(one, range(count)), strict=True)
        # The light hairs are drawn last, so the dark ones are the same without them.
        with mock.patch.object(phantom_hairs, "HAIRS", phantom_hairs.HAIRS[:3]):
            dark_fraction = list(pool.map(dark, range(count)))
    return {"measured": np.array(measured), "all": np.array(every), "dark": np.array(dark_fraction)}


def rates(found: dict[str, np.ndarray], threshold: float) -> dict[str, Any]:
    """Count the hairy phantoms, and those without dark hair, that measure more than the threshold."""
    over = found["measured"] > threshold
    hairy, bare = found["dark"] > HAIRY, found["dark"] == 0
    return {
        "threshold": threshold,
        "hairy_found": f"{int(over[hairy].sum())} of {int(hairy.sum())}",
        "bare_called_hairy": f"{int(over[bare].sum())} of {int(bare.sum())}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Validate the hair measure on phantoms.")
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--choose", type=int, default=101, help="seed of the phantoms for comparing thresholds")
    parser.add_argument(
        "--report", type=int, default=102, help="seed of the phantoms for reporting the chosen threshold"
    )
    args = parser.parse_args()
    found = measure_phantoms(args.choose, args.count)
    chosen_on = [rates(found, threshold) for threshold in THRESHOLDS]
    for row in chosen_on:
        print(f"seed {args.choose}:", row)

    found = measure_phantoms(args.report, args.count)
    measured, dark, every = found["measured"], found["dark"], found["all"]
    light_only = (dark == 0) & (every > 0)
    result = {
        "rank_correlation": {name: round(float(spearmanr(measured, found[name])[0]), 3) for name in ("dark", "all")},
        "auc": {
            f"dark hairs on more than {HAIRY:.0%}": round(float(roc_auc_score(dark > HAIRY, measured)), 3),
            "any dark hair": round(float(roc_auc_score(dark > 0, measured)), 3),
            "light hairs only, against none": round(
                float(roc_auc_score(light_only[dark == 0], measured[dark == 0])), 3
            ),
        },
        **rates(found, HAIRY_FRACTION),
    }
    print(f"seed {args.report}:", result)
    image = draw_phantom(args.report, 0, 0, SIZE)[0]
    start = time.perf_counter()
    for _ in range(20):
        find_hairs(image)
    milliseconds = round(1000 * (time.perf_counter() - start) / 20, 1)
    print(f"{milliseconds} ms per image")
    setting = {"count": args.count, "size_px": SIZE, "choose_seed": args.choose, "report_seed": args.report}
    content = {
        "setting": setting,
        "thresholds": chosen_on,
        "reported": result,
        "milliseconds": milliseconds,
        "environment": describe_environment("CPU", "uint8"),
    }
    save_json(Path("benchmarks/results/hair.json"), content)


if __name__ == "__main__":
    main()
