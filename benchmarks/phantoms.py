"""Compare phantoms with the images of a data folder: colours, edges, sizes, texture, and how well a classifier tells.

    python benchmarks/phantoms.py path/to/ham10000 [--split-file split.json] [--images 600]

Measures as many phantoms as images, all at 256x192 pixels: colours of skin and lesion in CIELAB, contrast, which share
of it is reached at the outline and 9 to 12 pixels inside it, size, place and shape, and the deviation in four octaves
of detail. Gradient-boosted trees learn from these to tell phantoms from images; their area under the ROC curve, out of
fold, is 0.5 if they cannot. Prints for each measure the quantiles of both, and its own area under the curve; writes
only these aggregate numbers to benchmarks/results/phantoms.json. With --split-file, the images are those of its train
and val sides.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from tqdm import tqdm

from ham_keras.data.images import read_image
from ham_keras.data.phantoms.dataset import VERSION
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.data.records import find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import load_split
from ham_keras.data.truth import read_truth
from ham_keras.environment import describe_environment, without_paths
from ham_keras.files import save_json

SIZE = (256, 192)  # width, height
QUANTILES = (0.1, 0.5, 0.9)
ELLIPSE, MARGIN_PX = 0.92, 9  # the skin: inside this part of the half axes, this far from the lesion
EDGE_PX = (3, 6, 12)  # half the width of the bands around the outline
HAIR = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
HAIR_DEPTH = 8.0  # in L*
OCTAVES = 4
SEED = 20_000  # of the phantoms: others than the sample's


def measure(image: np.ndarray, lesion: np.ndarray) -> dict[str, float]:
    """Measure an image, uint8 [H, W, 3], with its lesion, bool [H, W]."""
    height, width = lesion.shape
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    inside = cv2.distanceTransform(np.pad(lesion.astype(np.uint8), 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
    inside = np.minimum(inside, max(lesion.shape))  # without any skin, the distance to it is infinite
    outside = cv2.distanceTransform((~lesion).astype(np.uint8), cv2.DIST_L2, 5)
    skin = (x**2 + y**2 < ELLIPSE**2) & (outside > MARGIN_PX)
    if skin.sum() < 200:
        skin = ~lesion if (~lesion).sum() >= 200 else outside >= 0
    if not lesion.any():  # none is left at this size
        lesion = inside == inside.max()
    found: dict[str, float] = {}
    for zone, name in ((skin, "skin"), (lesion, "lesion")):
        for channel, letter in enumerate("Lab"):
            low, middle, high = np.quantile(lab[..., channel][zone], QUANTILES)
            found |= {f"{name}_{letter}": middle, f"{name}_{letter}_spread": high - low}
    found |= {f"contrast_{letter}": found[f"lesion_{letter}"] - found[f"skin_{letter}"] for letter in "Lab"}
    found |= _edges(lab[..., 0], inside, outside, lesion)
    for place, band in (("at_outline", (outside > 0) & (outside <= 2)), ("inside", (inside >= 9) & (inside <= 12))):
        reached = found["skin_L"] - np.median(lab[..., 0][band]) if band.any() else 0.0
        found[f"contrast_{place}"] = float(np.clip(reached / max(-found["contrast_L"], 3.0), -1, 2))
    found |= _shape(lesion)
    for channel, letter in enumerate("La"):
        rest = lab[..., channel]
        for octave in range(OCTAVES):
            smooth = cv2.GaussianBlur(rest, (0, 0), 2.0**octave)
            detail = rest - smooth
            for zone, name in ((skin, "skin"), (lesion, "lesion")):
                found[f"{name}_{letter}_octave_{octave}"] = float(detail[zone].std())
            if octave == 1 and letter == "L":
                values = detail[skin] / (detail[skin].std() + 1e-6)
                found |= {"skin_skewness": float((values**3).mean()), "skin_tails": float((values**4).mean())}
            rest = smooth
    black = cv2.morphologyEx(lab[..., 0], cv2.MORPH_BLACKHAT, HAIR)
    white = cv2.morphologyEx(lab[..., 0], cv2.MORPH_TOPHAT, HAIR)
    found |= {"dark_lines": float((black > HAIR_DEPTH)[skin].mean()), "bright": float((white > HAIR_DEPTH).mean())}
    corners = [lab[a : a + 12, b : b + 12, 0].mean() for a in (0, height - 12) for b in (0, width - 12)]
    middle = found["skin_L"]
    return found | {"corners": float(np.mean(corners)) - middle, "darkest_corner": float(min(corners)) - middle}


def _edges(lightness: np.ndarray, inside: np.ndarray, outside: np.ndarray, lesion: np.ndarray) -> dict[str, float]:
    """The contrast across the outline in bands of several widths, and from the rim of the lesion to its core."""
    found = {}
    for band in EDGE_PX:
        within, without = lesion & (inside <= band), ~lesion & (outside <= band)
        known = within.any() and without.any()
        found[f"edge_{band}"] = float(lightness[without].mean() - lightness[within].mean()) if known else 0.0
    deep = np.quantile(inside[lesion], (0.3, 0.7))
    core, rim = lesion & (inside >= deep[1]), lesion & (inside <= max(deep[0], 1))
    found["core"] = float(lightness[rim].mean() - lightness[core].mean())
    steepest = cv2.magnitude(cv2.Sobel(lightness, cv2.CV_32F, 1, 0), cv2.Sobel(lightness, cv2.CV_32F, 0, 1))
    outline = (inside + outside) <= 2
    found["steepness"] = float(np.median(steepest[outline])) if outline.any() else 0.0
    return found


def _shape(lesion: np.ndarray) -> dict[str, float]:
    height, width = lesion.shape
    contour = max(cv2.findContours(lesion.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)
    area = float(lesion.sum())
    rows, columns = np.nonzero(lesion)
    spread = np.linalg.eigvalsh(np.cov(np.stack([rows, columns]).astype(float), bias=True) + 0.1 * np.eye(2))
    hull = max(cv2.contourArea(cv2.convexHull(contour)), 1.0)
    return {
        "area": area / lesion.size,
        "off_centre": float(np.hypot(rows.mean() / height - 0.5, columns.mean() / width - 0.5)),
        "elongation": float(np.sqrt(spread[1] / spread[0])),
        "solidity": cv2.contourArea(contour) / hull,
        "roughness": cv2.arcLength(contour, True) ** 2 / (4 * np.pi * max(cv2.contourArea(contour), 1.0)),
        "at_border": float(np.mean([lesion[0].mean(), lesion[-1].mean(), lesion[:, 0].mean(), lesion[:, -1].mean()])),
    }


def separate(real: np.ndarray, drawn: np.ndarray) -> float:
    """Out-of-fold area under the ROC curve of telling the rows of two tables apart; 0.5 if they are alike."""
    rows, truth = np.concatenate([real, drawn]), np.repeat([0, 1], [len(real), len(drawn)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    trees = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.08, random_state=0)
    return float(roc_auc_score(truth, cross_val_predict(trees, rows, truth, cv=folds, method="predict_proba")[:, 1]))


def measure_all(read: Callable[[int], tuple[np.ndarray, np.ndarray]], count: int, what: str) -> tuple[np.ndarray, list]:
    """Return the measures [count, m] and their names."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(tqdm(pool.map(lambda number: measure(*read(number)), range(count)), what, count, disable=None))
    return np.array([list(row.values()) for row in rows]), list(rows[0])


