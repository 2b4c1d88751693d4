"""Ids of images and masks: the name of the file, with its folders if names repeat in several folders."""

from __future__ import annotations

import filecmp
import unicodedata
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.data.encoded import BROKEN, open_image, to_rgb, turn_upright
from ham_keras.data.folders import key
from ham_keras.data.layouts import distinct_part
from ham_keras.errors import HamError, shown

COMPARED = 5  # pairs of images of one name
# Mean difference of grey levels between images reduced to this side. Of 44,551 pairs of images of HAM10000 the least
# is 5.0; the most between an image and a copy of it at 128 to 512 px and JPEG qualities 30 to 90 is 0.75.
SIDE_PX, SAME_LEVELS = 16, 3

Folders = dict[Path, str]  # by file, with a slash at the end


def name_folders(images: Sequence[Path], masks: Sequence[Path], root: Path, by_pixels: Sequence[Path] = ()) -> Folders:
    """The folders that the ids of the files below `root` begin with; empty if file names suffice.

    They are used if different images in different folders have the same name, as with one folder for each patient.
    Folders that only hold images or masks, by their names or among `by_pixels`, and folders around all files, are left
    out: `images/p1/a.jpg` and `masks/p1/a.png` are `p1/a`.

    Raises:
        HamError: the images of one name are the same photographs, as in `256/a.jpg` and `512/a.jpg`.
    """
    by_name: dict[str, list[Path]] = {}
    for path in images:
        by_name.setdefault(key(path.stem), []).append(path)
    repeated = [paths for paths in by_name.values() if len(paths) > 1]
    if not repeated:
        return {}
    files = [*images, *masks]
    distinct = {
        folder: [
            part
            for inner in reversed([folder, *folder.parents])
            if inner not in by_pixels and inner != root and inner.is_relative_to(root)
            if (part := distinct_part(inner.name))
        ]
        for folder in {path.parent for path in files}
    }
    below = {path: distinct[path.parent] for path in files}
    levels = zip(*([key(part) for part in parts] for parts in below.values()), strict=False)
    around = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
    folders = {path: "".join(f"{part}/" for part in below[path][around:]) for path in files}
    apart = [paths for paths in repeated if _are_apart(paths, folders)]
    if apart and all(_show_the_same(*paths[:2]) for paths in apart[:: -(-len(apart) // COMPARED)]):
        first, second = apart[0][:2]
        raise HamError(
            f"{shown(first)} and {shown(second)} are the same photograph, so each would count twice; name one of the "
            f"folders as the data folder, or remove the other"
        )
    return folders if apart else {}


def image_id(path: Path, folders: Folders) -> str:
    """The id of an image, with the folder in `folders`, in Unicode's composed form."""
    return unicodedata.normalize("NFC", folders.get(path, "") + path.stem)


def are_copies(first: Path, second: Path) -> bool:
    """Whether two files are byte-identical and not empty."""
    return second.stat().st_size > 0 and filecmp.cmp(first, second, shallow=False)


def _show_the_same(first: Path, second: Path) -> bool:
    small = [_reduced(path) for path in (first, second)]
    return small[0] is not None and small[1] is not None and bool(abs(small[0] - small[1]).mean() < SAME_LEVELS)


def _reduced(path: Path) -> npt.NDArray[np.float32] | None:
    """Grey levels of an image reduced to a few pixels; None if it cannot be read."""
    try:
        data = path.read_bytes()
        with open_image(data) as image:
            image.draft("RGB", (8 * SIDE_PX, 8 * SIDE_PX))
            grey = to_rgb(turn_upright(image, data)).convert("L")
        return np.asarray(grey.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX), np.float32)
    except BROKEN:
        return None


def _are_apart(paths: Sequence[Path], folders: Folders) -> bool:
    """Whether files of one name are different and each in another folder."""
    names = [key(folders[path]) for path in paths]
    return "" not in names and len(set(names)) > 1 and not all(are_copies(paths[0], path) for path in paths[1:])
