"""Unpacking a zip: the result, and safety against malicious and damaged zips."""

from __future__ import annotations

import io
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from dataverse import pack

from ham_keras.data.sources import archive as archives
from ham_keras.data.sources.archive import copy, is_unpacked, unpack
from ham_keras.errors import HamError
from ham_keras.files.temporary import MACHINE

PICTURES = {"a.jpg": b"first picture", "b.PNG": b"second picture"}


def write(folder: Path, content: bytes) -> Path:
    path = folder / "pictures.zip"
    path.write_bytes(content)
    return path


def unpacked(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def nothing_left(folder: Path) -> bool:
    return [path.name for path in folder.iterdir()] == ["pictures.zip"]


def test_images_are_unpacked_into_one_folder_and_other_files_listed(tmp_path: Path) -> None:
    others = {"c/readme.txt": b"hello", "c/": b""}
    others |= dict.fromkeys(["__MACOSX/c/._a.jpg", "__MACOSX/icon.png", "c/.DS_Store", "._a.jpg"], b"macOS'")
    zipped = write(tmp_path, pack({"c/a.jpg": PICTURES["a.jpg"], "b.PNG": PICTURES["b.PNG"]} | others))
    assert unpack(zipped, tmp_path / "out", "md5:1") == ["c/readme.txt"]
    assert unpacked(tmp_path / "out") == PICTURES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pictures.zip"]
    assert stat.S_IMODE((tmp_path / "out" / "a.jpg").stat().st_mode) & 0o111 == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a.jpg", "is outside the folder"),
        ("c/../../a.jpg", "is outside the folder"),
        ("/tmp/a.jpg", "is outside the folder"),
        ("..\\a.jpg", "is outside the folder"),
        ("C:\\a.jpg", "is outside the folder"),
        ("C:a.jpg", "is outside the folder"),
        ("a.jpg\0.txt", "is outside the folder"),
        ("__MACOSX/../../a.jpg", "is outside the folder"),
        ("c/b.png", "it contains 'b.png' twice"),
    ],
)
def test_unsafe_names_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    packed = pack(PICTURES | {"X" * len(name): b"evil"})
    zipped = write(tmp_path, packed.replace(b"X" * len(name), name.encode()))
    with pytest.raises(HamError, match=f"not unpacked: .*{reason}"):
        unpack(zipped, tmp_path / "out", "md5:1")
    assert nothing_left(tmp_path)


def pack_odd(kind: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for name, content in PICTURES.items():
            opened.writestr(name, content)
        odd = zipfile.ZipInfo("c.png")
        if kind == "link":
            odd.external_attr = (stat.S_IFLNK | 0o777) << 16
            opened.writestr(odd, "/etc/passwd")
        elif kind == "device":
            odd.external_attr = (stat.S_IFCHR | 0o666) << 16
            opened.writestr(odd, "")
        elif kind == "method":
            opened.writestr(odd, b"0" * 100, zipfile.ZIP_LZMA)
        else:
            opened.writestr(odd, b"0" * 1_000_000, zipfile.ZIP_DEFLATED)
    content = packed.getvalue()
    if kind == "encrypted":  # bit 0 of the flags, 8 bytes into the entry of the central directory
        at = content.rindex(b"PK\1\2") + 8
        content = content[:at] + bytes([content[at] | 1]) + content[at + 1 :]
    return content


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("link", "'c.png' is a link or a device"),
        ("device", "'c.png' is a link or a device"),
        ("method", "'c.png' is compressed by method 14"),
        ("bomb", r"'c.png' would unpack from \d+ to 1000000 bytes"),
        ("encrypted", "'c.png' is encrypted"),
    ],
)
def test_unsafe_entries_are_refused(tmp_path: Path, kind: str, reason: str) -> None:
    zipped = write(tmp_path, pack_odd(kind))
    with pytest.raises(HamError, match=reason):
        unpack(zipped, tmp_path / "out", "md5:1")
    assert nothing_left(tmp_path)


def test_zip_bomb_of_many_files_is_refused(tmp_path: Path) -> None:
    """Each file unpacks to about 80 times its compressed size, which is allowed for a single file."""
    zipped = write(tmp_path, pack({f"{i}.png": b"0" * 1000 for i in range(100)}))
    with pytest.raises(HamError, match=r"its \d+ bytes would unpack to 100000"):
        unpack(zipped, tmp_path / "out", "md5:1")
    assert nothing_left(tmp_path)


