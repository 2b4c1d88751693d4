"""How often the signs of an inverted mask are wrong, and which masks are repaired, on right and on inverted masks.

    python benchmarks/inverted_masks.py path/to/ham10000 [--images 500]

Makes data folders of the images and masks of another, in a temporary folder, and looks at each as training does with
`data.repair_masks=auto`: the folder as it is; re-saved from raw indices, which inverts HAM10000's palette masks; all
inverted; with a frame of one pixel; in tiles, all of them and one of each under the name of the whole; shifted, the
gap filled with black, with the nearest pixels, or with what went out on the other side; with discs anywhere in place
of the masks. From the tiles on only --images of them are taken. Prints a table and writes
benchmarks/results/inverted_masks.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from ham_keras.data.images import read_image
from ham_keras.data.masks import read_mask
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks, read_signs
from ham_keras.environment import describe_environment
from ham_keras.files import save_json

Pair = tuple[str, np.ndarray | None, np.ndarray]  # id, image or None for the image of the record, mask of 0 and 255
Change = Callable[[Record], Iterator[Pair]]
FILLS = {"black": cv2.BORDER_CONSTANT, "nearest": cv2.BORDER_REPLICATE, "other side": cv2.BORDER_WRAP}


def lesion_of(record: Record) -> np.ndarray:
    return 255 * read_mask(record.mask_path).lesion


def as_raw_indices(record: Record) -> Iterator[Pair]:
    with Image.open(record.mask_path) as mask:
        yield record.image_id, None, np.asarray(mask)


def inverted(record: Record) -> Iterator[Pair]:
    yield record.image_id, None, 255 - lesion_of(record)


def framed(record: Record) -> Iterator[Pair]:
    mask = lesion_of(record)
    yield record.image_id, None, cv2.rectangle(mask, (0, 0), (mask.shape[1] - 1, mask.shape[0] - 1), 255)


def tiles(count: int, *, one: bool = False) -> Change:
    def change(record: Record) -> Iterator[Pair]:
        image, mask = read_image(record.image_path), lesion_of(record)
        height, width = mask.shape[0] // count, mask.shape[1] // count
        for number in range(count * count):
            row, column = divmod(number, count)
            part = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
            if not one:
                yield f"{record.image_id}_{number}", image[part], mask[part]
            elif number == hash_of(record) % (count * count):
                yield record.image_id, image[part], mask[part]

    return change


def shifted(down: float, right: float, fill: str) -> Change:
    def change(record: Record) -> Iterator[Pair]:
        image, mask = read_image(record.image_path), lesion_of(record)
        height, width = mask.shape
        moved = np.array([[1, 0, round(right * width)], [0, 1, round(down * height)]], np.float32)
        image, mask = (cv2.warpAffine(x, moved, (width, height), borderMode=FILLS[fill]) for x in (image, mask))
        yield record.image_id, image, np.where(mask > 127, 255, 0).astype(np.uint8)

    return change


def discs(record: Record) -> Iterator[Pair]:
    image = read_image(record.image_path)
    height, width = image.shape[:2]
    rng = np.random.default_rng(hash_of(record))
    centre = int(rng.integers(width)), int(rng.integers(height))
    mask = cv2.circle(np.zeros((height, width), np.uint8), centre, int(rng.uniform(0.05, 0.5) * width), 255, -1)
    yield record.image_id, None, mask


def hash_of(record: Record) -> int:
    return int.from_bytes(record.image_id.encode()[-4:], "big")


def make_folder(root: Path, records: list[Record], change: Change) -> list[Record]:
    """Write a data folder with changed pairs; returns its records."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)

    def one(record: Record) -> None:
        cv2.setNumThreads(0)
        for image_id, image, mask in change(record):
            Image.fromarray(mask).save(root / "masks" / f"{image_id}.png", compress_level=1)
            if image is None:
                (root / "images" / f"{image_id}{record.image_path.suffix}").symlink_to(record.image_path.resolve())
            else:
                Image.fromarray(image).save(root / "images" / f"{image_id}.jpg", quality=90)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(tqdm(threads.map(one, records), root.name, len(records), unit=" images", disable=None))
    return find_records(root).records


def measure(name: str, records: list[Record]) -> dict[str, Any]:
    """Return the fraction of masks that each sign classifies as inverted, if it can decide, and the number repaired."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        signs = list(threads.map(read_signs, records))
    row: dict[str, Any] = {"masks": name, "count": len(records)}
    for sign in ("shape", "photograph"):
        known = [value for value in (getattr(each, sign) for each in signs) if value is not None]
        row[sign] = round(float(np.mean(known)), 4)
    row["both"] = round(float(np.mean([each.both for each in signs])), 4)
    row["repaired"] = sum(record.mask_inverted for record in decide_masks(records))
    print(f"{name:44}{row['count']:7}{row['shape']:9.4f}{row['photograph']:12.4f}{row['both']:9.4f}{row['repaired']:9}")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the detection and repair of inverted masks.")
    parser.add_argument("root", help="HAM10000, in any supported layout")
    parser.add_argument(
        "--images", type=int, default=500, help="number of images for tiles, shifts and discs (default: %(default)s)"
    )
    args = parser.parse_args()
    records = find_records(args.root).records
    # Use the whole reversed run: apart from it, HAM10000 masks can only be repaired as a whole folder.
    run = [record for record in records if "ISIC_0024316" <= record.image_id <= "ISIC_0024717"]
    others = [record for record in records if record not in set(run)]
    fewer = run + others[:: max(1, len(others) // max(1, args.images - len(run)))]
    cases: list[tuple[str, list[Record], Change]] = [
        ("re-saved from raw indices", records, as_raw_indices),
        ("re-saved from raw indices, of the run alone", run, as_raw_indices),
        ("all inverted", records, inverted),
        ("with a frame of one pixel", records, framed),
    ]
    for count in (2, 3, 4):
        cases.append((f"tiles {count}x{count}", fewer, tiles(count)))
        cases.append((f"one tile of {count}x{count} of each", fewer, tiles(count, one=True)))
    for share in (0.3, 0.4):
        for down, right in ((share, 0.0), (0.0, share), (share, share)):
            for fill in FILLS:
                name = f"shifted down {down:g}, right {right:g}, {fill}"
                cases.append((name, fewer, shifted(down, right, fill)))
    cases.append(("discs anywhere", fewer, discs))
    print(f"{'':44}{'masks':>7}{'shape':>9}{'photograph':>12}{'both':>9}{'repaired':>9}")
    rows = [measure("as they are", records)]
    for name, some, change in cases:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(name, make_folder(Path(folder, "data"), some, change)))
    environment = describe_environment("CPU", "none")
    save_json(Path("benchmarks/results/inverted_masks.json"), {"rows": rows, "environment": environment})


if __name__ == "__main__":
    main()
