"""Walk folders of images, and distinguish masks from photographs."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ham_keras.data.encoded import BROKEN, open_image
from ham_keras.data.layouts import (
    COMPANION_SUFFIXES,
    DICOM_HEAD,
    DICOM_HEAD_OFFSET,
    PICTURE_HEADS,
    SUFFIXES,
    SUPERPIXELS,
    SYSTEM_FOLDERS,
)
from ham_keras.errors import counted, shown

MAX_LISTED = 3  # names in a message
MASK_COLOURS = 8  # the most a drawn mask has; even a photograph of 16x16 pixels has more
MASK_EXTREMES_FRACTION = 0.97  # of the pixels of a soft or JPEG mask are near its two levels
NEAR_LEVEL, GREY_SPREAD = 24, 16  # of 255


def key(name: str) -> str:
    """Normalize a name for comparison: case and Unicode form are ignored."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


def visible_folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden and system folders and links to a parent."""
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if _is_folder(entry) and not _is_hidden(entry.name)]
    return sorted(Path(entry.path) for entry in found if not entry.is_symlink() or not _holds(Path(entry.path), folder))


def visible_files(folder: Path) -> list[Path]:
    """The files directly in a folder, sorted, without hidden ones and pipes; with links that lead nowhere."""
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if _is_file(entry) and not _is_hidden(entry.name))


def walk_files(folder: Path) -> Iterator[Path]:
    """The files below a folder, sorted, without hidden ones; links are followed, and each folder is walked once."""
    walked = set()
    waiting = [folder]
    while waiting:
        parent = waiting.pop()
        status = parent.stat()
        leads_out = parent != folder and parent.is_symlink() and _holds(parent, folder)
        if leads_out or (status.st_dev, status.st_ino) in walked:
            continue
        walked.add((status.st_dev, status.st_ino))
        yield from visible_files(parent)
        # Walk a folder by its own path rather than by a link to it.
        waiting += sorted(visible_folders(parent), key=lambda child: (child.is_symlink(), child), reverse=True)


def is_broken_link(path: Path) -> bool:
    """Whether a path is a link to nothing, or to itself through any number of links."""
    return path.is_symlink() and not os.path.exists(path)


def describe_broken_links(paths: list[Path]) -> str:
    """One line on links that lead nowhere: how many, and an example."""
    first = paths[0]
    what = counted(len(paths), "link leads nowhere and is skipped", "links lead nowhere and are skipped")
    return f"{what}, the first: {shown(first)} to {shown(os.readlink(first))}"


def describe_folder(folder: Path) -> str:
    """What is directly in a folder: some names of folders, and the number of files of each kind."""
    folders, files = visible_folders(folder), visible_files(folder)
    parts = [f"{counted(len(folders), 'folder', 'folders')} ({_some(folders)})"] if folders else []
    kinds = Counter(path.suffix.lower() or "without suffix" for path in files)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(MAX_LISTED))
    parts += [f"{counted(len(files), 'file', 'files')}: {counts} ({_some(files)})"] if files else []
    return f"it has {' and '.join(parts)}, none named so" if parts else "it is empty"


def _some(paths: list[Path]) -> str:
    return ", ".join([shown(path.name) for path in paths[:MAX_LISTED]] + ["..."] * (len(paths) > MAX_LISTED))


def is_image_file(path: Path) -> bool:
    """Whether a file has the suffix of a supported image format and is not a map of superpixels."""
    return path.suffix.lower() in SUFFIXES and not path.stem.lower().endswith(SUPERPIXELS)


def image_files(folder: Path) -> Iterable[Path]:
    """The image files below a folder, sorted, without hidden ones."""
    return filter(is_image_file, walk_files(folder))


def is_unread(path: Path) -> bool:
    """Whether a file may be an image of an unsupported format, such as .heic, or has no suffix, such as DICOM."""
    suffix = path.suffix.lower()
    if suffix:
        return suffix not in SUFFIXES | COMPANION_SUFFIXES
    try:
        with path.open("rb") as file:
            head = file.read(DICOM_HEAD_OFFSET + len(DICOM_HEAD))
    except OSError:
        return False
    return head.startswith(PICTURE_HEADS) or head[DICOM_HEAD_OFFSET:] == DICOM_HEAD


def describe_unread(paths: list[Path]) -> str:
    """One line on files of unsupported formats: how many, which formats, an example."""
    kinds = sorted({path.suffix.lower() or "no suffix" for path in paths})
    return (
        f"{counted(len(paths), 'file has an unsupported format', 'files have unsupported formats')} "
        f"({', '.join(kinds[:8])}), the first: {shown(paths[0])}; save them as JPEG or PNG"
    )


def looks_like_mask(path: Path) -> bool | None:
    """Whether the pixels are those of a mask: a few colours, or grey with nearly all pixels near two levels.

    None if the file cannot be read.
    """
    try:
        with open_image(path.read_bytes()) as image:
            if image.mode == "1":
                return True
            if image.mode.startswith(("I", "F")):
                values = np.asarray(image)
                if len(np.unique(values)) <= MASK_COLOURS or not np.ptp(values) > 0:
                    return True
                grey = ((values - values.min()) * (255 / np.ptp(values))).astype(np.uint8)
                pixels = np.repeat(grey[..., None], 3, axis=2)
            else:
                pixels = np.asarray(image.convert("RGB"))
    except BROKEN:
        return None
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    if len(np.unique(packed)) <= MASK_COLOURS:
        return True
    if int(np.ptp(pixels, axis=2).max()) > GREY_SPREAD:
        return False
    grey = pixels[..., 1].astype(int)
    near = (grey - grey.min() <= NEAR_LEVEL) | (grey.max() - grey <= NEAR_LEVEL)
    return bool(grey.max() - grey.min() > 4 * NEAR_LEVEL and near.mean() >= MASK_EXTREMES_FRACTION)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # Unlike DirEntry, os.path does not raise an error for links that lead in a circle.
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink():
        return os.path.isfile(entry.path) or not os.path.exists(entry.path)
    return entry.is_file()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in SYSTEM_FOLDERS


def _holds(outer: Path, inner: Path) -> bool:
    return inner.resolve().is_relative_to(outer.resolve())
