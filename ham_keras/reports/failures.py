"""Groups of hard images, found from image and true mask alone, and their scores.

Images are measured at a fixed working size, so the result does not depend on their resolution. The groups are those in
which the original report found its failures. An image may be in several groups or in none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ham_keras.data.dark_hairs import find_hairs
from ham_keras.data.images import read_image
from ham_keras.data.masks import resize_mask
from ham_keras.data.records import Record
from ham_keras.data.truth import read_truth
from ham_keras.environment import cpu_threads
from ham_keras.scores.bootstrap import spread

Pixels = npt.NDArray[np.uint8]

WORKING_SIDE_PX = 600  # the longer side, as in HAM10000's images
FRAME_PX = 6  # a lesion this close to a side touches it: masks often end a few pixels before the frame
TOUCHED_SHARE = 0.05  # of a side's length, at least, for the side to count as touched
GAP_PX, RING_PX = 6, 30  # the ring of skin starts a gap away from the lesion, beyond its soft edge
HAIRY_FRACTION = 0.01


@dataclass(frozen=True)
class ImageMeasurements:
    """Measurements of one image and its true mask.

    Attributes:
        lesion_fraction: of the image's area, 0..1.
        sides_touched: how many of the image's four sides the lesion reaches.
        hair_fraction: of the image's area covered by dark hairs, 0..1; see `data.dark_hairs`.
        contrast: CIE 1976 colour difference (delta E) between the median colours of the lesion and of the ring of skin
            around it; None if the image shows only one of them.
    """

    lesion_fraction: float
    sides_touched: int
    hair_fraction: float
    contrast: float | None


@dataclass(frozen=True)
class Group:
    """A kind of hard image: its condition, in words and in code, and why such images are hard."""

    title: str
    condition: str
    reason: str
    contains: Callable[[ImageMeasurements], bool]


GROUPS = {
    "fills_frame": Group(
        "Fills the frame",
        "lesion on more than 50 % of the image, or reaching at least 2 sides of the frame",
        "Part of the outline is outside the image, and little skin is left to compare with.",
        lambda measurements: measurements.lesion_fraction > 0.5 or measurements.sides_touched >= 2,
    ),
    "tiny": Group(
        "Tiny lesion",
        "lesion on less than 2.5 % of the image",
        "At 128x128 pixels it is a disc 23 pixels across; an outline one pixel too narrow loses 17 % of its area.",
        lambda measurements: measurements.lesion_fraction < 0.025,
    ),
    "hairy": Group(
        "Hairy",
        "dark hairs on more than 1 % of the image",
        "Of 146 phantoms without dark hair, 4 measure as much; of 44 with more than that, 42 do "
        "(benchmarks/hair.py). Light hairs and stubble are not measured.",
        lambda measurements: measurements.hair_fraction > HAIRY_FRACTION,
    ),
    "low_contrast": Group(
        "Low contrast",
        "lesion and the skin around it less than 10 apart in CIE Lab (delta E)",
        "Skin itself varies as much: a tenth of the ring is at least 7 from its median colour (13 in spotted skin).",
        lambda measurements: measurements.contrast is not None and measurements.contrast < 10,
    ),
}


def measure_image(image: Pixels, mask: Pixels) -> ImageMeasurements:
    """Measure an image, uint8 RGB [H, W, 3], and its true mask, uint8 {0, 1} of any size."""
    scale = WORKING_SIDE_PX / max(image.shape[:2])
    if scale != 1:
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, (width, height), interpolation=interpolation)
    fraction, mask = float(mask.mean()), resize_mask(mask, *image.shape[:2])
    return ImageMeasurements(
        lesion_fraction=fraction,
        sides_touched=_sides_touched(mask),
        hair_fraction=float(find_hairs(image).mean()),
        contrast=_contrast(image, mask),
    )


def _sides_touched(mask: Pixels) -> int:
    strips = (mask[:FRAME_PX].T, mask[-FRAME_PX:].T, mask[:, :FRAME_PX], mask[:, -FRAME_PX:])
    return sum(bool(strip.max(axis=1).mean() >= TOUCHED_SHARE) for strip in strips)


def _contrast(image: Pixels, mask: Pixels) -> float | None:
    distance = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_5)
    inside, ring = mask > 0, (distance > GAP_PX) & (distance <= GAP_PX + RING_PX)
    if not (inside.any() and ring.any()):
        return None
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return float(np.linalg.norm(np.median(lab[inside], axis=0) - np.median(lab[ring], axis=0)))


def measure_records(records: Sequence[Record], *, visible: bool = True) -> dict[str, ImageMeasurements]:
    """Measure the images and true masks of all records; returns them by image id.

    Raises:
        HamError: an image or a mask cannot be read.
    """

    def measure(record: Record) -> ImageMeasurements:
        cv2.setNumThreads(0)
        return measure_image(read_image(record.image_path), read_truth(record).lesion)

    with ThreadPoolExecutor(cpu_threads()) as pool:
        bar = tqdm(pool.map(measure, records), "measuring", len(records), unit=" images", disable=not visible)
        return {record.image_id: measurements for record, measurements in zip(records, bar, strict=True)}


def measurement_rows(measured: Mapping[str, ImageMeasurements]) -> list[dict[str, Any]]:
    """Return the rows of failure_measures.csv: each image's measurements and, as 0 or 1, its groups."""
    return [
        {"image_id": image_id}
        | {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(measurements).items()}
        | {name: int(group.contains(measurements)) for name, group in GROUPS.items()}
        for image_id, measurements in measured.items()
    ]


def group_members(measured: Mapping[str, ImageMeasurements]) -> dict[str, set[str]]:
    """Return the image ids in each of `GROUPS`."""
    return {
        name: {image_id for image_id, measurements in measured.items() if group.contains(measurements)}
        for name, group in GROUPS.items()
    }


def score_groups(
    rows: Sequence[Mapping[str, Any]], groups: Mapping[str, set[str]], *, resamples: int
) -> dict[str, dict[str, Any]]:
    """Score each group against all other images, by Jaccard at the masks' size.

    Returns:
        for each group {"images", "inside", "outside"}, the last two as returned by `scores.bootstrap.spread`, with the
        number of "lesions", or None if there are no such images.
    """
    scored = {}
    for name, ids in groups.items():
        sides = {}
        for side, wanted in (("inside", True), ("outside", False)):
            chosen = [row for row in rows if (row["image_id"] in ids) == wanted]
            values = np.array([row["jaccard_native"] for row in chosen], float)
            lesions = [str(row["lesion_id"]) for row in chosen]
            count = {"lesions": len(set(lesions))}
            sides[side] = count | spread(values, lesions, resamples=resamples) if chosen else None
        scored[name] = {"images": len(ids), **sides}
    return scored
