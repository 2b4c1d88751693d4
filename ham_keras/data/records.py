"""Find the image and mask files of a folder, pair them by id, and join the metadata."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ham_keras.errors import HamError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})

# Folder names, lower case, of the layouts met in the wild: Kaggle (and anything like it), Harvard
# Dataverse, ISIC 2018 task 1, PH2.
IMAGE_FOLDERS = (
    "images",
    "ham10000_images_part_1",
    "ham10000_images_part_2",
    "isic2018_task1-2_training_input",
    "isic2018_task1-2_validation_input",
    "isic2018_task1-2_test_input",
    "ph2 dataset images",
)
MASK_FOLDERS = (
    "masks",
    "ham10000_segmentations_lesion_tschandl",
    "isic2018_task1_training_groundtruth",
    "isic2018_task1_validation_groundtruth",
    "isic2018_task1_test_groundtruth",
    "ph2 dataset images",
)
# Where images and masks lie in one tree, the folder just above a file tells which of the two it is.
PARENT_ENDINGS = {"ph2 dataset images": {"images": "_dermoscopic_image", "masks": "_lesion"}}
MASK_ENDINGS = ("_segmentation", "_lesion", "_mask")
NOT_IMAGES = ("_superpixels",)  # ISIC 2016 and 2017 lay them beside the photographs
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
    """What a data folder holds: the pairs, sorted by id, and the files that found no partner."""

    root: Path
    records: list[Record]
    images_without_mask: list[Path] = field(default_factory=list)
    masks_without_image: list[Path] = field(default_factory=list)
    images_without_metadata: int = 0

    def warnings(self) -> list[str]:
        """One counted line for each kind of thing that was left out or is not known."""
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
        return lines


def find_records(root: Path | str) -> Pairing:
    """Pair the images and masks below `root`, whichever known layout it has.

    An image's id is its file name without the ending; a mask's too where there is such an image, else it
    is also without `_segmentation`, `_lesion` or `_mask`. Ids are matched without regard to case.

    Raises:
        HamError: no such folder, no image or mask folder in it, an id that two files claim, no pair.
    """
    root = Path(root)
    if not root.is_dir():
        raise HamError(f"{root}: no such data folder")
    images = _files_by_id(root, IMAGE_FOLDERS, "images")
    masks = _files_by_id(root, MASK_FOLDERS, "masks", images)
    paired = sorted(images.keys() & masks.keys())
    if not paired:
        raise HamError(
            f"{root}: none of {len(images)} images and {len(masks)} masks share an id; expected "
            f"NAME.jpg beside NAME_segmentation.png or NAME.png"
        )
    metadata = read_metadata(root)
    records = []
    for key in paired:
        image_id = images[key].stem
        lesion_id, diagnosis = metadata.get(key, ("", ""))
        records.append(Record(image_id, lesion_id or image_id, diagnosis or UNKNOWN, images[key], masks[key]))
    return Pairing(
        root,
        records,
        [images[key] for key in sorted(images.keys() - masks.keys())],
        [masks[key] for key in sorted(masks.keys() - images.keys())],
        sum(not metadata.get(key, ("", ""))[0] for key in paired),
    )


def _files_by_id(
    root: Path, folder_names: Sequence[str], what: str, images: Mapping[str, Path] | None = None
) -> dict[str, Path]:
    # A list, not a dict by lower-case name: `Images/` and `images/` can stand side by side.
    children = [child for child in sorted(root.iterdir()) if child.is_dir()]
    folders = [child for child in children if child.name.lower() in folder_names]
    if not folders:
        raise HamError(
            f"{root}: no folder of {what}; expected one of: {', '.join(folder_names)}; to have HAM10000 there run "
            f"`python -m ham_keras.data.download {root}`, or try `make sample`, which needs no data"
        )
    found: dict[str, Path] = {}
    for folder in folders:
        parent_ending = PARENT_ENDINGS.get(folder.name.lower(), {}).get(what, "")
        for path in image_files(folder):
            if not path.parent.name.lower().endswith(parent_ending):
                continue
            key = path.stem.lower() if images is None else _mask_id(path, images)
            if key in found:
                raise HamError(f"{path} and {found[key]} claim the same id: keep one of them, or rename it")
            found[key] = path
    return found


def image_files(folder: Path) -> Iterable[Path]:
    """The files below a folder that are images by their ending, sorted, hidden ones left out."""
    for parent, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = Path(parent, name)
            hidden = name.startswith(".") or "__MACOSX" in path.parts
            if path.suffix.lower() in SUFFIXES and not hidden and not path.stem.lower().endswith(NOT_IMAGES):
                yield path


def _mask_id(path: Path, images: Mapping[str, Path]) -> str:
    stem = path.stem.lower()
    if stem in images:
        return stem  # `a_lesion.png` is the mask of `a_lesion.jpg` where there is one
    return without_mask_ending(stem)


def without_mask_ending(stem: str) -> str:
    """A file's name without `_segmentation`, `_lesion` or `_mask`.

    One ending only: `a_lesion_mask.png` belongs to `a_lesion.jpg`, not to `a.jpg`.
    """
    ending = next((ending for ending in MASK_ENDINGS if stem.endswith(ending)), "")
    return stem.removesuffix(ending)


def read_metadata(root: Path) -> dict[str, tuple[str, str]]:
    """Read `{image id, lower case: (lesion_id, diagnosis)}` from every table that lies in `root`.

    A table is a .csv or .tab file with a column `image_id` or `image`. Used of it are `lesion_id`, and
    `dx` or else one-hot columns of diagnoses (MEL, NV, BCC, ...). What a table leaves out is "".
    """
    known: dict[str, tuple[str, str]] = {}
    for path in sorted(root.iterdir()):
        if path.suffix.lower() not in {".csv", ".tab", ".tsv"} or path.name.startswith("."):
            continue
        for row in _rows(path):
            key = (row.get("image_id") or row.get("image") or "").lower()
            if not key:
                continue
            lesion_id, diagnosis = known.get(key, ("", ""))
            named = row.get("lesion_id") or lesion_id
            if lesion_id and named != lesion_id:
                raise HamError(f"{path}: {key} is of lesion {named} here and of {lesion_id} elsewhere; keep one")
            known[key] = (named, row.get("dx") or diagnosis or _one_hot(row))
    return known


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open("rb") as file:
            header = file.readline().decode("utf-8-sig", "replace")
        delimiter = "\t" if "\t" in header else ","
        # Kaggle ships tables of pixels beside the metadata, hundreds of MB without an id column.
        if not {"image_id", "image"} & set(next(csv.reader([header], delimiter=delimiter), [])):
            return []
        with path.open(encoding="utf-8-sig", newline="") as table:
            rows = csv.DictReader(table, delimiter=delimiter)
            return [{str(key): value or "" for key, value in row.items()} for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HamError(f"{path}: cannot be read as a UTF-8 table: {error}") from None


def _one_hot(row: dict[str, str]) -> str:
    classes = {"MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"}
    return next((name.lower() for name in classes & row.keys() if row[name] in {"1", "1.0"}), "")
