"""Estimate how light the skin around the lesions of a data folder is, as far as uncalibrated photographs allow.

    python benchmarks/skin_tone.py path/to/ham10000 [--scores runs/base/scores/test/per_image.csv]

For each image, the individual typology angle ITA = arctan((L* - 50) / b*) * 180 / pi (Chardon, Cretois, Hourseau 1991)
of the median skin: outside the lesion and a margin around it, inside the ellipse left by dark corners, without hairs.
Where the light is so blue that b* is not above 0, the formula is meaningless: these images are counted separately. The
method follows Kinyanjui et al. 2020, "Fairness of classifiers across skin tones in dermatology"; Kalb et al. 2023,
"Revisiting skin tone fairness in dermatological lesion classification", showed that such estimates disagree with each
other. With --scores, also mean Jaccard by class. Prints all and writes benchmarks/results/skin_tone.json.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ham_keras.data.images import read_image
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.truth import read_truth
from ham_keras.environment import describe_environment
from ham_keras.files import save_json
from ham_keras.scores.bootstrap import interval_over
from ham_keras.scores.pairing import read_scores

# The lowest ITA of each class, in degrees.
CLASSES = {"very light": 55, "light": 41, "intermediate": 28, "tan": 10, "brown": -30, "dark": -90}
BLUE, COVERED = "no ITA: bluish light", "no ITA: too little skin"
ELLIPSE = 0.92  # of the half axes: excludes dark corners and the rim of the dermatoscope
MARGIN = 0.04  # of the width: pigment fades out beyond the lesion border
HAIR_WIDTH, HAIR_DEPTH = 0.025, 8.0  # of the width; in L*
MIN_SKIN_FRACTION = 0.02  # of the image


def find_skin(lightness: np.ndarray, lesion: np.ndarray) -> np.ndarray:
    """Return the mask [H, W] of bare skin."""
    height, width = lesion.shape
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    margin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * round(MARGIN * width) + 1] * 2)
    thin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * round(HAIR_WIDTH * width / 2) + 1] * 2)
    hair = cv2.morphologyEx(lightness, cv2.MORPH_BLACKHAT, thin) > HAIR_DEPTH
    return (x**2 + y**2 < ELLIPSE**2) & (cv2.dilate(lesion, margin) == 0) & ~hair


def measure(record: Record) -> tuple[str, float | None, float | None]:
    """Return the class of the image, and L* and ITA of its skin if they can be estimated."""
    image, lesion = read_image(record.image_path), read_truth(record).lesion
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    skin = find_skin(lab[..., 0], lesion)
    if skin.mean() < MIN_SKIN_FRACTION:
        return COVERED, None, None
    lightness, _, yellow = (float(value) for value in np.median(lab[skin], axis=0))
    if yellow <= 0:
        return BLUE, lightness, None
    ita = float(np.degrees(np.arctan((lightness - 50) / yellow)))
    return next(name for name, lowest in CLASSES.items() if ita > lowest), lightness, ita


def percentiles(values: list[float | None]) -> dict[str, float]:
    known = [value for value in values if value is not None]
    return {str(percent): round(float(np.percentile(known, percent)), 1) for percent in (1, 5, 25, 50, 75, 95, 99)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Estimate the skin tones of a data folder.")
    parser.add_argument("root", help="data folder, in any supported layout")
    parser.add_argument("--scores", help="per_image.csv of a run on these images")
    args = parser.parse_args()
    records = decide_masks(find_records(args.root).records)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        measured = list(tqdm(threads.map(measure, records), total=len(records), unit=" images", disable=None))
    tones = {record.image_id: found[0] for record, found in zip(records, measured, strict=True)}
    counts = Counter(tones.values())
    scores = read_scores(args.scores, ("lesion_id", "jaccard_native")) if args.scores else {}
    rows: list[dict[str, Any]] = []
    for name in (*CLASSES, BLUE, COVERED):
        row: dict[str, Any] = {"tone": name, "images": counts[name], "share": round(counts[name] / len(records), 4)}
        scored = [found for image_id, found in scores.items() if tones[image_id] == name]
        if scored:
            jaccard = [float(found["jaccard_native"]) for found in scored]
            lesions = [found["lesion_id"] for found in scored]
            row |= {"scored": len(scored), "jaccard": float(np.mean(jaccard))}
            row["interval"] = interval_over(jaccard, lesions)
        rows.append(row)
        print(row)
    content = {
        "images": len(records),
        "classes": rows,
        "ita_percentiles": percentiles([ita for _, _, ita in measured]),
        "lightness_percentiles": percentiles([lightness for _, lightness, _ in measured]),
    }
    print({key: content[key] for key in ("ita_percentiles", "lightness_percentiles")})
    environment = describe_environment("CPU", "none")
    save_json(Path("benchmarks/results/skin_tone.json"), {**content, "environment": environment})


if __name__ == "__main__":
    main()
