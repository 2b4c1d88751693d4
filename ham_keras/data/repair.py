"""Which masks of a data folder are inverted: decided for the folder as a whole, before any mask is used.

One mask cannot tell: a lesion that reaches one side looks like the inverse of another. Two signs are asked of it, its
shape (`masks.looks_inverted`) and the photograph (`marks_lighter_side`), and both are often wrong on a single image.
What decides is

- the one run of HAM10000's ids whose masks have a reversed palette, ISIC_0024316 to ISIC_0024717: copies of them that
  were re-saved from raw indices are inverted. The masks of the run, the photographs and the rest of the folder have to
  agree, so that tiles or shifted copies under the same names are left alone;
- a whole folder, nearly all of whose masks are inverted by both signs, as where white stands for skin.

benchmarks/inverted_masks.py measures the signs and what comes of them.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.data.encoded import BROKEN, open_image, to_rgb, turn_upright
from ham_keras.data.levels import Lesion
from ham_keras.data.masks import looks_inverted, remove_frame, resize_mask
from ham_keras.data.records import Record
from ham_keras.data.truth import read_stored_truth
from ham_keras.errors import HamError

Repair = Literal["never", "auto", "always"]

REVERSED_RUN = range(24316, 24717 + 1)  # HAM10000's masks with a reversed palette, all 402 of them
ISIC_ID = re.compile(r"isic_(\d{7})", re.IGNORECASE)
SAMPLED, FIRST_SAMPLED = 200, 40  # masks that stand for a folder; so many are looked at first
FEWEST = 5  # masks of which a folder's statistics say anything
INVERTED_SHARE = 0.9  # of a folder's masks, by shape; by the photograph HAM10000's inverse has 0.99
LIGHTER_SHARE = 0.75
# Of HAM10000's other masks none looks inverted; of tiles 57 % and more, of masks shifted by 0.3 on one axis 3 %.
CENTRED_FEWEST = 60
DECENTRED_SHARE, DECENTRED_FEWEST = 0.15, 10

# In pixels of a photograph whose longer side has 150.
SIGN_SIDE_PX, SIGN_RING_PX = 150, 10

T = TypeVar("T")


@dataclass(frozen=True)
class Signs:
    """What a mask, as it lies in its file, looks like; None where there is nothing to tell it by."""

    shape: bool | None
    photograph: bool | None

    @property
    def both(self) -> bool:
        return bool(self.shape and self.photograph)


def decide_masks(
    records: Sequence[Record], repair_masks: Repair = "auto", lesion_values: Sequence[int] | None = None
) -> list[Record]:
    """All records of a data folder, each with how its mask is to be read.

    Args:
        repair_masks: "never"; "auto", by the evidence above; "always", each mask by its shape alone.
        lesion_values: the values that are lesion; with "auto" they say all, and nothing is repaired.

    Raises:
        HamError: no mask that was looked at has one of `lesion_values`.
    """
    values = None if lesion_values is None else tuple(lesion_values)
    records = [dataclasses.replace(record, mask_inverted=False, lesion_values=values) for record in records]
    if values is not None:
        _check_values(records, values)
    if repair_masks == "always":
        shapes = _shapes(records)
        inverted = {record.image_id for record, sign in zip(records, shapes, strict=True) if sign}
    elif repair_masks == "auto" and values is None:
        inverted = _inverted_folder(records) or _reversed_run(records)
    else:
        inverted = set()
    return [dataclasses.replace(record, mask_inverted=record.image_id in inverted) for record in records]


def read_signs(record: Record) -> Signs:
    """Both signs of a record's mask as it lies in its file."""
    lesion = _stored(record)
    return Signs(_shape_sign(lesion), _photograph_sign(record, lesion))


def looks_inverted_twice(record: Record) -> bool:
    """Whether both signs call a record's mask inverted, as it lies in its file."""
    lesion = _stored(record)
    return bool(_shape_sign(lesion) and _photograph_sign(record, lesion))


def _shape_sign(lesion: Lesion | None) -> bool | None:
    if lesion is None or lesion.min() == lesion.max():
        return None
    if not looks_inverted(lesion):
        return False
    inside, frame_px = remove_frame(lesion)
    # An inverted lesion that ends just before the edge leaves a frame, and nothing in it.
    return looks_inverted(inside) or not inside.any() if frame_px else True


