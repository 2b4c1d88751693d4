"""What makes a lesion hard to outline, measured from image and truth alone, and how such images are scored.

Measures are taken at one working size, so they are the same whatever the photograph's. The groups are those in which
the report that this project ports saw its failures. An image may be in several of them, or in none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ham_keras.data.hair import find_hairs
from ham_keras.data.images import read_image
from ham_keras.data.masks import resize_mask
from ham_keras.data.records import Record
from ham_keras.data.truth import read_truth
from ham_keras.scores.bootstrap import spread

Pixels = npt.NDArray[np.uint8]

WORKING_SIDE_PX = 600  # of the longer side: that of HAM10000's photographs
FRAME_PX = 6  # what is as near to a side touches it: masks often end a few pixels before the frame
TOUCHED_SHARE = 0.05  # of a side's length
GAP_PX, RING_PX = 6, 30  # the skin that a lesion is compared with begins beyond its soft edge
HAIRY_FRACTION = 0.01


@dataclass(frozen=True)
class Measures:
    """What is measured of one image.

    Attributes:
        lesion_fraction: of the image, 0..1.
        sides_touched: how many of the frame's four sides the lesion reaches.
        hair_fraction: of the image under dark hairs, 0..1; see `data.hair`.
        contrast: CIE 1976 colour difference (delta E) between lesion and the ring of skin around it, each at its
            median colour; None where the image shows only one of them.
    """

    lesion_fraction: float
    sides_touched: int
    hair_fraction: float
    contrast: float | None


@dataclass(frozen=True)
class Group:
    """A kind of hard image: what is asked of its measures, in code and in words, and why there."""

    title: str
    condition: str
    reason: str
    contains: Callable[[Measures], bool]


GROUPS = {
    "fills_frame": Group(
        "Fills the frame",
        "lesion on more than 50 % of the image, or reaching 2 sides of the frame or more",
        "Part of the outline is out of sight, and the skin that tells what a lesion is not becomes scarce.",
        lambda measures: measures.lesion_fraction > 0.5 or measures.sides_touched >= 2,
    ),
    "tiny": Group(
        "Tiny lesion",
        "lesion on less than 2.5 % of the image",
        "At 128x128 pixels it is a disc 23 across, and an outline one pixel too narrow costs it 17 % of its area.",
        lambda measures: measures.lesion_fraction < 0.025,
    ),
    "hairy": Group(
        "Hairy",
        "dark hairs on more than 1 % of the image",
        "Of 148 phantoms without dark hair none measures as much; of 29 with more than that, 24 do "
        "(benchmarks/hair.py). Light hairs and stubble are not measured.",
        lambda measures: measures.hair_fraction > HAIRY_FRACTION,
    ),
    "low_contrast": Group(
        "Low contrast",
        "lesion and the skin around it less than 10 apart in CIE Lab (delta E)",
        "Skin itself varies as much: a tenth of the ring lies 7 or more from its median colour (13 in spotted skin).",
        lambda measures: measures.contrast is not None and measures.contrast < 10,
    ),
}


def measure(image: Pixels, lesion: Pixels) -> Measures:
    """Measure one image, uint8 RGB [H, W, 3], with its true mask, uint8 {0, 1} of any size."""
    scale = WORKING_SIDE_PX / max(image.shape[:2])
    if scale != 1:
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, (width, height), interpolation=how)
    fraction, lesion = float(lesion.mean()), resize_mask(lesion, *image.shape[:2])
    return Measures(
        lesion_fraction=fraction,
        sides_touched=_sides_touched(lesion),
        hair_fraction=float(find_hairs(image).mean()),
        contrast=_contrast(image, lesion),
    )


def _sides_touched(lesion: Pixels) -> int:
    strips = (lesion[:FRAME_PX].T, lesion[-FRAME_PX:].T, lesion[:, :FRAME_PX], lesion[:, -FRAME_PX:])
    return sum(bool(strip.max(axis=1).mean() >= TOUCHED_SHARE) for strip in strips)


def _contrast(image: Pixels, lesion: Pixels) -> float | None:
    distance = cv2.distanceTransform(1 - lesion, cv2.DIST_L2, cv2.DIST_MASK_5)
    inside, ring = lesion > 0, (distance > GAP_PX) & (distance <= GAP_PX + RING_PX)
    if not (inside.any() and ring.any()):
        return None
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return float(np.linalg.norm(np.median(lab[inside], axis=0) - np.median(lab[ring], axis=0)))


def measure_all(records: Sequence[Record], *, visible: bool = True) -> dict[str, Measures]:
    """The measures of all records by image id.

    Raises:
        HamError: an image or a mask cannot be read.
    """

    def one(record: Record) -> Measures:
        cv2.setNumThreads(0)
        return measure(read_image(record.image_path), read_truth(record).lesion)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        bar = tqdm(pool.map(one, records), "measuring", len(records), unit=" images", disable=not visible)
        return {record.image_id: measures for record, measures in zip(records, bar, strict=True)}


def measure_rows(measured: Mapping[str, Measures]) -> list[dict[str, Any]]:
    """The rows of failure_measures.csv: each image's measures and, 0 or 1, the groups that it is in."""
    return [
        {"image_id": image_id}
        | {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(measures).items()}
        | {name: int(group.contains(measures)) for name, group in GROUPS.items()}
        for image_id, measures in measured.items()
    ]


def members(measured: Mapping[str, Measures]) -> dict[str, set[str]]:
    """The image ids in each of `GROUPS`."""
    return {
        name: {image_id for image_id, measures in measured.items() if group.contains(measures)}
        for name, group in GROUPS.items()
    }


def score_groups(
    rows: Sequence[Mapping[str, Any]], groups: Mapping[str, set[str]], *, resamples: int
) -> dict[str, dict[str, Any]]:
    """Native Jaccard of each group's images and of all others.

    Returns:
        for each group {"images", "inside", "outside"}, the last two as `scoring.spread` gives them, or None where
        no image is on that side.
    """
    scored = {}
    for name, ids in groups.items():
        sides = {}
        for side, wanted in (("inside", True), ("outside", False)):
            chosen = [row for row in rows if (row["image_id"] in ids) == wanted]
            values = np.array([row["jaccard_native"] for row in chosen], float)
            lesions = [str(row["lesion_id"]) for row in chosen]
            sides[side] = spread(values, lesions, resamples=resamples) if chosen else None
        scored[name] = {"images": len(ids), **sides}
    return scored
