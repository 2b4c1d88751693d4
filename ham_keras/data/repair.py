"""Find inverted masks: decided for a whole data folder, before any mask is used.

A single mask is not enough: a lesion that reaches one side of the image looks like the inverse of another. Two signs
are used, the shape of the mask (`masks.looks_inverted`) and the photograph (`inside_is_lighter`); both are often wrong
on single images. Masks are repaired in two cases:

- The ids ISIC_0024316 to ISIC_0024717, whose masks in HAM10000 have a reversed palette: copies saved from the raw
  indices are inverted. The masks of this range, their photographs and the rest of the folder have to agree, so tiles or
  shifted copies with the same names are not changed.
- A whole folder in which both signs call nearly all masks inverted, for example if white is skin.

In both cases many of the masks, or each if there are few, also have to be the inverse of a centred lesion that touches
no border (`masks.leaves_out_the_middle`), which lesions at the edge of the image never are.

benchmarks/inverted_masks.py measures how often the signs and the decision are right.
"""

from __future__ import annotations

import dataclasses
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
from ham_keras.data.masks import leaves_out_the_middle, looks_inverted, resize_mask, strip_frame
from ham_keras.data.records import Record
from ham_keras.data.truth import stored_mask_or_none
from ham_keras.environment import cpu_threads
from ham_keras.errors import HamError

Repair = Literal["never", "auto", "always"]

REVERSED_IDS = range(24316, 24717 + 1)  # the 402 masks of HAM10000 with a reversed palette
ISIC_ID = re.compile(r"isic_(\d{7})", re.IGNORECASE)
SAMPLE_SIZE, FIRST_SAMPLE_SIZE = 200, 40  # masks sampled from a folder; the smaller sample is checked first
MIN_MASKS = 5  # fewer are not enough to judge a folder
INVERTED_FRACTION = 0.9  # of a folder's masks, by shape; by the photograph the inverse of HAM10000 has 0.99
LIGHTER_FRACTION = 0.75
# Of the other masks of HAM10000 none looks inverted; of tiles 57 % or more, of masks shifted by 0.3 on one axis 3 %.
CENTRED_MIN_MASKS = 60
OFF_CENTRE_FRACTION, OFF_CENTRE_MIN_MASKS = 0.15, 10
MIDDLE_FRACTION = 0.4  # of the lesions of HAM10000, 0.85 touch no border

# In pixels of a photograph whose longer side is 150.
SIGN_SIDE_PX, SIGN_RING_PX = 150, 10

T = TypeVar("T")


@dataclass(frozen=True)
class Signs:
    """Whether a mask, as stored, looks inverted by its shape and by its photograph; None if that is undecidable.

    `middle`: whether the shape is that of the inverse of a lesion in the middle, see `masks.leaves_out_the_middle`.
    """

    shape: bool | None
    photograph: bool | None
    middle: bool

    @property
    def both(self) -> bool:
        return bool(self.shape and self.photograph)


def decide_masks(
    records: Sequence[Record], repair_masks: Repair = "auto", lesion_values: Sequence[int] | None = None
) -> list[Record]:
    """All records of a data folder, with `mask_inverted` and `lesion_values` set.

    Args:
        repair_masks: "never"; "auto", as described above; "always", each mask by its shape alone.
        lesion_values: the values that are lesion; with these, "auto" repairs nothing.

    Raises:
        HamError: no mask has any of `lesion_values`.
    """
    values = None if lesion_values is None else tuple(lesion_values)
    records = [dataclasses.replace(record, mask_inverted=False, lesion_values=values) for record in records]
    if values is not None:
        _check_values(records, values)
    if repair_masks == "always":
        shapes = _shapes(records)
        inverted = {record.image_id for record, sign in zip(records, shapes, strict=True) if sign}
    elif repair_masks == "auto" and values is None:
        inverted = _find_inverted_folder(records) or _find_reversed(records)
    else:
        inverted = set()
    return [dataclasses.replace(record, mask_inverted=record.image_id in inverted) for record in records]


def read_signs(record: Record) -> Signs:
    """Both signs for the mask of a record, as stored."""
    lesion = stored_or_none(record)
    middle = lesion is not None and leaves_out_the_middle(lesion)
    return Signs(shape_sign(lesion), _photograph_sign(record, lesion), middle)


def inverted_by_both_signs(record: Record) -> bool:
    """Whether both signs call the mask of a record inverted, as stored."""
    lesion = stored_or_none(record)
    return bool(shape_sign(lesion) and _photograph_sign(record, lesion))


def shape_sign(lesion: Lesion | None) -> bool | None:
    """Whether a mask, as stored, looks inverted by its shape; None if that is undecidable."""
    if lesion is None or lesion.min() == lesion.max():
        return None
    inside, frame_px = strip_frame(lesion)
    if not frame_px:
        return looks_inverted(lesion)
    # The inverse of a lesion that ends just before the edge is a frame with nothing inside.
    return looks_inverted(inside) or (looks_inverted(lesion) and not inside.any())