def _photograph_sign(record: Record, lesion: Lesion | None) -> bool | None:
    if lesion is None:
        return None
    try:
        data = record.image_path.read_bytes()
        with open_image(data) as image:
            image.draft("RGB", (2 * SIGN_SIDE_PX, 2 * SIGN_SIDE_PX))
            picture = to_rgb(turn_upright(image, data))
    except BROKEN:
        return None
    picture.thumbnail((SIGN_SIDE_PX, SIGN_SIDE_PX), Image.Resampling.BOX)
    return marks_lighter_side(np.asarray(picture), remove_frame(lesion)[0])


def marks_lighter_side(image: npt.NDArray[np.uint8], lesion: Lesion) -> bool | None:
    """Whether a mask's side of its outline is the lighter one; None where there is no outline to compare along.

    Lesions are, nearly always, darker than the skin just beside them. Compared are the medians of green, which pigment
    and blood both darken, within `SIGN_RING_PX` of the outline: whole sides would compare dark corners.

    Args:
        image: uint8 RGB [H, W, 3], its longer side about `SIGN_SIDE_PX`.
        lesion: uint8 {0, 1} of any size.
    """
    small = resize_mask(lesion, *image.shape[:2])
    sides = []
    for side in (small, 1 - small):
        depth = cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_3)
        ring = image[..., 1][(depth > 1) & (depth < SIGN_RING_PX)]
        if not len(ring) or side.all():
            return None
        sides.append(float(np.median(ring)))
    return None if sides[0] == sides[1] else sides[0] > sides[1]


def _inverted_folder(records: Sequence[Record]) -> set[str]:
    """The inverted masks of a folder in which nearly all are: all but those that both signs call right."""
    sample = spread(records, SAMPLED)
    for chosen in (spread(sample, FIRST_SAMPLED), sample):
        shapes = _known(_shapes(chosen))
        if len(shapes) < FEWEST or np.mean(shapes) < INVERTED_SHARE:
            return set()
    lighter = _known(signs.photograph for signs in in_threads(read_signs, sample))
    if len(lighter) < FEWEST or np.mean(lighter) < LIGHTER_SHARE:
        return set()
    signs = in_threads(read_signs, records)
    return {
        record.image_id
        for record, found in zip(records, signs, strict=True)
        if not (found.shape is False and found.photograph is False)
    }


def _reversed_run(records: Sequence[Record]) -> set[str]:
    """The inverted masks of HAM10000's reversed run, where the folder bears it out."""
    run = [record for record in records if _in_reversed_run(record)]
    shapes = _shapes(run)
    suspects = [record for record, shape in zip(run, shapes, strict=True) if shape]
    if not suspects:
        return set()
    others = spread([record for record in records if not _in_reversed_run(record)], SAMPLED)
    elsewhere = _known(_shapes(others))
    share = float(np.mean(elsewhere)) if elsewhere else 0.0
    if len(elsewhere) >= DECENTRED_FEWEST and share > DECENTRED_SHARE:
        return set()  # the shape says nothing in this folder
    lighter = _known(signs.photograph for signs in in_threads(read_signs, suspects))
    if lighter and np.mean(lighter) >= LIGHTER_SHARE:
        return {record.image_id for record in suspects}
    # Of one or two photographs each may be an exception; a folder of centred lesions says as much.
    few = len(lighter) <= 2 and len(elsewhere) >= CENTRED_FEWEST and share == 0
    return {record.image_id for record in suspects} if few else set()


def _in_reversed_run(record: Record) -> bool:
    found = ISIC_ID.fullmatch(record.image_id)
    return found is not None and int(found[1]) in REVERSED_RUN


def _shapes(records: Sequence[Record]) -> list[bool | None]:
    return in_threads(lambda record: _shape_sign(_stored(record)), records)


def _known(signs: Iterable[bool | None]) -> list[bool]:
    return [sign for sign in signs if sign is not None]


def _stored(record: Record) -> Lesion | None:
    """A mask as its file has it, a frame included."""
    try:
        return read_stored_truth(record)
    except HamError:
        return None  # whoever uses it says why


def _check_values(records: Sequence[Record], values: tuple[int, ...]) -> None:
    for chosen in (spread(records, FIRST_SAMPLED), records):
        lesions = [lesion for lesion in in_threads(_stored, chosen) if lesion is not None]
        if not lesions or any(lesion.any() for lesion in lesions):
            return
    raise HamError(f"data.lesion_values: no mask of this folder has any of {list(values)}")


def spread(records: Sequence[T], count: int) -> Sequence[T]:
    """At most so many of these, evenly spread over them."""
    if len(records) <= count:
        return records
    return [records[index] for index in np.linspace(0, len(records) - 1, count).round().astype(int)]


def in_threads(function: Callable[[Record], T], records: Sequence[Record]) -> list[T]:
    """What a function that waits for files makes of each record."""
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as threads:
        return list(threads.map(function, records))