def compare(real: np.ndarray, drawn: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Return the quantiles of each measure, and how well it tells alone: the larger of its AUC and 1 - AUC."""
    table = {}
    truth = np.repeat([0, 1], [len(real), len(drawn)])
    for column, name in enumerate(names):
        area = float(roc_auc_score(truth, np.concatenate([real[:, column], drawn[:, column]])))
        both = {"images": real, "phantoms": drawn}
        quantiles = {key: [round(float(q), 4) for q in np.quantile(rows[:, column], QUANTILES)]
                     for key, rows in both.items()}  # fmt: skip
        table[name] = {"auc": max(area, 1 - area), **quantiles}
    return dict(sorted(table.items(), key=lambda item: -item[1]["auc"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="ROOT")
    parser.add_argument("--split-file", type=Path, help="use the images of its train and val sides")
    parser.add_argument("--images", type=int, default=600, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/phantoms.json"))
    args = parser.parse_args()
    cv2.setNumThreads(1)
    records = decide_masks(find_records(args.root).records)
    if args.split_file:
        sides = load_split(args.split_file)
        known = {*sides["train"], *sides["val"]}
        records = [record for record in records if record.image_id in known]
    order = np.random.default_rng(0).permutation(len(records))[: args.images]

    def read(number: int) -> tuple[np.ndarray, np.ndarray]:
        record = records[order[number]]
        lesion = read_truth(record).lesion.astype(np.uint8)
        image = cv2.resize(read_image(record.image_path), SIZE, interpolation=cv2.INTER_AREA)
        return image, cv2.resize(255 * lesion, SIZE, interpolation=cv2.INTER_AREA) > 127

    def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
        return draw_phantom(SEED, number, number, SIZE)[:2]

    real, names = measure_all(read, len(order), "images")
    started = time.perf_counter()
    drawn, _ = measure_all(draw, len(order), "phantoms")
    seconds = time.perf_counter() - started
    result = {"version": VERSION, "images": len(order), "auc": separate(real, drawn), "seconds": round(seconds, 1)}
    table = compare(real, drawn, names)
    print(f"{'measure':22}{'auc':>6}  {'images: 10, 50, 90 %':^27}  {'phantoms: 10, 50, 90 %':^27}")
    for name, row in table.items():
        both = "  ".join("".join(f"{value:9.3g}" for value in row[key]) for key in ("images", "phantoms"))
        print(f"{name:22}{row['auc']:6.3f}  {both}")
    print(f"phantoms version {VERSION}: area under the curve {result['auc']:.3f} on {len(order)} images and phantoms")
    environment = without_paths(describe_environment("CPU", "float32"))
    save_json(args.output, result | {"measures": table, "environment": environment})


if __name__ == "__main__":
    main()
