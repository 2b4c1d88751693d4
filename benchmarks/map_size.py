"""How much of the outlines fits into a probability map of fewer pixels than the image?

    python benchmarks/map_size.py HAM10000 [SPLIT.json]
    python benchmarks/map_size.py data/phantoms --sizes 16 --picture map_size.png

MFSNet's last map has an eighth of the network's size. For each mask, the 16x16 logits (32x32, ...) are searched that
show it best when they are enlarged bilinearly and cut at 0: about what a perfect network with such a map reaches. Of
the validation images if a split is given, else of all. Writes benchmarks/results/map_size.json, or, with --picture,
only a picture of the best, a median and the worst image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.data.images import read_image
from ham_keras.data.masks import resize_mask
from ham_keras.data.selection import read_records
from ham_keras.data.splits import load_split
from ham_keras.data.truth import read_truth
from ham_keras.environment import describe_environment
from ham_keras.files import save_json
from ham_keras.reports.pictures import Mask, best_median_worst, save_cases
from ham_keras.scores.bootstrap import interval_over
from ham_keras.scores.distances import hausdorff95
from ham_keras.settings import Data

START, STEPS, RATE, FAR_PX = 0.1, 150, 0.3, 40.0
Floats = npt.NDArray[np.float32]


def through_map(mask: Mask, size: int) -> Mask:
    """A mask [H, W] in {0, 1} as the best map of `size` x `size` logits shows it, enlarged bilinearly and cut at 0.

    The logits start as the distance to the outline, and follow the gradient of the Jaccard index at half of the mask's
    size (Adam, Kingma and Ba 2015).
    """
    height, width = mask.shape
    small = (width // 2, height // 2)
    truth = cv2.resize(mask.astype(np.float32), small, interpolation=cv2.INTER_AREA)
    rows, columns = (enlarging(size, length) for length in small[::-1])
    logits = START * cv2.resize(signed_distance(mask), (size, size), interpolation=cv2.INTER_AREA)
    mean, square = np.zeros_like(logits), np.zeros_like(logits)
    for step in range(1, STEPS + 1):
        probability = 1 / (1 + np.exp(-rows @ logits @ columns.T))
        both, total = (truth * probability).sum(), truth.sum() + probability.sum()
        either = total - both
        slope = (truth * either - both * (1 - truth)) / either**2 * probability * (1 - probability)
        gradient = -rows.T @ slope @ columns
        mean, square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient**2
        logits -= RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-12)
    return (enlarging(size, height) @ logits @ enlarging(size, width).T > 0).astype(np.uint8)


def enlarging(size: int, length: int) -> Floats:
    """The matrix [length, size] of bilinear interpolation."""
    return np.asarray(cv2.resize(np.eye(size, dtype=np.float32), (size, length), interpolation=cv2.INTER_LINEAR))


def signed_distance(mask: Mask) -> Floats:
    """The distance to the outline in pixels, at most `FAR_PX`, positive inside."""
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (mask, 1 - mask))
    return np.asarray(np.clip(inside - outside, -FAR_PX, FAR_PX), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a small probability map can show of the outlines.")
    parser.add_argument("root")
    parser.add_argument("split", type=Path, nargs="?")
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    chosen = set(load_split(args.split)["val"]) if args.split else None
    found = read_records(Data(root=args.root))
    records = {each.image_id: each for each in found if chosen is None or each.image_id in chosen}
    masks = {image_id: read_truth(record).lesion for image_id, record in records.items()}
    lesions = [record.lesion_id for record in records.values()]
    rows, scored = [], []
    for size in args.sizes:
        drawn = {image_id: through_map(mask, size) for image_id, mask in masks.items()}
        pairs = [(mask, drawn[image_id]) for image_id, mask in masks.items()]
        jaccard = [float((a & b).sum() / (a | b).sum()) for a, b in pairs]
        distance = [hausdorff95(a, b) for a, b in pairs]
        rows.append(
            {
                "map": [size, size],
                "jaccard": {"mean": float(np.mean(jaccard)), "interval": interval_over(jaccard, lesions)},
                "hausdorff95_px": {"mean": float(np.mean(distance)), "interval": interval_over(distance, lesions)},
            }
        )
        print(rows[-1])
        scored.append([{"image_id": name, "jaccard_native": one} for name, one in zip(masks, jaccard, strict=True)])
    if args.picture:
        cases = []
        for group, (row,) in best_median_worst(scored[0], 1).items():
            image_id = str(row["image_id"])
            image, mask = read_image(records[image_id].image_path), masks[image_id]
            pair = resize_mask(mask, *image.shape[:2]), through_map(mask, args.sizes[0])
            cases.append((f"{group}: {image_id}", image, *pair, float(row["jaccard_native"])))
        save_cases(cases, args.picture, ("mask", f"in {args.sizes[0]}x{args.sizes[0]} values"))
        return
    content = {"images": len(masks), "rows": rows, "environment": describe_environment("CPU", "float32")}
    save_json(Path("benchmarks/results/map_size.json"), content)


if __name__ == "__main__":
    main()
