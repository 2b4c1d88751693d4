"""How the work around the network grows with the number of images: seconds and memory of each part.

    python benchmarks/bookkeeping.py [--counts 10000 30000 100000]

Each part runs in a separate process, without a network, on hard links to 200 phantoms of 60x45 pixels under as many
names: records and split as in training, predict's inputs and its table, the client's names, the summary of the scores,
and the audit's search for near-identical images, with random hashes. Processor seconds hardly depend on what else the
machine does. Memory is the peak over that after the imports; 1 MB is 2**20 bytes. The exponent of a power law is fitted
in logarithms to the processor seconds: 1 is linear. Prints one table and writes benchmarks/results/bookkeeping/.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from growth import exponent
from resident import peak_rss_mb, rss_mb
from side_by_side import Row, alone, measured, save

PHANTOMS = 200


def link_images(root: Path, count: int) -> None:
    """Fill root/images and root/masks with links to phantoms, and root/table.csv with their lesions."""
    from ham_keras.data.phantoms.dataset import draw_phantoms
    from ham_keras.data.records import find_records
    from ham_keras.files import save_csv

    draw_phantoms(root / "drawn", PHANTOMS, 0, width_px=60, height_px=45)
    records = find_records(root / "drawn").records
    for folder in ("images", "masks"):
        (root / "linked" / folder).mkdir(parents=True)
    rows = []
    for number in range(count):
        record = records[number % len(records)]
        name = f"image_{number:07}"
        os.link(record.image_path, root / "linked" / "images" / f"{name}{record.image_path.suffix}")
        os.link(record.mask_path, root / "linked" / "masks" / f"{name}_segmentation.png")
        rows.append({"image_id": name, "lesion_id": f"lesion_{number * 3 // 4:07}", "dx": "nv"})
    save_csv(root / "linked" / "table.csv", rows)


def records_and_split(root: Path, count: int) -> None:
    from ham_keras.data.records import find_records
    from ham_keras.data.repair import decide_masks
    from ham_keras.data.splits import make_split

    records = decide_masks(find_records(root / "linked").records)
    make_split(records, {"train": 0.7, "val": 0.15, "test": 0.15}, seed=0)
    expect(len(records), count)


def inputs_of_predict(root: Path, count: int) -> None:
    from ham_keras.prediction.folder import PredictionFolder
    from ham_keras.prediction.inputs import find_inputs

    expect(len(find_inputs([root / "linked" / "images"], PredictionFolder(root / "out")).ids), count)


def table_of_predict(root: Path, count: int) -> None:
    """Record rows as `predict` does, but start from scratch and save no masks."""
    from ham_keras.prediction.folder import PredictionFolder
    from ham_keras.prediction.measurements import measure_mask

    mask, probability = np.eye(64, dtype=np.uint8), np.eye(64, dtype=np.float32)
    measured_mask = measure_mask(mask, probability)
    paths = [root / f"{number:07}.jpg" for number in range(count)]
    with tempfile.TemporaryDirectory(dir=root) as folder:
        predictions = PredictionFolder(Path(folder, "out"))
        with predictions.opened():
            predictions.assign_ids({path: path.stem for path in paths})
            predictions.start({"threshold": 0.5}, paths)
            for path in paths:
                predictions.add({"image_id": path.stem, "image": str(path), **measured_mask})
        resumed = PredictionFolder(Path(folder, "out"))
        with resumed.opened():
            expect(len(resumed.rows), count)


def names_of_client(root: Path, count: int) -> None:
    """Check the names as `client` does; nothing is sent."""
    from ham_keras import client

    client.save_masks = lambda results, folder, report: 0
    client.Client = lambda url, **options: Offline()  # type: ignore[assignment,misc]
    client.client("http://localhost", [Path(f"{number:07}.jpg") for number in range(count)], root / "masks")


class Offline:
    def segment_files(self, images: Sequence[Path]) -> Sequence[Path]:
        return images


def summary_of_scores(root: Path, count: int) -> None:
    from ham_keras.scores.scores import score
    from ham_keras.scores.summary import summarise

    draw = np.random.default_rng(0)
    rows = []
    for number, (tp, fp, fn) in enumerate(draw.integers(1, 1000, (count, 3)).tolist()):
        scores = score(tp, fp, fn, 10_000)
        row: dict[str, Any] = {"image_id": str(number), "lesion_id": str(number * 3 // 4), "diagnosis": "nv"}
        row |= {"height_px": 450, "width_px": 600, "lesion_fraction": 0.2, "mask_repaired": 0}
        rows.append(row | {f"{name}_{size}": scores[name] for size in ("native", "network") for name in scores})
    summarise(rows, resamples=1000)


def near_identical(root: Path, count: int) -> None:
    from ham_keras.data.inspection.likeness import compare_pairs
    from ham_keras.data.inspection.pairs import Pair
    from ham_keras.data.records import Record

    draw = np.random.default_rng(0)
    thumbnail = np.zeros((32, 32), np.uint8)  # uniform: like no other, even where hashes are near by chance
    pairs = []
    for number, value in enumerate(draw.integers(0, 2**63, count).tolist()):
        record = Record(str(number), str(number), "nv", Path(str(number)), Path(str(number)))
        pairs.append(Pair(record, thumbnail=thumbnail, phash=f"{value:016x}", sha256=str(number)))
    expect(len(list(compare_pairs(pairs))), 0)


PARTS: dict[str, Callable[[Path, int], None]] = {
    "records, masks and split": records_and_split,
    "inputs of predict": inputs_of_predict,
    "table of predict": table_of_predict,
    "names of the client": names_of_client,
    "summary of the scores": summary_of_scores,
    "near-identical images of the audit": near_identical,
}


def expect(found: int, count: int) -> None:
    if found != count:
        raise RuntimeError(f"expected {count}, got {found}")


def watch(part: str, root: Path, count: int, warm_up: int) -> tuple[float, float]:
    """Run a part in this process; returns processor seconds and the peak of memory in MB over that before.

    It first runs on few images, for the imports. Call it with `alone`.
    """
    with tempfile.TemporaryDirectory() as name:
        if warm_up:
            link_images(Path(name), warm_up)
            PARTS[part](Path(name), warm_up)
    before, start = rss_mb(), time.process_time()
    PARTS[part](root, count)
    return time.process_time() - start, peak_rss_mb() - before


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how bookkeeping grows with the number of images.")
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    args = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {part: [] for part in args.parts}
    for count in args.counts:
        with tempfile.TemporaryDirectory() as name:
            alone(link_images, root=Path(name), count=count)
            for part in args.parts:
                found[part].append(alone(watch, part=part, root=Path(name), count=count, warm_up=PHANTOMS))
    rows: list[Row] = []
    for part, results in found.items():
        for count, (seconds, peak_mb) in zip(args.counts, results, strict=True):
            rows.append(measured(f"{part}: {count}", float(f"{seconds:.3g}"), goal=None, unit="s", count=count))
            rows.append(measured(f"{part}: {count}, memory", round(peak_mb), goal=None, unit="MB", count=count))
        if len(args.counts) > 1:
            grown = exponent(args.counts, [seconds for seconds, _ in results])
            rows.append(measured(f"{part}: growth", grown, goal=1.0, unit="exponent"))
    save("bookkeeping", rows, {"counts": args.counts, "phantoms": PHANTOMS})


if __name__ == "__main__":
    main()