def forge_size(content: bytes, size: int) -> bytes:
    """Change the size of the last file in the central directory, 24 bytes into its entry."""
    at = content.rindex(b"PK\1\2") + 24
    return content[:at] + size.to_bytes(4, "little") + content[at + 4 :]


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (forge_size(pack(PICTURES), 13), "Bad CRC-32"),
        (forge_size(pack(PICTURES), 15), "b.PNG has 14 bytes instead of 15"),
        (pack(PICTURES)[:-30], "not a zip file"),
        (b"<html>sign in</html>", "not a zip file"),
    ],
)
def test_wrong_sizes_and_truncated_zips_are_refused(tmp_path: Path, packed: bytes, reason: str) -> None:
    zipped = write(tmp_path, packed)
    with pytest.raises(HamError, match=rf"pictures\.zip: damaged zip \(.*{reason}.*download it again"):
        unpack(zipped, tmp_path / "out", "md5:1")
    assert nothing_left(tmp_path)


def test_damaged_contents_are_detected(tmp_path: Path) -> None:
    packed = pack({"a.jpg": b"0123456789" * 9})
    place = packed.index(b"a.jpg") + 5
    zipped = write(tmp_path, packed[:place] + b"\xff\xff" + packed[place + 2 :])
    with pytest.raises(HamError, match="damaged zip"):
        unpack(zipped, tmp_path / "out", "md5:1")
    assert nothing_left(tmp_path)


def test_copy_stops_at_the_expected_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "CHUNK_BYTES", 4)
    target = io.BytesIO()
    assert copy(io.BytesIO(b"0123456789"), target, 10) == 10
    with pytest.raises(zipfile.BadZipFile, match="has more than the 9 bytes"):
        copy(io.BytesIO(b"0123456789"), cut := io.BytesIO(), 9)
    assert target.getvalue() == b"0123456789" and cut.getvalue() == b"01234567"


def test_zip_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HamError, match="it contains no image"):
        unpack(write(tmp_path, pack({"readme.txt": b"hello"})), tmp_path / "out", "md5:1")


def test_full_disk_is_detected_before_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 74, 26))  # type: ignore[attr-defined]
    zipped = write(tmp_path, pack(PICTURES))
    with pytest.raises(HamError, match=r"unpacking .*pictures\.zip needs 0\.00 GB and 0\.00 GB are free"):
        unpack(zipped, tmp_path / "out", "md5:1")
    assert nothing_left(tmp_path)
    unpack(write(tmp_path, pack({"a.jpg": b"0" * 26})), tmp_path / "out", "md5:1")


def test_failed_write_keeps_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped = write(tmp_path, pack(PICTURES))
    unpack(zipped, tmp_path / "out", "md5:1")

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "copy", full)
    with pytest.raises(HamError, match=r"out: cannot be unpacked: .*No space left"):
        unpack(zipped, tmp_path / "out", "md5:2")
    assert is_unpacked(tmp_path / "out", "md5:1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pictures.zip"]


def test_leftovers_of_a_killed_unpacking_are_replaced(tmp_path: Path) -> None:
    zipped = write(tmp_path, pack(PICTURES))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    part = tmp_path / f".part-{ended.pid}-{MACHINE}-0.out"
    part.mkdir()
    (part / "a.jpg").write_bytes(b"first pi")
    assert not is_unpacked(tmp_path / "out", "md5:1")
    unpack(zipped, tmp_path / "out", "md5:1")
    assert unpacked(tmp_path / "out") == PICTURES
    assert not part.exists()


def test_is_unpacked_needs_all_files_of_the_same_archive(tmp_path: Path) -> None:
    out = tmp_path / "out"
    zipped = write(tmp_path, pack(PICTURES))
    unpack(zipped, out, "md5:1")
    assert is_unpacked(out, "md5:1") and not is_unpacked(out, "md5:2")
    (out / "a.jpg").write_bytes(b"first Picture")
    assert not is_unpacked(out, "md5:1")
    (out / "a.jpg").unlink()
    assert not is_unpacked(out, "md5:1")
    unpack(zipped, out, "md5:1")
    assert is_unpacked(out, "md5:1") and unpacked(out) == PICTURES


def test_foreign_files_are_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert not is_unpacked(out, "md5:1")  # an empty folder is not unpacked
    (out / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(HamError, match="out: exists and was not unpacked by this command; move it away"):
        is_unpacked(out, "md5:1")
    (out / "mine.jpg").unlink()
    unpack(write(tmp_path, pack(PICTURES)), out, "md5:1")
    (out / "mine.jpg").write_bytes(b"mine")
    assert is_unpacked(out, "md5:1")
    with pytest.raises(HamError, match=r"holds mine\.jpg, which is not from the archive; move it away"):
        is_unpacked(out, "md5:2")
    (out / archives.MANIFEST).write_text("{}")
    with pytest.raises(HamError, match="was not unpacked by this command"):
        is_unpacked(out, "md5:1")
