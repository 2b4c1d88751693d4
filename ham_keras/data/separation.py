"""Tell masks from photographs in one folder or tree, by their names and, where these do not decide, by their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ham_keras.data.encoded import BROKEN, open_image
from ham_keras.data.folders import image_files, key, looks_like_mask
from ham_keras.data.layouts import (
    MASK_BEGINNING,
    PHOTOGRAPH_ENDING,
    bare_image_name,
    bare_mask_name,
    holds_masks,
    without_mask_ending,
)
from ham_keras.environment import cpu_threads

SAMPLE_SIZE = 8  # files of a folder whose pixels are looked at


def folders_by_pixels(folders: Sequence[Path]) -> tuple[Path, Path] | None:
    """The folder of photographs and that of masks, of exactly two folders with images, by the pixels of some files."""
    samples: dict[Path, list[Path]] = {}
    for folder in folders:
        if files := list(image_files(folder)):
            # An odd step, so as not to meet only the photographs of a.jpg, a_mask.png, b.jpg, b_mask.png, ...
            samples[folder] = files[:: -(-len(files) // SAMPLE_SIZE) | 1]
        if len(samples) > 2:
            return None
    looks = {folder: {looks_like_mask(path) for path in sample} - {None} for folder, sample in samples.items()}
    photographs, masks = ([folder for folder in samples if looks[folder] == {is_mask}] for is_mask in (False, True))
    return (photographs[0], masks[0]) if photographs and masks else None


def separate_masks(files: Sequence[Path], *, masks_elsewhere: bool = False) -> tuple[list[Path], list[Path]]:
    """Split the images of a folder or a tree into photographs and masks.

    `a_mask.png` is a mask if `a.jpg` exists; without a mask folder (`masks_elsewhere` is false) it always is, unless it
    looks like a photograph. In that case `a_lesion.png` next to `a.jpg` is a mask too, unless `a` or `a_lesion` has
    another mask. Of `a.jpg` and `a.png`, one is a mask if only this one looks like a mask.
    """
    stems = _image_names(files)
    beside = [path for path in files if _mask_names(path) & stems]
    named = [path for path in (beside if masks_elsewhere else files) if is_named_mask(path)]
    with ThreadPoolExecutor(min(cpu_threads(), 16)) as threads:
        named = [path for path, is_mask in zip(named, threads.map(confirm_mask, named), strict=True) if is_mask]
    masks = set(named)
    if not masks_elsewhere:
        outlined = {without_mask_ending(key(path.stem)) for path in named}
        for path in beside:
            names = {key(path.stem), *_mask_names(path)}
            if outlined.isdisjoint(names) and looks_like_mask(path) is not False:
                masks.add(path)
    masks |= _masks_of_the_same_name([path for path in files if path not in masks])
    return [path for path in files if path not in masks], [path for path in files if path in masks]


def masks_of_others(files: Sequence[Path]) -> set[Path]:
    """The files that are masks of other files among them: named so, and not photographs by their pixels."""
    stems = _image_names(files)
    masks = {path for path in files if _mask_names(path) & stems and confirm_mask(path)}
    return masks | _masks_of_the_same_name([path for path in files if path not in masks])


def _masks_of_the_same_name(files: Sequence[Path]) -> set[Path]:
    """Of `a.jpg` and `a.png`, or `images/a.png` and `masks/a.png`, the one that alone looks like a mask."""
    by_stem: dict[str, list[Path]] = {}
    for path in files:
        by_stem.setdefault(key(path.stem), []).append(path)
    masks: set[Path] = set()
    for same in by_stem.values():
        differ = len({path.suffix.lower() for path in same}) > 1
        drawn = [
            path for path in same if (differ or any(map(holds_masks, path.parent.parts))) and looks_like_mask(path)
        ]
        masks.update(drawn if len(drawn) < len(same) else [])
    return masks


def _mask_names(path: Path) -> set[str]:
    """The stems of the images that a file may be the mask of, by its name."""
    stem = key(path.stem)
    return {without_mask_ending(stem), MASK_BEGINNING.sub("", stem), bare_mask_name(stem)} - {stem}


def _image_names(files: Sequence[Path]) -> set[str]:
    stems = {key(path.stem) for path in files}
    return stems | {bare_image_name(stem) for stem in stems}


def is_named_mask(path: Path) -> bool:
    """Whether a file is named as only masks are: `a_mask.png`, but not `a_lesion.png`."""
    stem = key(path.stem)
    return without_mask_ending(stem) != stem and PHOTOGRAPH_ENDING.search(stem) is None


def confirm_mask(path: Path) -> bool:
    """Whether a file that is named like a mask is one and not a photograph; an unreadable one is judged by its name."""
    sure_name = PHOTOGRAPH_ENDING.search(key(path.stem)) is None
    if sure_name and _has_one_channel(path):
        return True
    looks = looks_like_mask(path)
    return sure_name if looks is None else looks


def _has_one_channel(path: Path) -> bool:
    """Whether a file has one channel and is no JPEG, as most masks; reads only the header."""
    try:
        with open_image(path.read_bytes()) as image:
            return image.mode in {"1", "L", "P"} and image.format != "JPEG"
    except BROKEN:
        return False