def _photograph_sign(record: Record, lesion: Lesion | None) -> bool | None:
    if lesion is None:
        return None
    try:
        data = record.image_path.read_bytes()
        with open_image(data) as image:
            image.draft("RGB", (2 * SIGN_SIDE_PX, 2 * SIGN_SIDE_PX))
            photograph = to_rgb(turn_upright(image, data))
    except BROKEN:
        return None
    photograph.thumbnail((SIGN_SIDE_PX, SIGN_SIDE_PX), Image.Resampling.BOX)
    return inside_is_lighter(np.asarray(photograph), strip_frame(lesion)[0])


def inside_is_lighter(image: npt.NDArray[np.uint8], lesion: Lesion) -> bool | None:
    """Whether the photograph is lighter inside the mask than outside; None if there is no outline or no difference.

    Lesions are nearly always darker than the skin next to them. The medians of the green channel, which pigment and
    blood both darken, are compared within `SIGN_RING_PX` of the outline; larger regions would include dark corners.

    Args:
        image: uint8 RGB [H, W, 3], with a longer side of about `SIGN_SIDE_PX`.
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


def _find_inverted_folder(records: Sequence[Record]) -> set[str]:
    """The inverted masks if nearly all are inverted: all but those that both signs call correct."""
    sample = evenly_spaced(records, SAMPLE_SIZE)
    for chosen in (evenly_spaced(sample, FIRST_SAMPLE_SIZE), sample):
        shapes = _known(_shapes(chosen))
        if len(shapes) < MIN_MASKS or np.mean(shapes) < INVERTED_FRACTION:
            return set()
    sampled = map_threads(read_signs, sample)
    lighter = _known(found.photograph for found in sampled)
    if len(lighter) < MIN_MASKS or np.mean(lighter) < LIGHTER_FRACTION:
        return set()
    if np.mean([found.middle for found in sampled]) < MIDDLE_FRACTION:
        return set()
    signs = map_threads(read_signs, records)
    return {
        record.image_id
        for record, found in zip(records, signs, strict=True)
        if not (found.shape is False and found.photograph is False)
    }


def _find_reversed(records: Sequence[Record]) -> set[str]:
    """The inverted masks among `REVERSED_IDS`, if photographs and the rest of the folder confirm it."""
    candidates = [record for record in records if _has_reversed_id(record)]
    shapes = _shapes(candidates)
    suspects = [record for record, shape in zip(candidates, shapes, strict=True) if shape]
    if not suspects:
        return set()
    others = evenly_spaced([record for record in records if not _has_reversed_id(record)], SAMPLE_SIZE)
    elsewhere = _known(_shapes(others))
    fraction = float(np.mean(elsewhere)) if elsewhere else 0.0
    if len(elsewhere) >= OFF_CENTRE_MIN_MASKS and fraction > OFF_CENTRE_FRACTION:
        return set()  # lesions are not centred, so the shape is no evidence
    signs = map_threads(read_signs, suspects)
    many, centred = len(suspects) >= MIN_MASKS, len(elsewhere) >= CENTRED_MIN_MASKS and fraction == 0
    if np.mean([found.middle for found in signs]) < MIDDLE_FRACTION if many else not centred:
        suspects = [record for record, found in zip(suspects, signs, strict=True) if found.middle]
        signs = [found for found in signs if found.middle]
    lighter = _known(found.photograph for found in signs)
    if lighter and np.mean(lighter) >= LIGHTER_FRACTION:
        return {record.image_id for record in suspects}
    # One or two photographs may be exceptions; a folder of centred lesions is enough evidence then.
    return {record.image_id for record in suspects} if centred and len(lighter) <= 2 else set()


def _has_reversed_id(record: Record) -> bool:
    match = ISIC_ID.fullmatch(record.image_id.rpartition("/")[2])
    return match is not None and int(match[1]) in REVERSED_IDS


def _shapes(records: Sequence[Record]) -> list[bool | None]:
    return map_threads(lambda record: shape_sign(stored_or_none(record)), records)


def _known(signs: Iterable[bool | None]) -> list[bool]:
    return [sign for sign in signs if sign is not None]


def stored_or_none(record: Record) -> Lesion | None:
    """The mask as stored; None if it cannot be read."""
    found = stored_mask_or_none(record)
    return None if found is None else found.lesion


def _check_values(records: Sequence[Record], values: tuple[int, ...]) -> None:
    for chosen in (evenly_spaced(records, FIRST_SAMPLE_SIZE), records):
        lesions = [lesion for lesion in map_threads(stored_or_none, chosen) if lesion is not None]
        if not lesions or any(lesion.any() for lesion in lesions):
            return
    raise HamError(f"data.lesion_values: no mask of this folder has any of {list(values)}")


def evenly_spaced(records: Sequence[T], count: int) -> Sequence[T]:
    """At most `count` of the records, evenly spaced."""
    if len(records) <= count:
        return records
    return [records[index] for index in np.linspace(0, len(records) - 1, count).round().astype(int)]


def map_threads(function: Callable[[Record], T], records: Sequence[Record]) -> list[T]:
    """Apply a function to each record, in threads."""
    with ThreadPoolExecutor(min(cpu_threads(), 16)) as threads:
        return list(threads.map(function, records))
