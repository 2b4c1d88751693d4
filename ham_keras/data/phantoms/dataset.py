"""Write a dataset of phantoms in the Kaggle layout: images, masks, hairs and tables."""

from __future__ import annotations

import functools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from ham_keras.data.phantoms.photograph import VIEWS, draw_phantom
from ham_keras.data.phantoms.tiles import Size
from ham_keras.environment import cpu_threads
from ham_keras.errors import HamError
from ham_keras.files import creating_folder, remove_parts

VERSION = 4  # of the images: increment it with every change to their bytes
RECORD = "phantoms.json"
VIEW_SHARES = (0.74, 0.19, 0.06, 0.01)  # of lesions with 1, 2, 3, 4 images
ONE_HOT = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
METADATA = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
FOLDERS = ("images", "masks", "hairs")
SMALLEST_SIDE_PX = 32


def draw_phantoms(
    root: Path,
    count: int,
    seed: int,
    *,
    inverted_fraction: float = 0.0,
    palette_fraction: float = 0.04,
    width_px: int = 600,
    height_px: int = 450,
) -> bool:
    """Draw `count` phantoms into the new folder `root`; on an error nothing is left there.

    `inverted_fraction` of the masks, rounded, is saved as 255 - mask, and `palette_fraction`, to within one mask, as
    indices into a reversed palette.

    Returns:
        False if `root` already holds this dataset.

    Raises:
        HamError: `root` holds anything else, or an argument is out of range.
    """
    shares = {"inverted": inverted_fraction, "palette": palette_fraction}
    made_from = {"version": VERSION, "count": count, "seed": seed, "size_px": [width_px, height_px], "shares": shares}
    if count < 1 or seed < 0 or min(width_px, height_px) < SMALLEST_SIDE_PX:
        given = f"count is {count}, seed {seed}, width {width_px} and height {height_px}"
        raise HamError(f"{given}; expected at least 1, 0, {SMALLEST_SIDE_PX} and {SMALLEST_SIDE_PX}")
    if not (min(shares.values()) >= 0 and sum(shares.values()) <= 1):
        raise HamError(f"shares of masks are {shares}; expected 0 to 1 each, and at most 1 together")
    if _holds(root, made_from):
        return False
    remove_parts(root.parent)
    try:
        with creating_folder(root) as part:  # `root` may exist if it is empty
            for folder in FOLDERS:
                (part / folder).mkdir()
            draw = functools.partial(_draw_files, part, seed, (width_px, height_px))
            with ThreadPoolExecutor(cpu_threads()) as pool:
                facts = list(tqdm(pool.map(draw, _plan(count, seed, shares)), "phantoms", count, disable=None))
            _write_tables(part, made_from, facts)
    except OSError as error:
        raise HamError(f"{root}: cannot be written: {error}") from None
    return True


def _plan(count: int, seed: int, shares: dict[str, float]) -> list[tuple[int, int, str]]:
    """List (image, lesion, mask encoding); encodings are spread so that the first n masks have the given shares."""
    plan: list[tuple[int, int, str]] = []
    saved = {"inverted": 0, "palette": 0, "plain": 0}
    lesion = 0
    while len(plan) < count:
        views = np.random.default_rng([seed, VIEWS, lesion]).choice(len(VIEW_SHARES), p=VIEW_SHARES)
        for index in range(len(plan), min(len(plan) + 1 + int(views), count)):
            due = {kind: int((index + 1) * share + 0.5) for kind, share in shares.items()}
            storage = next((kind for kind in due if saved[kind] < due[kind]), "plain")
            saved[storage] += 1
            plan.append((index, lesion, storage))
        lesion += 1
    return plan


def _draw_files(root: Path, seed: int, size: Size, planned: tuple[int, int, str]) -> dict[str, Any]:
    index, lesion, storage = planned
    image_id = f"PHANTOM_{index + 1:07d}"
    image, mask, hairs, facts = draw_phantom(seed, index, lesion, size)
    saved = Image.fromarray((mask if storage == "plain" else ~mask).astype(np.uint8) * 255)
    if storage == "palette":  # as in HAM10000: index 255 is black, so only the raw indices are inverted
        saved.putpalette([255 - index for index in range(256) for _ in "RGB"])
    Image.fromarray(image).save(root / "images" / f"{image_id}.jpg", quality=facts.pop("jpeg_quality"))
    saved.save(root / "masks" / f"{image_id}_segmentation.png")
    Image.fromarray(hairs.astype(np.uint8) * 255).save(root / "hairs" / f"{image_id}_hair.png")
    return {"image_id": image_id, "lesion_id": f"PHL_{lesion + 1:07d}", "mask": storage} | facts


def _write_tables(root: Path, made_from: dict[str, Any], facts: list[dict[str, Any]]) -> None:
    one_hot = [
        {"image": fact["image_id"]} | {name: float(name == fact["dx"].upper()) for name in ONE_HOT} for fact in facts
    ]
    for name, columns, rows in (("HAM10000_metadata", METADATA, facts), ("GroundTruth", ("image", *ONE_HOT), one_hot)):
        lines = [columns, *([str(row[column]) for column in columns] for row in rows)]
        (root / f"{name}.csv").write_text("".join(",".join(line) + "\n" for line in lines), encoding="utf-8")
    masks = {kind: sum(fact["mask"] == kind for fact in facts) for kind in ("plain", "inverted", "palette")}
    record = {"made_from": made_from, "masks": masks, "images": facts}
    (root / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _holds(root: Path, made_from: dict[str, Any]) -> bool:
    """Whether `root` is this dataset, complete; False if it is missing or empty. Raises a HamError otherwise."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        record = json.loads((root / RECORD).read_text(encoding="utf-8"))
        counts = {len(os.listdir(root / name)) for name in FOLDERS}
        if record["made_from"] == made_from and counts == {made_from["count"]}:
            return True
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not a dataset of phantoms
    raise HamError(f"{root}: exists and is not this dataset; choose a new folder, or remove this one")
