"""The known layouts of data folders: file suffixes, names of folders, and endings of mask names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp"})
# Files that are obviously not photographs. Files with other suffixes are reported, so that no photograph of an
# unsupported format is skipped silently.
COMPANION_SUFFIXES = frozenset(
    {".txt", ".csv", ".tab", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".rst", ".html", ".htm"}
    | {".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ods", ".db", ".ini", ".log", ".py", ".ipynb", ".sh", ".bat"}
    | {".md5", ".sha256", ".lnk", ".url", ".aae", ".part", ".tmp", ".bak", ".lock", ".pkl", ".pth", ".h5", ".keras"}
)
# First bytes of JPEG, PNG, TIFF and BMP, to recognise images without a suffix.
PICTURE_HEADS = (b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"BM")
DICOM_HEAD, DICOM_HEAD_OFFSET = b"DICM", 128

# Created by operating systems; some hold thumbnails with the names of the images.
SYSTEM_FOLDERS = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found"})


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one source: `fnmatch` patterns; case, spaces, `_` and `-` are ignored."""

    source: str
    images: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()


# Generic names: only the first that exists is read. Of the specific names below, all are.
GENERIC = Layout(
    "Kaggle, phantoms, your own",
    ("images", "image", "imgs", "img", "photos", "photographs", "photo", "inputs", "input"),
    ("masks", "mask", "segmentations", "segmentation", "ground truth", "gt", "labels", "label", "annotations"),
)
LAYOUTS = (
    Layout("Harvard Dataverse", ("ham10000_images_part_*",), ("ham10000_segmentations_lesion_tschandl",)),
    Layout("ISIC 2016", ("isbi2016_isic_part*_data",), ("isbi2016_isic_part1_*_groundtruth",)),
    Layout("ISIC 2017", ("isic-2017_*_data",), ("isic-2017_*_part1_groundtruth",)),
    Layout("ISIC 2018, task 1", ("isic2018_task1-2_*_input",), ("isic2018_task1_*_groundtruth",)),
    Layout("ISIC 2018, task 3", ("isic2018_task3_*_input", "isic2018_task3_*_images")),
    Layout("Pascal VOC", ("jpegimages",), ("segmentationclass",)),
    Layout("nnU-Net", ("imagestr", "imagests"), ("labelstr", "labelsts")),
    Layout("PAD-UFES-20, folders in parts", ("imgs_part_*", "images_part_*"), ("masks_part_*",)),
)
# PH2 has a folder per case, with IMD002_Dermoscopic_Image and IMD002_lesion in it.
CASE_IMAGES, CASE_MASKS = "_dermoscopic_image", "_lesion"

# Subsets in separate folders: train/images and train/masks, or train_images and train_masks.
SUBSETS = ("training", "train", "validation", "valid", "val", "testing", "test")

# Folders with tables, in addition to the data folder and its folders of images and masks.
TABLE_FOLDERS = ("isic*groundtruth*", "isic*metadata*", "isic*lesiongroupings*", "metadata", "tables", "csv")

# Pictures about the images that are neither images nor masks: the hairs of phantoms.
COMPANION_FOLDERS = frozenset({"hairs"})

# The end of a mask's name, after the id of its image. `lesion` may also end the name of a photograph.
MASK_WORDS = "segmentations?|masks?|binary|seg|ground_?truth|gt|labels?|annotations?|contour"
MASK_ENDING = re.compile(rf"(?:^|[ _.-])\(?(?:{MASK_WORDS}|lesion)\)?$|(?<=\w)mask$")
PHOTOGRAPH_ENDING = re.compile(r"(?:^|[ _.-])lesion$")
MASK_BEGINNING = re.compile(r"^(?:segmentation|mask|seg|gt|label)[ _.-]")
IMAGE_WORDS = "images?|img|photo|orig|original|rgb"  # and 0000 in nnU-Net, its number of the first channel
SUPERPIXELS = "_superpixels"  # in ISIC 2016 and 2017, next to the photographs


def is_image_folder(name: str) -> bool:
    """Whether a known source names an image folder like this."""
    return _matches(name, [pattern for layout in LAYOUTS for pattern in layout.images])


def is_mask_folder(name: str) -> bool:
    """Whether a known source names a mask folder like this."""
    return _matches(name, [pattern for layout in LAYOUTS for pattern in layout.masks])


def holds_masks(name: str) -> bool:
    """Whether a folder is named as one of masks, by a known source or in general."""
    return is_mask_folder(name) or without_subset(name) in generic_mask_folders()


def is_table_folder(name: str) -> bool:
    """Whether a folder with this name holds tables."""
    return _matches(name, TABLE_FOLDERS)


def is_companion_folder(name: str) -> bool:
    """Whether a folder with this name holds pictures that are not used, so nobody has to be told."""
    return is_table_folder(name) or plain_name(name) in COMPANION_FOLDERS


def is_subset_folder(name: str) -> bool:
    """Whether a folder with this name is a subset such as `train`."""
    return plain_name(name) in SUBSETS


def without_subset(name: str) -> str:
    """The name of a folder in lower case, without separators and without `train` or another subset at either end."""
    return _split_subset(name)[0]


def distinct_part(folder: str) -> str:
    """What the name of a folder says beside that images or masks are in it: `train` of `train_images`, or ""."""
    if is_image_folder(folder) or is_mask_folder(folder):
        return ""
    for ending in (CASE_IMAGES, CASE_MASKS):
        if folder.lower().endswith(ending):
            return folder[: -len(ending)]
    rest, subset = _split_subset(folder)
    return subset if rest in {*generic_image_folders(), *generic_mask_folders()} else folder


def _split_subset(name: str) -> tuple[str, str]:
    plain = plain_name(name)
    for subset in SUBSETS:
        if plain.startswith(subset):
            return plain.removeprefix(subset), subset
        if plain.endswith(subset):
            return plain.removesuffix(subset), subset
    return plain, ""


def generic_image_folders() -> list[str]:
    """The generic names of image folders, in the form that `without_subset` returns."""
    return [plain_name(name) for name in GENERIC.images]


def generic_mask_folders() -> list[str]:
    """The generic names of mask folders, in the form that `without_subset` returns."""
    return [plain_name(name) for name in GENERIC.masks]


def without_mask_ending(stem: str) -> str:
    """The stem of a mask, in lower case, without the ending that marks it as a mask.

    Only one ending is removed: `a_lesion_mask.png` belongs to `a_lesion.jpg`, not to `a.jpg`.
    """
    return MASK_ENDING.sub("", stem)


def bare_image_name(stem: str) -> str:
    """The stem of an image, in lower case, without words such as `image` at either end: `img_7` is `7`."""
    return _without_words(re.sub("_0000$", "", stem), IMAGE_WORDS)


def bare_mask_name(stem: str) -> str:
    """The stem of a mask, in lower case, without words such as `mask` at either end: `mask_7` is `7`."""
    return _without_words(stem, f"{MASK_WORDS}|lesion")


def _without_words(stem: str, words: str) -> str:
    beginning = rf"^(?:{words})(?:[ _.-]+|(?=\d)|$)"
    return re.sub(rf"(?:(?:^|[ _.-])\(?(?:{words})\)?)+$", "", re.sub(beginning, "", stem))


def _matches(name: str, patterns: list[str] | tuple[str, ...]) -> bool:
    plain = plain_name(name)
    return any(fnmatchcase(plain, plain_name(pattern)) for pattern in patterns)


def plain_name(name: str) -> str:
    """The name of a folder in lower case, without separators."""
    return re.sub(r"[ _.-]", "", name.lower())
