"""Read one image and its mask for an audit, as training does, and collect their problems."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.data.images import read_image
from ham_keras.data.masks import MaskLevelsError, find_edge_line, is_outline
from ham_keras.data.problems import Problem
from ham_keras.data.records import Record
from ham_keras.data.repair import inverted_by_both_signs
from ham_keras.data.truth import check_alignment, read_truth
from ham_keras.errors import HamError, shown

# Of 5,078 masks of HAM10000 one is smaller, 0.39 %; a thousandth of them is below 0.71 %.
TINY_LESION_FRACTION = 0.005
PLAIN_ROWS_FRACTION = 0.02  # of the rows of an image; of 2,242 images of three data sets none has so many
THUMBNAIL_PX = 32
HASHED_SIDE_PX = 128  # images are reduced to one to two times this shorter side before hashing


@dataclass
class Pair:
    """Properties of an image and its mask. Sizes are (width, height); None or "" if the file is unreadable."""

    record: Record
    sha256: str = ""
    phash: str = ""
    thumbnail: npt.NDArray[np.uint8] | None = None
    image_size: tuple[int, int] | None = None
    mask_size: tuple[int, int] | None = None
    palette: bool = False
    repaired: bool = False
    levels: int | None = None
    lesion_fraction: float | None = None
    problems: list[Problem] = field(default_factory=list)

    def add(self, kind: str, detail: str, path: Path) -> None:
        """Add a problem of this pair."""
        self.problems.append(Problem(kind, (self.record.image_id,), detail, path))


def read_pair(record: Record) -> Pair:
    """Read both files of a record; an unreadable file is a problem of the pair."""
    pair = Pair(record)
    try:
        _check_image(pair)
    except HamError as error:
        detail = _detail(error, record.image_path)
        pair.add("truncated_image" if "truncated" in detail else "unreadable_image", detail, record.image_path)
    try:
        _check_mask(pair)
    except HamError as error:
        kind = "several_classes" if isinstance(error, MaskLevelsError) else "unreadable_mask"
        pair.add(kind, _detail(error, record.mask_path), record.mask_path)
    return pair


def show_size(size: tuple[int, int] | None) -> str:
    return f"{size[0]}x{size[1]}" if size else "unknown"


def _check_image(pair: Pair) -> None:
    image = Image.fromarray(read_image(pair.record.image_path))
    pair.image_size = image.size
    grey = image.convert("L").reduce(max(1, min(image.size) // HASHED_SIDE_PX))
    pair.sha256 = hashlib.sha256(pair.record.image_path.read_bytes()).hexdigest()
    pair.phash = str(imagehash.phash(grey))
    if rows := _plain_rows(np.asarray(image)):
        pair.add("plain_rows", rows, pair.record.image_path)
    pair.thumbnail = np.asarray(grey.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX))


def _plain_rows(pixels: npt.NDArray[np.uint8]) -> str | None:
    """Rows of one colour at the bottom or the top of an image, but not at both, as where a file lost its last bytes."""
    counts = {}
    for side, seen in ("bottom", pixels[::-1]), ("top", pixels):
        varied = np.flatnonzero((seen != seen[0, 0]).any(axis=(1, 2)))
        counts[side] = int(varied[0]) if len(varied) else len(pixels)
    side = max(counts, key=lambda each: counts[each])
    is_padded = counts[side] < len(pixels) and min(counts.values()) > counts[side] / 2
    is_lost = counts[side] >= PLAIN_ROWS_FRACTION * len(pixels) and not is_padded
    return f"{counts[side]} of {len(pixels)} rows at the {side} have one colour" if is_lost else None


def _check_mask(pair: Pair) -> None:
    record, path = pair.record, pair.record.mask_path
    mask, alignment = read_truth(record), check_alignment(record)
    height, width = mask.lesion.shape
    pair.mask_size, pair.lesion_fraction = (width, height), float(mask.lesion.mean())
    pair.palette, pair.repaired, pair.levels = mask.palette, mask.repaired, mask.levels
    if mask.repaired:
        pair.add("repaired", "the file marks the skin instead of the lesion", path)
    elif inverted_by_both_signs(record):
        pair.add("maybe_inverted", "more lesion at the border than in the centre, and lighter than the rest", path)
    if mask.frame_px:
        pair.add("framed", f"{mask.frame_px} px of lesion all around", path)
    if line := find_edge_line(mask.lesion):
        pair.add("maybe_framed", f"a line of lesion along the {line[0]} edge, up to {line[1]} px inside", path)
    if is_outline(mask.lesion):
        pair.add("outline", "only the line is lesion", path)
    if mask.ring:
        pair.add("thin_level", "three grey levels, the middle one thin: read as a soft edge", path)
    if mask.blurred:
        pair.add("blurred_values", f"{mask.levels} values, of which data.lesion_values selects few", path)
    if mask.levels > 2:
        pair.add("not_binary", f"{mask.levels} grey levels", path)
    if pair.lesion_fraction in (0, 1):
        pair.add("all_lesion" if pair.lesion_fraction else "empty", f"all {width}x{height} pixels", path)
    elif pair.lesion_fraction < TINY_LESION_FRACTION:
        pair.add("tiny", f"{pair.lesion_fraction:.2%} of the mask, {mask.lesion.sum()} pixels", path)
    if alignment.turn != alignment.own_turn:
        how = "its own EXIF is ignored" if alignment.turn is None else "rotated by the EXIF of the image"
        pair.add("turned", f"stored as {show_size(alignment.stored_mask_size)}, {how}", path)
    if alignment.unclear_turn:
        sizes = f"image {show_size(alignment.image_size)}, mask {show_size(alignment.mask_size)}"
        pair.add("unclear_turn", f"{sizes}, rotated or not", path)
    if pair.image_size and pair.image_size != pair.mask_size:
        kind = "aspect_mismatch" if alignment.other_aspect else "size_mismatch"
        pair.add(kind, f"image {show_size(pair.image_size)}, mask {show_size(pair.mask_size)}", path)


def _detail(error: HamError, path: Path) -> str:
    """The message of an error without the name of the file and the advice."""
    text = str(error).removeprefix(f"{shown(path)}: ")
    for what in ("image", "mask"):
        text = text.removeprefix(f"not a readable {what} (")
    return text.partition("); replace it")[0]
