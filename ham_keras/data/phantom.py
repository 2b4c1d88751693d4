"""Phantoms: drawn dermoscopy in the Kaggle layout, for tests, demonstrations and the data that ships.

    python -m ham_keras.data.phantom data/phantoms --count 200 --seed 1

Nothing of a real image is in them. The masks of lesion and hairs are what was drawn, so they are exact.
The same arguments draw the same bytes, and image i is the same in every count.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from ham_keras.data.phantoms.artefacts import add_bubbles, add_hairs, add_ruler, draw_light
from ham_keras.data.phantoms.drawing import LOOKS, REFERENCE_WIDTH_PX, Mask, Size, draw_lesion, make_lesion
from ham_keras.errors import HamError, program, run_command

VERSION = 2  # of the pictures: raise it with every change that draws other bytes
RECORD = "phantoms.json"
VIEWS, LESION, IMAGE = 1, 2, 3  # streams of independent random numbers from one seed
VIEW_SHARES = (0.74, 0.19, 0.06, 0.01)  # of lesions with 1, 2, 3, 4 images
DIAGNOSIS_SHARES = (0.62, 0.13, 0.12, 0.055, 0.035, 0.02, 0.02)  # in the order of LOOKS
ONE_HOT = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
SITES = ("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face", "chest", "foot", "neck")
METADATA = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
FOLDERS = ("images", "masks", "hairs")
SMALLEST_SIDE_PX = 32
# RGB 0..255 of skin without pigment, as six dermatoscopes show it.
CAMERAS = ((252, 166, 158), (250, 180, 158), (230, 202, 228), (242, 224, 226), (248, 174, 196), (236, 204, 218))
Drawn = tuple[npt.NDArray[np.uint8], Mask, Mask, dict[str, Any]]


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
    """Draw `count` phantoms into the new folder `root`: all of them, or nothing is left.

    `inverted_fraction` of the masks, to the nearest whole number, is saved as 255 - mask;
    `palette_fraction`, to within one mask, as indices into a reversed palette.

    Returns:
        False where `root` holds this very set already.

    Raises:
        HamError: `root` holds anything else, or an argument is out of its range.
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
    _remove_leftovers(root)
    partial = root.parent / f".{root.name}.partial-{os.getpid()}"
    try:
        for folder in FOLDERS:
            (partial / folder).mkdir(parents=True)
        draw = functools.partial(_draw_files, partial, seed, (width_px, height_px))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            facts = list(tqdm(pool.map(draw, _plan(count, seed, shares)), "phantoms", count, disable=None))
        _write_tables(partial, made_from, facts)
        if root.is_dir():
            root.rmdir()
        partial.rename(root)
    except OSError as error:
        raise HamError(f"{root}: cannot be written: {error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True


def draw_phantom(seed: int, index: int, lesion: int, size: Size) -> Drawn:
    """Draw image `index`, a photograph of lesion number `lesion`, at `size` = (width, height).

    Returns:
        The image, uint8 [H, W, 3] RGB; the lesion's and the hairs' mask, bool [H, W]; the facts.
    """
    patient = np.random.default_rng([seed, LESION, lesion])
    diagnosis = str(patient.choice(list(LOOKS), p=DIAGNOSIS_SHARES))
    histories = ["histo", "follow_up", "consensus"] if diagnosis == "nv" else ["histo"]
    facts: dict[str, Any] = {
        "dx": diagnosis,
        "dx_type": str(patient.choice(histories)),
        "sex": str(patient.choice(["male", "female"])),
    }
    facts |= {
        "age": 5.0 * min(max(round(patient.normal(10.4, 3.4)), 1), 17),
        "localization": str(patient.choice(SITES)),
    }
    camera = patient.choice(CAMERAS) * patient.uniform(0.88, 1.06)
    traits = make_lesion(patient, diagnosis, size[1] / size[0])

    rng = np.random.default_rng([seed, IMAGE, index])
    zoom, turn = float(np.exp(rng.normal(0, 0.1))), rng.uniform(0, 2 * np.pi)
    shift = np.clip(rng.normal(0, 0.045, 2) * np.exp(np.abs(rng.normal(0, 0.4))), -0.2, 0.2)
    image, mask = draw_lesion(traits, size, zoom, turn, shift)
    image *= (camera * rng.uniform(0.96, 1.04, 3)).astype(np.float32)
    hairs = add_hairs(rng, image)
    for share, add in ((0.2, add_bubbles), (0.13, add_ruler)):
        if rng.random() < share:
            add(rng, image)
    image *= draw_light(rng, size)[..., None]
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.35, 1.1) * size[0] / REFERENCE_WIDTH_PX))
    image += rng.standard_normal((*mask.shape, 1), dtype=np.float32) * np.float32(rng.uniform(0.5, 2.5))
    facts |= {
        "skin_type": traits.skin_type,
        "lesion_fraction": float(mask.mean()),
        "hair_fraction": float(hairs.mean()),
    }
    return np.clip(image + 0.5, 0, 255).astype(np.uint8), mask, hairs, facts


