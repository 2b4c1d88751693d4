"""Find the image files to predict and give each an id."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ham_keras.data.folders import (
    describe_broken_links,
    describe_unread,
    is_broken_link,
    is_image_file,
    is_unread,
    key,
    walk_files,
)
from ham_keras.data.layouts import SUFFIXES, distinct_part
from ham_keras.data.separation import masks_of_others
from ham_keras.errors import HamError, counted
from ham_keras.prediction.folder import BESIDE_MASKS, PredictionFolder


@dataclass(frozen=True)
class Inputs:
    """The images to predict, with their ids, and the files that are skipped."""

    ids: dict[Path, str]
    masks: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    broken_links: list[Path] = field(default_factory=list)

    def warnings(self) -> list[str]:
        """One line per kind of skipped file, with their number."""
        lines = []
        if self.masks:
            what = counted(len(self.masks), "file is skipped as the mask", "files are skipped as masks")
            lines.append(f"{what} of other images, the first: {self.masks[0]}")
        if self.unread:
            lines.append(describe_unread(self.unread))
        if self.broken_links:
            lines.append(describe_broken_links(self.broken_links))
        return lines


def find_inputs(inputs: Sequence[Path | str], output: PredictionFolder) -> Inputs:
    """Find the image files in `inputs`: files, folders or globs; sorted within each.

    An id is the file name without suffix. If names repeat, the folders below each input, or else those that the files
    do not share, are prepended: "p1/DSC0001". Masks of other images, recognised by name and pixels, are skipped, and
    so are masks, overlays and probabilities of `output`.

    Raises:
        HamError: an input contains no image, or two files in a folder have the same name.
    """
    found: dict[Path, Path] = {}
    below: dict[Path, str] = {}
    unread: dict[Path, Path] = {}
    broken_links: list[Path] = []
    for given in map(str, inputs):
        base, everything = _files_of(given)
        links = {path: None for path in everything if is_broken_link(path)}
        files = [path for path in everything if path not in links]
        images = [path for path in files if not _is_other_kind(path, given) and not output.is_output(path)]
        read = set(images)
        others = [path for path in files if path not in read and is_unread(path)]
        if not images:
            line = f"{given}: no image found; expected files, folders or globs of {', '.join(sorted(SUFFIXES))}"
            skipped = [describe_unread(others)] if others else []
            skipped += [describe_broken_links(list(links))] if links else []
            raise HamError("; ".join([line, *skipped]))
        for path in images:
            if found.setdefault(path.resolve(), path) is path:
                below[path] = Path(os.path.relpath(path.parent, base), path.stem).as_posix()
        unread |= {path.resolve(): path for path in others}
        broken_links += links
    masks = masks_of_others(list(found.values()))
    images = [path for path in found.values() if path not in masks]
    return Inputs(_name(images, below), sorted(masks), list(unread.values()), broken_links)


def _files_of(given: str) -> tuple[Path, list[Path]]:
    """Return the base folder of an input and its files."""
    path = Path(given)
    if path.is_dir():
        return path, [file for file in walk_files(path) if not _is_beside_masks(file)]
    if path.exists() or path.is_symlink():
        return path.parent, [path]
    matches = [Path(match) for match in sorted(glob.glob(given, recursive=True))]
    plain = re.split(r"[*?[]", given, maxsplit=1)[0]
    return Path(os.path.dirname(plain)), [match for match in matches if match.is_file() or is_broken_link(match)]


def _is_other_kind(path: Path, given: str) -> bool:
    return not is_image_file(path) and str(path) != str(Path(given))  # a file given by name is always read


def _is_beside_masks(path: Path) -> bool:
    """Whether a file is an overlay or probabilities in any folder of predictions."""
    parents = [parent for parent in path.parents if parent.name in BESIDE_MASKS]
    return any(PredictionFolder(parent.parent).settings.exists() for parent in parents)


def _without_kinds(image_id: str) -> str:
    """An id without folders that only say that images are in them, as in training: `p1/images/a` is `p1/a`."""
    *folders, stem = image_id.split("/")
    return "/".join([*filter(None, map(distinct_part, folders)), stem])


def _name(images: Sequence[Path], below: Mapping[Path, str]) -> dict[Path, str]:
    """Return the shortest ids that are unique on any file system."""
    shared = os.path.commonpath([os.path.abspath(path.parent) for path in images]) if images else ""
    for ids in (
        {path: path.stem for path in images},
        {path: _without_kinds(below[path]) for path in images},
        {path: below[path] for path in images},
        {path: Path(os.path.relpath(path.parent, shared), path.stem).as_posix() for path in images},
    ):
        counts = Counter(key(image_id) for image_id in ids.values())
        repeated = [path for path in images if counts[key(ids[path])] > 1]
        if not repeated:
            return ids
    first, second = [path for path in repeated if key(ids[path]) == key(ids[repeated[0]])][:2]
    raise HamError(f"{first} and {second}: their masks would have the same name; rename one, or use another -o for it")
