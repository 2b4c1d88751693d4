"""Ids of images and masks: the name of the file, with its folders if names repeat in several folders."""

from __future__ import annotations

import filecmp
import unicodedata
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from ham_keras.data.folders import key
from ham_keras.data.layouts import distinct_part

Folders = dict[Path, str]  # by file, with a slash at the end


def name_folders(images: Sequence[Path], masks: Sequence[Path], root: Path) -> Folders:
    """The folders that the ids of the files below `root` begin with; empty if file names suffice.

    They are used if different images in different folders have the same name, as with one folder for each patient.
    Folders that only hold images or masks, and folders around all files, are left out: `images/p1/a.jpg` and
    `masks/p1/a.png` are `p1/a`.
    """
    by_name: dict[str, list[Path]] = {}
    for path in images:
        by_name.setdefault(key(path.stem), []).append(path)
    repeated = [paths for paths in by_name.values() if len(paths) > 1]
    if not repeated:
        return {}
    files = [*images, *masks]
    below = {path: [part for part in map(distinct_part, path.parent.relative_to(root).parts) if part] for path in files}
    levels = zip(*([key(part) for part in parts] for parts in below.values()), strict=False)
    around = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
    folders = {path: "".join(f"{part}/" for part in below[path][around:]) for path in files}
    return folders if any(_are_apart(paths, folders) for paths in repeated) else {}


def image_id(path: Path, folders: Folders) -> str:
    """The id of an image, with the folder in `folders`, in Unicode's composed form."""
    return unicodedata.normalize("NFC", folders.get(path, "") + path.stem)


def are_copies(first: Path, second: Path) -> bool:
    """Whether two files are byte-identical and not empty."""
    return second.stat().st_size > 0 and filecmp.cmp(first, second, shallow=False)


def _are_apart(paths: Sequence[Path], folders: Folders) -> bool:
    """Whether files of one name are different and each in another folder."""
    names = [key(folders[path]) for path in paths]
    return "" not in names and len(set(names)) > 1 and not all(are_copies(paths[0], path) for path in paths[1:])