def _plan(count: int, seed: int, shares: dict[str, float]) -> list[tuple[int, int, str]]:
    """List (image, lesion, how its mask is saved), so evenly that any first n masks have their shares."""
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


def _draw_files(root: Path, seed: int, size: Size, place: tuple[int, int, str]) -> dict[str, Any]:
    index, lesion, storage = place
    image_id = f"PHANTOM_{index + 1:07d}"
    image, mask, hairs, facts = draw_phantom(seed, index, lesion, size)
    saved = Image.fromarray((mask if storage == "plain" else ~mask).astype(np.uint8) * 255)
    if storage == "palette":  # as in HAM10000: index 255 is black, so that only the raw indices are inverted
        saved.putpalette([255 - index for index in range(256) for _ in "RGB"])
    Image.fromarray(image).save(root / "images" / f"{image_id}.jpg", quality=85)
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


def _remove_leftovers(root: Path) -> None:
    """Delete what processes that were killed had drawn for `root`."""
    for leftover in root.parent.glob(f".{root.name}.partial-*"):
        try:
            os.kill(int(leftover.name.rpartition("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(leftover, ignore_errors=True)
        except (ValueError, PermissionError):
            pass  # not ours


def _holds(root: Path, made_from: dict[str, Any]) -> bool:
    """Tell whether `root` is this set, complete; False where nothing is; a HamError for anything else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        record = json.loads((root / RECORD).read_text(encoding="utf-8"))
        counts = {len(os.listdir(root / name)) for name in FOLDERS}
        if record["made_from"] == made_from and counts == {made_from["count"]}:
            return True
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no set of phantoms
    raise HamError(f"{root}: something else is there already; name a new folder, or remove this one")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: draw a set, or say that it is there already."""
    parser = argparse.ArgumentParser(program("data.phantom"), description="Draw dermoscopy phantoms.")
    parser.add_argument("root", type=Path, metavar="OUT", help="a new folder")
    for name, default, what in (
        ("count", 40, "images"), ("seed", 0, "the same seed draws the same bytes"),
        ("inverted_fraction", 0.0, "share of masks that are saved inverted"),
        ("palette_fraction", 0.04, "share of masks with a reversed palette"),
        ("width_px", 600, "of an image"), ("height_px", 450, "of an image"),
    ):  # fmt: skip
        option = "--" + name.removesuffix("_px").replace("_", "-")
        help_text = f"{what} (default %(default)s)"
        parser.add_argument(option, dest=name, type=type(default), default=default, help=help_text)
    given = parser.parse_args(argv)
    drawn = draw_phantoms(**vars(given))
    print(f"{given.root}: {given.count} phantoms {'drawn' if drawn else 'are there already, nothing to do'}")


if __name__ == "__main__":
    run_command(main)
