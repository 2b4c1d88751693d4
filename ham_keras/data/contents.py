"""The files of a data folder, by type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ham_keras.data.folders import is_broken_link, is_image_file, is_unread
from ham_keras.data.tables import is_table
from ham_keras.errors import is_utf8


@dataclass
class Contents:
    """The files of a data folder by type. `misnamed` holds images and masks whose name is not UTF-8.

    `unread_folders`: folders of images or masks that are not read because others are, with their numbers of files.
    `loose`: images beside the folders that are read.
    `named_like_masks`: photographs by their pixels, masks by their names.
    `by_folder`: the folders that are read as one data folder, one for each patient for example.
    `by_pixels`: a folder of images and one of masks, recognised by their pixels because not both have a known name.
    `has_images` and `has_masks`: whether there is a place for them, even an empty one.
    `flat`: whether no folder has a known name; masks are told from photographs by their names.
    `generic`: whether no folder is named as a known source names it, so several such folders may be one's parts.
    """

    images: list[Path] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    misnamed: list[Path] = field(default_factory=list)
    broken_links: list[Path] = field(default_factory=list)
    named_like_masks: list[Path] = field(default_factory=list)
    unread_folders: dict[Path, int] = field(default_factory=dict)
    loose: list[Path] = field(default_factory=list)
    by_folder: list[Path] = field(default_factory=list)
    by_pixels: list[Path] = field(default_factory=list)
    has_images: bool = False
    has_masks: bool = False
    flat: bool = False
    generic: bool = False

    def add(self, other: Contents) -> None:
        """Add the contents of another folder."""
        self.images += other.images
        self.masks += other.masks
        self.tables += other.tables
        self.unread += other.unread
        self.misnamed += other.misnamed
        self.broken_links += other.broken_links
        self.loose += other.loose
        self.named_like_masks += other.named_like_masks
        self.by_folder += other.by_folder
        self.by_pixels += other.by_pixels
        self.unread_folders |= other.unread_folders
        self.has_images |= other.has_images
        self.has_masks |= other.has_masks

    def present(self, files: Iterable[Path]) -> list[Path]:
        """Add links that lead nowhere; returns the other files."""
        found: list[Path] = []
        for path in files:
            (self.broken_links if is_broken_link(path) else found).append(path)
        return found

    def sort(self, files: Iterable[Path]) -> list[Path]:
        """Add tables, links that lead nowhere, unsupported and misnamed files; returns the other image files."""
        images: list[Path] = []
        for path in self.present(files):
            if is_table(path):
                self.tables.append(path)
            elif is_unread(path):
                self.unread.append(path)
            elif is_image_file(path):
                (images if is_utf8(path) else self.misnamed).append(path)
        return images
