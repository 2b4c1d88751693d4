"""Find, in a data folder of any known layout, the files of images, of masks and of tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ham_keras.data.folders import (
    is_image_file,
    is_unread,
    is_utf8,
    key,
    looks_like_mask,
    visible_files,
    visible_folders,
    walk_files,
)
from ham_keras.data.layouts import (
    CASE_IMAGES,
    CASE_MASKS,
    LAYOUTS,
    OWN,
    PHOTOGRAPH_ENDING,
    is_image_folder,
    is_mask_folder,
    is_side,
    is_table_folder,
    own_images,
    own_masks,
    without_mask_ending,
    without_side,
)
from ham_keras.data.tables import is_table
from ham_keras.errors import HamError

DEEPEST = 3  # folders that may lie around a data set, one in the other


@dataclass
class Contents:
    """The files of a data folder by what they are; `misnamed` are images and masks whose name is not UTF-8.

    `has_images` and `has_masks` say whether there is a place for them, empty or not.
    """

    images: list[Path] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    misnamed: list[Path] = field(default_factory=list)
    has_images: bool = False
    has_masks: bool = False

    def add(self, other: Contents) -> None:
        """Take in what another folder holds."""
        self.images += other.images
        self.masks += other.masks
        self.tables += other.tables
        self.unread += other.unread
        self.misnamed += other.misnamed
        self.has_images |= other.has_images
        self.has_masks |= other.has_masks

    def take(self, files: Iterable[Path]) -> list[Path]:
        """Sort in what is no image that is read; returns the images, of photographs and of masks."""
        images: list[Path] = []
        for path in files:
            if is_table(path):
                self.tables.append(path)
            elif is_unread(path):
                self.unread.append(path)
            elif is_image_file(path):
                (images if is_utf8(path) else self.misnamed).append(path)
        return images


def find_contents(root: Path) -> Contents:
    """The files of a data folder, or of the one folder in it that is one.

    Raises:
        HamError: no folder of images or none of masks, or several folders in it that are data folders.
    """
    found = _find(root, 0)
    for what, there, own, others in (
        ("images", found.has_images, OWN.images, [layout.images for layout in LAYOUTS]),
        ("masks", found.has_masks, OWN.masks, [layout.masks for layout in LAYOUTS]),
    ):
        if not there:
            names = ", ".join([own[0], *(name for patterns in others for name in patterns)])
            raise HamError(
                f"{root}: no folder of {what}; expected one of: {names}; or NAME.jpg and NAME_mask.png in one folder; "
                f"to have HAM10000 there run `python -m ham_keras.data.download {root}`, or try `make sample`, which "
                f"needs no data"
            )
    return found


def _find(folder: Path, depth: int) -> Contents:
    found = _look(folder)
    if found.has_images or found.has_masks or depth == DEEPEST:
        return found
    children = {child.resolve(): child for child in reversed(visible_folders(folder))}  # each once, for all its links
    inside = {child: _find(child, depth + 1) for child in reversed(children.values())}
    inside = {child: contents for child, contents in inside.items() if contents.has_images and contents.has_masks}
    if len(inside) > 1:
        raise HamError(f"{folder}: holds several data folders, {' and '.join(map(str, inside))}; name one of them")
    for contents in inside.values():
        found.add(contents)
    return found


def _look(folder: Path) -> Contents:
    """What a folder itself holds, in its known folders or flat."""
    found = Contents()
    children = visible_folders(folder)
    files = visible_files(folder)
    found.tables += filter(is_table, files)
    for child in children:
        if is_table_folder(child.name) and not is_image_folder(child.name) and not is_mask_folder(child.name):
            found.tables += filter(is_table, walk_files(child))
    image_folders = [child for child in children if is_image_folder(child.name)] + _own(children, own_images())
    mask_folders = [child for child in children if is_mask_folder(child.name)] + _own(children, own_masks())
    photographs = [path for image_folder in image_folders for path in found.take(walk_files(image_folder))]
    found.masks += [path for mask_folder in mask_folders for path in found.take(walk_files(mask_folder))]
    found.has_masks = bool(mask_folders)
    if image_folders:
        found.images, beside = part_masks(photographs, masks_elsewhere=bool(mask_folders))
        found.masks += beside
    elif mask_folders:
        found.images = found.take(path for path in files if not is_table(path))
    elif _has_cases(children):
        images = found.take(walk_files(folder))
        found.images = [path for path in images if key(path.parent.name).endswith(CASE_IMAGES)]
        found.masks = [path for path in images if key(path.parent.name).endswith(CASE_MASKS)]
    else:
        flat = Contents()
        flat.images, flat.masks = part_masks(flat.take(path for path in files if not is_table(path)))
        if flat.masks:
            found.add(flat)
    found.has_images = bool(image_folders or found.images)
    found.has_masks |= bool(found.masks)
    for child in children:
        if is_side(child.name):
            found.add(_look(child))
    return found


def _own(children: Sequence[Path], names: Iterable[str]) -> list[Path]:
    """The folders of the first of the names that occurs: a list, for `Images` and `images` may lie side by side."""
    for name in names:
        named = [child for child in children if without_side(child.name) == name]
        if named:
            return named
    return []


def _has_cases(children: Iterable[Path]) -> bool:
    return any(key(inner.name).endswith(CASE_IMAGES) for child in children for inner in visible_folders(child))


def part_masks(files: Sequence[Path], *, masks_elsewhere: bool = False) -> tuple[list[Path], list[Path]]:
    """Part the images of one folder, or of one tree, into photographs and masks.

    A mask is `a_mask.png`, and where masks do not lie elsewhere one without its `a.jpg`, too, as well as
    `a_lesion.png` beside `a.jpg`, unless it has a mask itself. Of `a.jpg` and `a.png` one is a mask where it alone
    looks like one.
    """
    stems = {key(path.stem) for path in files}
    beside = [path for path in files if _has_mask_ending(path) and without_mask_ending(key(path.stem)) in stems]
    named = [path for path in (beside if masks_elsewhere else files) if _is_named_mask(path)]
    masks = set(named)
    if not masks_elsewhere:
        outlined = {without_mask_ending(key(path.stem)) for path in named}
        masks |= {path for path in beside if key(path.stem) not in outlined}
    by_stem: dict[str, list[Path]] = {}
    for path in files:
        if path not in masks:
            by_stem.setdefault(key(path.stem), []).append(path)
    for same in by_stem.values():
        if len({path.suffix.lower() for path in same}) > 1:
            drawn = [path for path in same if looks_like_mask(path)]
            masks.update(drawn if len(drawn) < len(same) else [])
    return [path for path in files if path not in masks], [path for path in files if path in masks]


def _has_mask_ending(path: Path) -> bool:
    return without_mask_ending(key(path.stem)) != key(path.stem)


def _is_named_mask(path: Path) -> bool:
    return _has_mask_ending(path) and PHOTOGRAPH_ENDING.search(key(path.stem)) is None
