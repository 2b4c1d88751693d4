"""Pair the images and masks of a data folder by id and join its tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from ham_keras.data.contents import Contents
from ham_keras.data.discovery import each_once, find_contents
from ham_keras.data.folders import describe_unread, key
from ham_keras.data.ids import are_copies, image_id, name_folders
from ham_keras.data.known_duplicates import KNOWN_DUPLICATES
from ham_keras.data.layouts import MASK_BEGINNING, SUFFIXES, bare_image_name, bare_mask_name, without_mask_ending
from ham_keras.data.pairing_problems import file_problems, lesion_problems, table_problems
from ham_keras.data.problems import ProblemGroup
from ham_keras.data.tables import Facts, read_tables
from ham_keras.errors import HamError, counted, counted_of, is_utf8

UNKNOWN = "unknown"
ISIC_ID = re.compile(r"isic_\d{7}(?!\d)")  # at the start of an image key


@dataclass(frozen=True, slots=True)
class Record:
    """One photograph, its mask and its metadata.

    Without metadata, `lesion_id` is the image's id and `diagnosis` is "unknown". `repair.decide_masks` sets how to read
    the mask: `mask_inverted` if the file marks the skin, `lesion_values` if it has several classes.
    """

    image_id: str
    lesion_id: str
    diagnosis: str
    image_path: Path
    mask_path: Path
    mask_inverted: bool = False
    lesion_values: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Pairing:
    """The contents of a data folder: the pairs, sorted by id, the files without a partner, and other problems."""

    root: Path
    records: list[Record]
    images_without_mask: list[Path] = field(default_factory=list)
    masks_without_image: list[Path] = field(default_factory=list)
    images_without_metadata: int = 0
    problem_groups: list[ProblemGroup] = field(default_factory=list)

    def warnings(self) -> list[str]:
        """One line for each kind of problem, with the number of files and an example."""
        lines = []
        if self.images_without_mask:
            lines.append(
                f"{counted(len(self.images_without_mask), 'image has no mask and is', 'images have no mask and are')} "
                f"skipped, the first: {self.images_without_mask[0]}"
            )
        if self.masks_without_image:
            lines.append(
                f"{counted(len(self.masks_without_image), 'mask has no image and is', 'masks have no image and are')} "
                f"skipped, the first: {self.masks_without_image[0]}"
            )
        if self.images_without_metadata:
            what = counted_of(self.images_without_metadata, len(self.records), "image{s} {have} no lesion_id")
            lines.append(f"{what} in any table of {self.root}: each counts as a separate lesion")
        return lines + [group.warning for group in self.problem_groups]


def find_records(root: Path | str) -> Pairing:
    """Pair the images and masks below `root`, which has one of the known layouts.

    The id of an image is its file name without the suffix, with folders if names repeat (`ids.name_folders`). A mask
    has the same id, or that id with `_segmentation`, `_lesion`, `_mask` or similar. Case and Unicode form are ignored.
    Images of one lesion under two lesion_ids (`KNOWN_DUPLICATES`) get the same lesion_id.

    Raises:
        HamError: the folder is missing or has no images or masks, two different files have the same id, nothing
            pairs, or tables contradict each other.
    """
    root = Path(root)
    if not root.is_dir():
        raise HamError(f"{root}: no such data folder")
    if not is_utf8(root.resolve()):
        raise HamError(f"{root}: its path is not UTF-8; rename the folder")
    contents = find_contents(root)
    copies: dict[Path, Path] = {}
    folders = name_folders(contents.images, contents.masks, root, contents.by_pixels)
    images = _by_id(contents.images, lambda path: key(image_id(path, folders)), copies)
    masks = _by_id(contents.masks, lambda path: mask_key(path, images, folders.get(path, "")), copies)
    masks = _with_bare_names(masks, images)
    paired = sorted(images.keys() & masks.keys())
    if not paired:
        raise HamError(_nothing_pairs(root, images, masks, contents))
    metadata = read_tables(each_once(contents.tables), images)
    lesions = {image: metadata.facts.get(image, Facts()).lesion for image in paired}
    ids = {image: image_id(images[image], folders) for image in paired}
    lesion_ids = {image: lesions[image] or ids[image] for image in paired}
    merged = merge_duplicate_lesions(lesion_ids)
    problem_groups = [
        *file_problems(contents, copies),
        *table_problems(metadata, ids, images),
        *lesion_problems(lesion_ids, merged, ids, images),
    ]
    records = [
        Record(
            ids[image],
            lesion_ids[image],
            metadata.facts.get(image, Facts()).diagnosis or UNKNOWN,
            images[image],
            masks[image],
        )
        for image in paired
    ]
    return Pairing(
        root,
        records,
        [images[image] for image in sorted(images.keys() - masks.keys())],
        [masks[image] for image in sorted(masks.keys() - images.keys())],
        sum(not lesion for lesion in lesions.values()),
        problem_groups,
    )


def mask_key(path: Path, images: Mapping[str, Path], folder: str = "") -> str:
    """The key of the image that a mask belongs to: the first candidate among `images`, in `folder`."""
    stem = key(path.stem)
    # `a_lesion.png` is the mask of `a_lesion.jpg` if that exists; some tools write `a.jpg_mask.png`.
    candidates = [stem, without_mask_ending(stem), MASK_BEGINNING.sub("", stem)]
    candidates += [name[: -len(Path(name).suffix)] for name in candidates if Path(name).suffix in SUFFIXES]
    keys = [key(folder) + name for name in (*candidates, without_mask_ending(stem))]
    return next((name for name in keys if name in images), keys[-1])


def _with_bare_names(masks: Mapping[str, Path], images: Iterable[str]) -> dict[str, Path]:
    """Masks by key: those without an image get the key of the only image left with their bare name, if there is one.

    `mask_7` belongs to `img_7`, and the mask `7` to `7_image`.
    """
    lone_images = _by_bare_name((name for name in images if name not in masks), bare_image_name)
    lone_masks = _by_bare_name(masks.keys() - set(images), bare_mask_name)
    renamed = {
        names[0]: lone_images[bare][0]
        for bare, names in lone_masks.items()
        if len(names) == len(lone_images.get(bare, ())) == 1
    }
    return {renamed.get(name, name): path for name, path in masks.items()}


def _by_bare_name(keys: Iterable[str], bare_name: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in keys:
        folder, slash, stem = name.rpartition("/")
        found.setdefault(folder + slash + bare_name(stem), []).append(name)
    return found


def merge_duplicate_lesions(lesion_ids: dict[str, str]) -> list[tuple[str, str]]:
    """Merge the two lesions of each known duplicate into one lesion_id, in place.

    The ids may have folders, and anything but digits behind the number, as `site1/ISIC_0024437_small`.

    Args:
        lesion_ids: by image key.

    Returns:
        The image keys of the pairs that had two lesion_ids.
    """
    images: dict[str, list[str]] = {}
    for image in lesion_ids:
        if match := ISIC_ID.match(image.rpartition("/")[2]):
            images.setdefault(match[0], []).append(image)
    merged = []
    for pair in KNOWN_DUPLICATES:
        firsts, seconds = (images.get(key(isic_id), []) for isic_id in pair)
        for first, second in product(firsts, seconds):
            if lesion_ids[first] != lesion_ids[second]:
                kept, replaced = sorted((lesion_ids[first], lesion_ids[second]))
                for image, lesion_id in lesion_ids.items():
                    if lesion_id == replaced:
                        lesion_ids[image] = kept
                merged.append((first, second))
    return merged


def _by_id(paths: Iterable[Path], id_of: Callable[[Path], str], copies: dict[Path, Path]) -> dict[str, Path]:
    """Map ids to files. Byte-identical files of the same id are added to `copies`, which maps each to the one kept."""
    found: dict[str, Path] = {}
    for path in paths:
        first = found.setdefault(id_of(path), path)
        if first == path:
            continue
        if are_copies(first, path):
            copies[path] = first
        else:
            raise HamError(f"{path} and {first} have the same id: keep one of them, or rename it")
    return found


def _nothing_pairs(root: Path, images: Mapping[str, Path], masks: Mapping[str, Path], contents: Contents) -> str:
    line = (
        f"{root}: none of {counted(len(images), 'image', 'images')} and {counted(len(masks), 'mask', 'masks')} share "
        f"an id; expected NAME.jpg and NAME_segmentation.png or NAME.png"
    )
    for what, found in ("image", images), ("mask", masks):
        if found:
            name = min(found)
            line += f"; tried the {what} {found[name]} as {name!r}"
    return f"{line}; {describe_unread(contents.unread)}" if contents.unread else line
