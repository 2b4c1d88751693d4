"""How much of the outlines fits into a probability map of fewer pixels than the image?

    python benchmarks/map_size.py HAM10000 [SPLIT.json]
    python benchmarks/map_size.py data/phantoms --sizes 16 --picture docs/images/map_size.png

MFSNet's last map has an eighth of the network's size. The signed distance to each mask's outline is averaged to a map
of 16x16 values (32x32, ...), enlarged bilinearly as logits are, cut at 0, and compared with the mask: about what a
network with such a map can reach. Of the validation images if a split is given, else of all. Writes
benchmarks/results/map_size.json, or, with --picture, only a picture of the best, a median and the worst image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

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


def through_map(mask: Mask, size: int) -> Mask:
    """A mask [H, W] in {0, 1} as a map of `size` x `size` values shows it."""
    framed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (framed, 1 - framed))
    distance = np.minimum(inside, max(mask.shape))[1:-1, 1:-1] - np.minimum(outside, max(mask.shape))[1:-1, 1:-1]
    values = cv2.resize(distance, (size, size), interpolation=cv2.INTER_AREA)
    return (cv2.resize(values, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0).astype(np.uint8)


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
