"""Pair the images and masks of a data folder by id, and join what its tables say of them."""

from __future__ import annotations

import filecmp
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ham_keras.data.discovery import Contents, find_contents
from ham_keras.data.findings import Finding, odd_files, odd_lesions, odd_tables
from ham_keras.data.folders import describe_unread, is_utf8, key
from ham_keras.data.known_duplicates import KNOWN_DUPLICATES
from ham_keras.data.layouts import MASK_BEGINNING, SUFFIXES, without_mask_ending
from ham_keras.data.tables import Facts, read_tables
from ham_keras.errors import HamError

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Record:
    """One photograph, its mask, and what the metadata says of it.

    `lesion_id` is the image's own id and `diagnosis` is "unknown" where no metadata names them. How the mask is to be
    read, `repair.decide_masks` says for a folder as a whole: `mask_inverted` where the file holds the skin, and
    `lesion_values` where it holds several classes.
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
    """What a data folder holds: the pairs, sorted by id, the files that found no partner, and what else is odd."""

    root: Path
    records: list[Record]
    images_without_mask: list[Path] = field(default_factory=list)
    masks_without_image: list[Path] = field(default_factory=list)
    images_without_metadata: int = 0
    findings: list[Finding] = field(default_factory=list)

    def warnings(self) -> list[str]:
        """One counted line for each kind of thing that was left out, is not known or is odd."""
        lines = []
        if self.images_without_mask:
            lines.append(
                f"{len(self.images_without_mask)} images have no mask and are left out, "
                f"the first: {self.images_without_mask[0]}"
            )
        if self.masks_without_image:
            lines.append(
                f"{len(self.masks_without_image)} masks have no image and are left out, "
                f"the first: {self.masks_without_image[0]}"
            )
        if self.images_without_metadata:
            lines.append(
                f"{self.images_without_metadata} of {len(self.records)} images have no lesion_id in any "
                f"table of {self.root}: each counts as a lesion of its own"
            )
        return lines + [finding.line for finding in self.findings]


def find_records(root: Path | str) -> Pairing:
    """Pair the images and masks below `root`, whichever known layout it has.

    An image's id is its file name without the ending; a mask's too where there is such an image, else it
    is also without `_segmentation`, `_lesion`, `_mask` and the like. Ids are matched without regard to case and
    Unicode form. Images of one lesion under two lesion_ids (`KNOWN_DUPLICATES`) are given one.

    Raises:
        HamError: no such folder, no image or mask folder in it, an id that two different files claim, no pair,
            tables that contradict each other.
    """
    root = Path(root)
    if not root.is_dir():
        raise HamError(f"{root}: no such data folder")
    if not is_utf8(root.resolve()):
        raise HamError(f"{root}: its path is not UTF-8; rename the folder")
    contents = find_contents(root)
    copies: dict[Path, Path] = {}
    images = _by_id(contents.images, lambda path: key(path.stem), copies)
    masks = _by_id(contents.masks, lambda path: mask_key(path, images), copies)
    paired = sorted(images.keys() & masks.keys())
    if not paired:
        raise HamError(_nothing_pairs(root, images, masks, contents))
    tables = sorted({path.resolve(): path for path in contents.tables}.values())
    metadata = read_tables(tables, images)
    lesions = {image: metadata.facts.get(image, Facts()).lesion for image in paired}
    lesion_ids = {image: lesions[image] or _image_id(images[image]) for image in paired}
    merged = merge_known_duplicates(lesion_ids)
    findings = [
        *odd_files(contents, copies),
        *odd_tables(metadata, {image: images[image] for image in paired}),
        *odd_lesions(lesion_ids, merged, images),
    ]
    records = [
        Record(
            _image_id(images[image]),
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
        findings,
    )


def mask_key(path: Path, images: Mapping[str, Path]) -> str:
    """The key of the image that a mask belongs to: the first of those it may mean that is there."""
    stem = key(path.stem)
    # `a_lesion.png` is the mask of `a_lesion.jpg` where there is one; some tools write `a.jpg_mask.png`.
    meant = [stem, without_mask_ending(stem), MASK_BEGINNING.sub("", stem)]
    meant += [name[: -len(Path(name).suffix)] for name in meant if Path(name).suffix in SUFFIXES]
    return next((name for name in meant if name in images), without_mask_ending(stem))


def merge_known_duplicates(lesion_ids: dict[str, str]) -> list[tuple[str, str]]:
    """Give both images of each known pair one lesion_id, in place, and all others of the two lesions as well.

    Args:
        lesion_ids: by image key.

    Returns:
        The keys of the pairs that had two lesion_ids.
    """
    merged = []
    for pair in KNOWN_DUPLICATES:
        first, second = map(key, pair)
        if lesion_ids.keys() >= {first, second} and lesion_ids[first] != lesion_ids[second]:
            kept, gone = sorted((lesion_ids[first], lesion_ids[second]))
            for image, lesion_id in lesion_ids.items():
                if lesion_id == gone:
                    lesion_ids[image] = kept
            merged.append((first, second))
    return merged


def _image_id(path: Path) -> str:
    return unicodedata.normalize("NFC", path.stem)


def _by_id(paths: Iterable[Path], id_of: Callable[[Path], str], copies: dict[Path, Path]) -> dict[str, Path]:
    """The files by id; one that equals another of its id, byte for byte, goes to `copies`, beside it."""
    found: dict[str, Path] = {}
    for path in paths:
        there = found.setdefault(id_of(path), path)
        if there == path:
            continue
        if path.stat().st_size and filecmp.cmp(there, path, shallow=False):
            copies[path] = there
        else:
            raise HamError(f"{path} and {there} claim the same id: keep one of them, or rename it")
    return found


def _nothing_pairs(root: Path, images: Mapping[str, Path], masks: Mapping[str, Path], contents: Contents) -> str:
    line = (
        f"{root}: none of {len(images)} images and {len(masks)} masks share an id; expected "
        f"NAME.jpg beside NAME_segmentation.png or NAME.png"
    )
    for what, found in ("image", images), ("mask", masks):
        if found:
            name = min(found)
            line += f"; tried the {what} {found[name]} as {name!r}"
    return f"{line}; {describe_unread(contents.unread)}" if contents.unread else line
