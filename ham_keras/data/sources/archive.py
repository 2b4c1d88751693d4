"""Unpack an untrusted zip of images into a folder, completely or not at all."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from ham_keras.data.layouts import SUFFIXES
from ham_keras.errors import HamError
from ham_keras.files import load_json, remove_parts, replacing_folder, save_json

MANIFEST = ".unpacked.json"  # in an unpacked folder: its archive, and size and CRC-32 of each file
CHUNK_BYTES = 2**20
# Of 1,000 JPEGs and 1,000 mask PNGs of HAM10000, zipped, the JPEGs unpacked to 1.01 and the PNGs to 1.11 times the size
# of the zip, and no file to more than 5.6 times its compressed size.
MAX_RATIO, MAX_FILE_RATIO = 10, 100
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # with others zipfile decompresses a whole chunk at once


def unpack(archive: Path, folder: Path, checksum: str) -> list[str]:
    """Unpack the images of a zip into `folder`, without the folders inside the zip.

    Files are written to a hidden folder that is renamed at the end. An older folder that `is_unpacked` finds damaged is
    replaced. The metadata files of macOS are ignored.

    Args:
        checksum: of the archive, saved in the folder for `is_unpacked`.

    Returns:
        The names of files in the zip that are not images and were skipped.

    Raises:
        HamError: the zip is damaged, contains something suspicious, or unpacks to far more than its size; or the
            folder cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members, left_out = choose_members(opened, archive)
            remove_parts(folder.parent)  # of killed processes
            check_space(folder.parent, sum(member.file_size for member in members.values()), f"unpacking {archive}")
            with replacing_folder(folder) as part:
                for name, member in tqdm(members.items(), f"unpacking {archive.name}", unit=" files", disable=None):
                    with opened.open(member) as source, open(part / name, "xb") as target:
                        written = copy(source, target, member.file_size)
                    if written != member.file_size:
                        raise zipfile.BadZipFile(f"{name} has {written} bytes instead of {member.file_size}")
                files = {name: [member.file_size, member.CRC] for name, member in members.items()}
                save_json(part / MANIFEST, {"archive": archive.name, "checksum": checksum, "files": files})
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise HamError(f"{archive}: damaged zip ({error}); remove it and download it again") from None
    except OSError as error:
        raise HamError(f"{folder}: cannot be unpacked: {error}") from None
    return left_out


def is_unpacked(folder: Path, checksum: str) -> bool:
    """Whether `folder` holds all files of the archive with this checksum, unchanged.

    Raises:
        HamError: the folder was not unpacked here, or is damaged and holds other files, which replacing it would
            delete.
    """
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if not present:
        return False
    try:
        manifest = load_json(folder / MANIFEST)
        files = {str(name): (int(size), int(crc)) for name, (size, crc) in manifest["files"].items()}
        same = manifest["checksum"] == checksum
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise HamError(f"{folder}: exists and was not unpacked by this command; move it away") from None
    checked = tqdm(files.items(), f"verifying {folder.name}", unit=" files", disable=None)
    is_complete = same and all(name in present and _fingerprint(folder / name) == known for name, known in checked)
    foreign = sorted(name for name in present - files.keys() if not name.startswith("."))
    if foreign and not is_complete:
        raise HamError(
            f"{folder}: has to be unpacked again, and holds {foreign[0]}, which is not from the archive; move it away"
        )
    return is_complete


def choose_members(opened: zipfile.ZipFile, archive: Path) -> tuple[dict[str, zipfile.ZipInfo], list[str]]:
    """Map target names to the images of a zip; also returns the names of other files.

    Raises:
        HamError: a path outside the folder, a link, a duplicate name, encryption, an unusual compression method, or
            an implausible compression ratio.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    left_out: list[str] = []
    taken: set[str] = set()
    for member in opened.infolist():
        path = PurePosixPath(member.orig_filename)
        if reason := _why_unsafe(member, path):
            raise _refusal(archive, f"{member.orig_filename!r} {reason}")
        if member.is_dir() or any(step.startswith(".") or step == "__MACOSX" for step in path.parts):
            continue
        if path.suffix.lower() not in SUFFIXES:
            left_out.append(member.orig_filename)
            continue
        if path.name.casefold() in taken:
            raise _refusal(archive, f"it contains {path.name!r} twice")
        taken.add(path.name.casefold())
        members[path.name] = member
    size, total = archive.stat().st_size, sum(member.file_size for member in members.values())
    if total > MAX_RATIO * size:
        raise _refusal(archive, f"its {size} bytes would unpack to {total}")
    if not members:
        raise _refusal(archive, "it contains no image")
    return members, left_out


def _why_unsafe(member: zipfile.ZipInfo, path: PurePosixPath) -> str:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or any(sign in member.orig_filename for sign in "\\:\0"):
        return "is outside the folder"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.compress_type not in METHODS:
        return f"is compressed by method {member.compress_type}"
    if member.file_size > MAX_FILE_RATIO * max(member.compress_size, 1):
        return f"would unpack from {member.compress_size} to {member.file_size} bytes"
    return ""


def _refusal(archive: Path, reason: str) -> HamError:
    return HamError(f"{archive}: not a zip of plain images, not unpacked: {reason}")


def copy(source: IO[bytes], target: IO[bytes], most_bytes: int) -> int:
    """Copy at most `most_bytes` and return the number of bytes.

    Raises:
        BadZipFile: `source` has more.
    """
    written = 0
    while chunk := source.read(CHUNK_BYTES):
        written += len(chunk)
        if written > most_bytes:
            raise zipfile.BadZipFile(f"a file has more than the {most_bytes} bytes it should have")
        target.write(chunk)
    return written


def _fingerprint(path: Path) -> tuple[int, int]:
    crc = 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            crc = zlib.crc32(chunk, crc)
    return path.stat().st_size, crc


def check_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Check the free space on the disk of an existing folder.

    Raises:
        HamError: there is less than `needed_bytes`.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise HamError(
            f"{folder}: {what} needs {needed_bytes / 1e9:.2f} GB and {free / 1e9:.2f} GB are free; "
            f"make room, or choose a folder on another disk"
        )
