"""The known layouts of data folders, as data: kinds of files, names of folders, endings of mask files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp"})
# Files that lie beside images and that nobody expects to be read as one. Whatever is neither in this list nor in
# `SUFFIXES` is counted, so that no photograph of a kind that is not read is left out without a word.
COMPANION_SUFFIXES = frozenset(
    {".txt", ".csv", ".tab", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".rst", ".html", ".htm"}
    | {".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ods", ".db", ".ini", ".log", ".py", ".ipynb", ".sh", ".bat"}
    | {".md5", ".sha256", ".lnk", ".url", ".aae", ".part", ".tmp", ".bak", ".lock", ".pkl", ".pth", ".h5", ".keras"}
)
# First bytes of JPEG, PNG, TIFF, BMP: a file without an ending that has them is a picture.
PICTURE_HEADS = (b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"BM")
DICOM_HEAD, DICOM_HEAD_OFFSET = b"DICM", 128

# Written by systems into folders of pictures, thumbnails of the same names among them.
SYSTEM_FOLDERS = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found"})


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one source: patterns of `fnmatch`, matched without regard to case, spaces, `_` and `-`."""

    source: str
    images: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()


# Of these names, which anybody may give, the first that a folder has is read; of the others, all.
OWN = Layout(
    "Kaggle, phantoms, your own",
    ("images", "image", "imgs", "img", "photos", "photographs", "photo", "inputs", "input"),
    ("masks", "mask", "segmentations", "segmentation", "ground truth", "gt", "labels", "annotations"),
)
LAYOUTS = (
    Layout("Harvard Dataverse", ("ham10000_images_part_*",), ("ham10000_segmentations_lesion_tschandl",)),
    Layout("ISIC 2016", ("isbi2016_isic_part*_data",), ("isbi2016_isic_part1_*_groundtruth",)),
    Layout("ISIC 2017", ("isic-2017_*_data",), ("isic-2017_*_part1_groundtruth",)),
    Layout("ISIC 2018, task 1", ("isic2018_task1-2_*_input",), ("isic2018_task1_*_groundtruth",)),
    Layout("ISIC 2018, task 3", ("isic2018_task3_*_input", "isic2018_task3_*_images")),
    Layout("PAD-UFES-20", ("imgs_part_*",)),
)
# PH2 has a folder for each case, and in it IMD002_Dermoscopic_Image and IMD002_lesion.
CASE_IMAGES, CASE_MASKS = "_dermoscopic_image", "_lesion"

# Folders of one layout each, side by side: train/images and train/masks, or train_images and train_masks.
SIDES = ("training", "train", "validation", "valid", "val", "testing", "test")

# Folders that hold tables, beside the folder itself and those of its images and masks.
TABLE_FOLDERS = ("isic*groundtruth*", "isic*metadata*", "isic*lesiongroupings*", "metadata", "tables", "csv")

# What is behind an image's id in the name of its mask. `lesion` alone may name a photograph, too.
MASK_ENDING = re.compile(r"[ _.-](?:segmentations?|masks?|seg|ground_?truth|gt|lesion)$")
PHOTOGRAPH_ENDING = re.compile(r"[ _.-]lesion$")
MASK_BEGINNING = re.compile(r"^(?:segmentation|mask|seg|gt)[ _.-]")
SUPERPIXELS = "_superpixels"  # ISIC 2016 and 2017 lay them beside the photographs


def is_image_folder(name: str) -> bool:
    """Whether some source gives a folder of images this name."""
    return _matches(name, [pattern for layout in LAYOUTS for pattern in layout.images])


def is_mask_folder(name: str) -> bool:
    """Whether some source gives a folder of masks this name."""
    return _matches(name, [pattern for layout in LAYOUTS for pattern in layout.masks])


def is_table_folder(name: str) -> bool:
    """Whether a folder of this name holds tables."""
    return _matches(name, TABLE_FOLDERS)


def is_side(name: str) -> bool:
    """Whether a folder of this name is one side of a split."""
    return _plain(name) in SIDES


def without_side(name: str) -> str:
    """A folder's name, lower case and without separators, `train` and the like taken off either end."""
    plain = _plain(name)
    for side in SIDES:
        if plain.startswith(side):
            return plain.removeprefix(side)
        if plain.endswith(side):
            return plain.removesuffix(side)
    return plain


def own_images() -> list[str]:
    """The names of `OWN`'s folders of images, as `without_side` returns them."""
    return [_plain(name) for name in OWN.images]


def own_masks() -> list[str]:
    """The names of `OWN`'s folders of masks, as `without_side` returns them."""
    return [_plain(name) for name in OWN.masks]


def without_mask_ending(stem: str) -> str:
    """A file's name, lower case, without the ending that its mask has.

    One ending only: `a_lesion_mask.png` belongs to `a_lesion.jpg`, not to `a.jpg`.
    """
    return MASK_ENDING.sub("", stem)


def _matches(name: str, patterns: list[str] | tuple[str, ...]) -> bool:
    plain = _plain(name)
    return any(fnmatchcase(plain, _plain(pattern)) for pattern in patterns)


def _plain(name: str) -> str:
    return re.sub(r"[ _.-]", "", name.lower())
