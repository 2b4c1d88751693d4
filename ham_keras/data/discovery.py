"""Find the images, masks and tables in a data folder of any known layout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ham_keras.data.contents import Contents
from ham_keras.data.folders import (
    describe_broken_links,
    describe_folder,
    describe_unread,
    image_files,
    is_image_file,
    is_unread,
    key,
    visible_files,
    visible_folders,
    walk_files,
)
from ham_keras.data.layouts import (
    CASE_IMAGES,
    CASE_MASKS,
    GENERIC,
    LAYOUTS,
    generic_image_folders,
    generic_mask_folders,
    is_companion_folder,
    is_image_folder,
    is_mask_folder,
    is_subset_folder,
    is_table_folder,
    plain_name,
    without_subset,
)
from ham_keras.data.separation import folders_by_pixels, is_named_mask, separate_masks
from ham_keras.data.tables import may_be_table
from ham_keras.errors import HamError, shown

MAX_LISTED = 3  # names in a message
MAX_DEPTH = 3  # levels of folders around a dataset


def find_contents(root: Path) -> Contents:
    """The contents of a data folder, or of the only data folder inside `root`.

    Raises:
        HamError: no folder of images or masks, or several data folders inside `root`.
    """
    found = _find(root, 0)
    for what, exists, generic, specific in (
        ("images", found.has_images, GENERIC.images, [layout.images for layout in LAYOUTS]),
        ("masks", found.has_masks, GENERIC.masks, [layout.masks for layout in LAYOUTS]),
    ):
        if not exists:
            names = ", ".join([generic[0], *(name for patterns in specific for name in patterns)])
            unread = [path for path in visible_files(root) if is_unread(path)]
            kinds = f"; {describe_unread(unread)}" if unread else ""
            links = f"; {describe_broken_links(found.broken_links)}" if found.broken_links else ""
            raise HamError(
                f"{root}: no folder of {what}; expected one of: {names}; or NAME.jpg and NAME_mask.png in one "
                f"folder; {describe_folder(root)}{kinds}{links}; to download HAM10000, run "
                f"`python -m ham_keras.data.download {root}`; to try the project without it, run `make sample`"
            )
    return found


def find_tables(root: Path) -> list[Path]:
    """The tables of a data folder, whether or not it has masks; anywhere in it, if there is none in a usual place."""
    try:
        found = _find(root, 0).tables
    except HamError:  # several data folders in it
        found = []
    return each_once(found or filter(may_be_table, walk_files(root)))


def each_once(paths: Iterable[Path]) -> list[Path]:
    """The paths, sorted, without those that lead to the same file as another."""
    return sorted({path.resolve(): path for path in paths}.values())


def _find(folder: Path, depth: int) -> Contents:
    found = _scan(folder)
    if found.has_images or found.has_masks or depth == MAX_DEPTH:
        return found
    children = {child.resolve(): child for child in reversed(visible_folders(folder))}  # each once, despite links
    everything = {child: _find(child, depth + 1) for child in reversed(children.values())}
    inside = {child: contents for child, contents in everything.items() if contents.has_images and contents.has_masks}
    others = [child for child in everything if child not in inside]
    if len(inside) > 1 and not all(contents.generic for contents in inside.values()):
        listed = " and ".join([shown(child) for child in inside][:MAX_LISTED])
        more = f" and {len(inside) - MAX_LISTED} more" if len(inside) > MAX_LISTED else ""
        raise HamError(
            f"{shown(folder)}: has several data folders in it, {listed}{more}; name one of them, or put all into one, "
            f"as images/NAME/a.jpg and masks/NAME/a.png"
        )
    for contents in inside.values():
        found.add(contents)
    found.flat = bool(inside) and all(contents.flat for contents in inside.values())
    found.generic = all(contents.generic for contents in inside.values())
    if len(inside) > 1:
        for child in others:
            found.images += found.sort(walk_files(child))
        found.by_folder = list(inside)
    elif inside:
        found.unread_folders |= _count_images(others)
        found.loose += filter(is_image_file, visible_files(folder))
    else:
        found.broken_links += [link for contents in everything.values() for link in contents.broken_links]
    return found


def _scan(folder: Path) -> Contents:
    """The contents of a folder, in known subfolders or flat."""
    found = Contents()
    children = visible_folders(folder)
    files = found.present(visible_files(folder))
    found.tables += filter(may_be_table, files)
    for child in children:
        if is_table_folder(child.name) and not is_image_folder(child.name) and not is_mask_folder(child.name):
            found.tables += filter(may_be_table, found.present(walk_files(child)))
    image_folders = [child for child in children if is_image_folder(child.name)]
    image_folders += _first_named(children, generic_image_folders()) or _beside_masks(children)
    mask_folders = [child for child in children if is_mask_folder(child.name)]
    mask_folders += _first_named(children, generic_mask_folders())
    found.generic = not any(is_image_folder(child.name) or is_mask_folder(child.name) for child in children)
    if not (image_folders and mask_folders) and not any(map(is_image_file, files)):
        found.by_pixels = list(folders_by_pixels(_without_companions(children)) or ())
        if found.by_pixels:
            image_folders, mask_folders = found.by_pixels[:1], found.by_pixels[1:]
    if image_folders:
        found.loose += filter(is_image_file, files)
    if image_folders or mask_folders:
        read = {*image_folders, *mask_folders}
        found.unread_folders = _count_images(child for child in _without_companions(children) if child not in read)
    photographs = [path for image_folder in image_folders for path in found.sort(walk_files(image_folder))]
    found.masks += [path for mask_folder in mask_folders for path in found.sort(walk_files(mask_folder))]
    found.has_masks = bool(mask_folders)
    if image_folders:
        found.images, masks_there = separate_masks(photographs, masks_elsewhere=bool(mask_folders))
        found.masks += masks_there
    elif mask_folders:
        found.images = found.sort(path for path in files if not may_be_table(path))
    elif _has_cases(children):
        found.generic = False
        images = found.sort(walk_files(folder))
        found.images = [path for path in images if key(path.parent.name).endswith(CASE_IMAGES)]
        found.masks = [path for path in images if key(path.parent.name).endswith(CASE_MASKS)]
    else:
        flat = Contents()
        flat.images, flat.masks = separate_masks(flat.sort(path for path in files if not may_be_table(path)))
        if flat.masks:
            found.add(flat)
            found.flat = True
    is_flat_or_subsets = not (image_folders or mask_folders or found.images) or found.flat
    found.has_images = bool(image_folders or found.images)
    if not mask_folders:
        found.named_like_masks = [path for path in found.images if is_named_mask(path)]
    found.has_masks |= bool(found.masks)
    for child in children:
        if is_subset_folder(child.name) and child not in image_folders:
            found.add(_scan(child))
    if found.has_images and is_flat_or_subsets:
        found.unread_folders |= _count_images(child for child in children if not is_subset_folder(child.name))
    return found


def _first_named(children: Sequence[Path], names: Iterable[str]) -> list[Path]:
    """The folders with the first name that exists; several if they differ in case, as `Images` and `images`."""
    for name in names:
        named = [child for child in children if without_subset(child.name) == name]
        if named:
            return named
    return []


def _beside_masks(children: Sequence[Path]) -> list[Path]:
    """The subsets such as `train` that hold images themselves, where their masks are in `train_masks`."""
    masks = {plain_name(child.name) for child in children if without_subset(child.name) in generic_mask_folders()}
    return [
        child
        for child in children
        if is_subset_folder(child.name)
        and masks & {plain_name(child.name) + name for name in generic_mask_folders()}
        and any(map(is_image_file, visible_files(child)))
    ]


def _without_companions(children: Iterable[Path]) -> list[Path]:
    """The folders that are neither subsets nor of pictures that are not used."""
    return [child for child in children if not is_subset_folder(child.name) and not is_companion_folder(child.name)]


def _count_images(folders: Iterable[Path]) -> dict[Path, int]:
    """The folders that hold images, with their numbers."""
    counts = {child: sum(1 for _ in image_files(child)) for child in folders}
    return {child: count for child, count in counts.items() if count}


def _has_cases(children: Iterable[Path]) -> bool:
    return any(key(inner.name).endswith(CASE_IMAGES) for child in children for inner in visible_folders(child))
