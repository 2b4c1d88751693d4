"""Walking folders, and distinguishing masks from photographs by their pixels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ham_keras.data.folders import (
    describe_broken_links,
    image_files,
    is_broken_link,
    is_unread,
    key,
    looks_like_mask,
    walk_files,
)
from ham_keras.data.separation import confirm_mask


def lay(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_files_are_sorted_and_precede_files_of_subfolders(tmp_path: Path) -> None:
    lay(tmp_path, "b/z.png", "c.jpg", "a/y.txt", "a/deep/x.bmp", ".hidden/w.jpg", "a/.v.jpg", "@eaDir/u.jpg")
    assert [str(path.relative_to(tmp_path)) for path in walk_files(tmp_path)] == [
        "c.jpg", "a/y.txt", "a/deep/x.bmp", "b/z.png",
    ]  # fmt: skip
    assert [path.name for path in image_files(tmp_path)] == ["c.jpg", "x.bmp", "z.png"]


def test_linked_folder_is_walked_once_by_its_own_path(tmp_path: Path) -> None:
    lay(tmp_path, "in/real/a.jpg", "out/b.jpg")
    (tmp_path / "in/a_link").symlink_to(tmp_path / "in/real")
    (tmp_path / "in/linked").symlink_to(tmp_path / "out")
    (tmp_path / "in/real/up").symlink_to(tmp_path)
    (tmp_path / "out/back").symlink_to(tmp_path / "in/real")
    names = [str(path.relative_to(tmp_path / "in")) for path in walk_files(tmp_path / "in")]
    assert names == ["real/a.jpg", "linked/b.jpg"]


def test_pipes_are_no_files_and_broken_links_are_told(tmp_path: Path) -> None:
    lay(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, target in (
        ("b.jpg", "b.jpg"),
        ("c.jpg", "gone"),
        ("d.jpg", "a.jpg"),
        ("folder", "."),
        ("e.jpg", "pipe.jpg"),
    ):
        (tmp_path / name).symlink_to(target)
    files = list(walk_files(tmp_path))
    assert [path.name for path in files] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    broken = [path for path in files if is_broken_link(path)]
    assert [path.name for path in broken] == ["b.jpg", "c.jpg"]
    line = f"2 links lead nowhere and are skipped, the first: {tmp_path / 'b.jpg'} to b.jpg"
    assert describe_broken_links(broken) == line


def test_keys_ignore_case_and_unicode_form() -> None:
    assert key("E\u0301TE\u0301 1") == key("\xe9t\xe9 1") == "\xe9t\xe9 1"
    assert key("a") != key("b")


@pytest.mark.parametrize(
    ("name", "unread"),
    [("a.heic", True), ("a.DNG", True), ("a.unheard", True), ("a.jpg", False), ("a.JSON", False), ("a", False)],
)
def test_unsupported_formats_are_unread_and_companion_files_are_not(tmp_path: Path, name: str, unread: bool) -> None:
    lay(tmp_path, name)
    assert is_unread(tmp_path / name) is unread


@pytest.mark.parametrize("head", [b"\xff\xd8\xff\xe0", b"\x89PNG", bytes(128) + b"DICM"])
def test_image_without_suffix_is_unread(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "IM0001").write_bytes(head + bytes(8))
    assert is_unread(tmp_path / "IM0001")


def photograph() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(90, 200, (60, 80, 3), np.uint8)


def disc() -> npt.NDArray[np.uint8]:
    rows, columns = np.mgrid[:60, :80]
    return np.where(np.hypot(rows - 30, columns - 40) < 15, 255, 0).astype(np.uint8)


def soft() -> npt.NDArray[np.uint8]:
    rows, columns = np.mgrid[:60, :80]
    return np.clip(255 * (15.5 - np.hypot(rows - 30, columns - 40)), 0, 255).astype(np.uint8)


def test_masks_of_every_encoding_look_like_masks(tmp_path: Path) -> None:
    Image.fromarray(disc()).save(tmp_path / "grey.png")
    Image.fromarray(disc() // 255).save(tmp_path / "zero_and_one.png")
    Image.fromarray(disc()).convert("1").save(tmp_path / "one_bit.tif")
    Image.fromarray(disc()).convert("RGB").save(tmp_path / "lossy.jpg", quality=50)
    Image.fromarray(soft()).save(tmp_path / "soft.png")
    Image.fromarray(np.stack([disc(), 0 * disc(), 0 * disc()], axis=2)).save(tmp_path / "red.png")
    Image.fromarray(disc().astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(soft().astype(np.uint16) * 257).save(tmp_path / "deep_soft.png")
    text = PngInfo()
    text.add_text("Comment", "x" * 2_000_000, zip=True)
    Image.fromarray(disc()).save(tmp_path / "long_text.png", pnginfo=text)
    assert confirm_mask(tmp_path / "long_text.png")
    assert {path.name: looks_like_mask(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("grey.png", "zero_and_one.png", "one_bit.tif", "lossy.jpg", "soft.png", "red.png", "deep.png"), True
    ) | {"deep_soft.png": True, "long_text.png": True}


def test_photographs_do_not_look_like_masks_and_broken_files_are_undecided(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "colour.jpg")
    Image.fromarray(photograph()).convert("L").save(tmp_path / "grey.png")
    vignetted = photograph() * (disc()[..., None] > 0)  # a round field with black corners
    Image.fromarray(vignetted).save(tmp_path / "dark_corners.png")
    assert {path.name: looks_like_mask(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("colour.jpg", "grey.png", "dark_corners.png"), False
    )
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    assert looks_like_mask(tmp_path / "broken.png") is None
