"""Download HAM10000 from Harvard Dataverse into a data folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ham_keras.data.sources.archive import check_space, is_unpacked, unpack
from ham_keras.data.sources.dataverse import Dataset, RemoteFile, fetch, read_dataset
from ham_keras.errors import HamError, shown, warn
from ham_keras.files import locked, save_json

SERVER = "https://dataverse.harvard.edu"
DOI = "doi:10.7910/DVN/DBW86T"
METADATA = "HAM10000_metadata.csv"
# Version 4.0, with the names that the files get here. Masks are last: without a folder of masks nobody trains on an
# incomplete download by mistake.
WANTED = {
    METADATA: "md5:8f85fb1aa29d80a2797247e434deb79d",
    "HAM10000_images_part_1.zip": "md5:4639bfa73ab251610530a97c898e6e46",
    "HAM10000_images_part_2.zip": "md5:da43d6cc50f6613013be07e8986b384b",
    "HAM10000_segmentations_lesion_tschandl.zip": "md5:6e8d252e09cfdb0189199f15985a5b84",
}
LICENCE = "CC BY-NC 4.0"
TERMS = f"{LICENCE}: free for non-commercial use with credit, https://creativecommons.org/licenses/by-nc/4.0/"
CITE = (
    "Tschandl, Rosendahl, Kittler: The HAM10000 dataset. Scientific Data 5:180161 (2018), doi:10.1038/sdata.2018.161",
    "Tschandl et al. (masks): Nature Medicine 26:1229-1234 (2020), doi:10.1038/s41591-020-0942-0",
)
SPARE_BYTES = 100_000_000  # for partly filled disk blocks of 20,000 files, and the audit


def get_ham10000(
    root: Path, *, server: str, keep_archives: bool = False, retries: int = 3, other_release: bool = False
) -> None:
    """Download, verify and unpack the files that are missing in `root`; see `download`."""
    dataset = read_dataset(server, DOI, retries=retries)
    files = choose_files(dataset, other_release=other_release)
    _introduce(dataset, files)
    with locked(root, ".download.lock", instead="choose another folder"):
        archives = root / "archives"
        for leftover in archives.glob("tmp*"):  # pooch's name for a file whose download was killed
            leftover.unlink()
        missing = [file for file in files if not _is_there(file, root)]
        print(f"{shown(root)}: {len(files) - len(missing)} of {len(files)} files are present and complete")
        if missing:
            check_space(root, needed_bytes(missing, archives, keep_archives), "the download")
        for file in missing:
            fetched = fetch(file, archives, retries=retries)
            if not _is_archive(file):
                fetched.replace(_place(file, root))
                continue
            left_out = unpack(fetched, _place(file, root), file.checksum)
            if left_out:
                print(f"{file.name}: {len(left_out)} files are not images and skipped: {', '.join(left_out[:5])}")
            if not keep_archives:
                fetched.unlink()
        if archives.is_dir() and not any(archives.iterdir()):
            archives.rmdir()
        checksums = {file.name: file.checksum for file in files}
        source = {"doi": DOI, "page": dataset.page, "version": dataset.version, "licence": TERMS, "cite": CITE}
        save_json(root / "source.json", source | {"files": checksums})


def choose_files(dataset: Dataset, *, other_release: bool = False) -> list[RemoteFile]:
    """The files of `WANTED`, with the names and in the order given there.

    Names from the server are compared without suffix and never used as paths.

    Raises:
        HamError: the dataset lacks a file, has two with the same name, or, without `other_release`, a checksum differs
            from the known release.
    """
    chosen = []
    for name, checksum in WANTED.items():
        stem = Path(name).stem
        found = [file for file in dataset.files if file.name.partition(".")[0] == stem]
        if len(found) != 1:
            names = ", ".join(repr(file.name) for file in dataset.files) or "nothing"
            raise HamError(f"{dataset.page}: expected one file {stem}, found {len(found)}; the dataset holds: {names}")
        if found[0].checksum.lower() != checksum and not other_release:
            raise HamError(
                f"{dataset.page}: {name} has {found[0].checksum} there and {checksum} in the known release, 4.0; if "
                f"you trust the server, download its version {dataset.version} with --other-release"
            )
        chosen.append(dataclasses.replace(found[0], name=name))
    return chosen


def _introduce(dataset: Dataset, files: Sequence[RemoteFile]) -> None:
    print(f"HAM10000, version {dataset.version}, from {dataset.page}")
    print("\n".join([f"licence: {TERMS}", *(f"cite: {line}" for line in CITE)]))
    if dataset.licence and dataset.licence != LICENCE:
        warn(f"the server gives another licence, {dataset.licence!r}: read its terms at {dataset.page}")
    for file in files:
        print(f"{file.size_bytes:>15,} bytes  {file.name}  {file.checksum}")
    urls = {file.url for file in files}
    others = [file.name for file in dataset.files if file.url not in urls]
    if others:
        print(f"not needed and skipped: {', '.join(others)}")


def _is_there(file: RemoteFile, root: Path) -> bool:
    place = _place(file, root)
    if _is_archive(file):
        return is_unpacked(place, file.checksum)
    if place.exists() and not file.is_at(place):
        raise HamError(f"{place}: exists and differs from the file on the server; move it away")
    return place.exists()


def _is_archive(file: RemoteFile) -> bool:
    return file.name != METADATA


def _place(file: RemoteFile, root: Path) -> Path:
    return root / (Path(file.name).stem if _is_archive(file) else file.name)


def needed_bytes(missing: Sequence[RemoteFile], archives: Path, keep_archives: bool) -> int:
    """The peak of additional disk space during the download.

    An archive counts twice, packed and unpacked: JPEGs and PNGs do not shrink in a zip.
    """
    taken = most = 0
    for file in missing:
        path = archives / file.name
        taken += 0 if path.exists() and path.stat().st_size == file.size_bytes else file.size_bytes
        taken += file.size_bytes
        most = max(most, taken)
        taken -= 0 if keep_archives else file.size_bytes
    return most + SPARE_BYTES
