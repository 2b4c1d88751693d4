"""Download HAM10000 from Harvard Dataverse, verify and unpack it, and audit it.

    python -m ham_keras.data.download data/ham10000

The images and the lesion masks of doi:10.7910/DVN/DBW86T and their metadata are fetched; the rest of that dataset
(the test images of ISIC 2018 task 3 and the tables about them) is not. The same command after an interruption
keeps every file that came whole, and starts again with the one that did not.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ham_keras.data import audit
from ham_keras.data.sources.archive import check_space, is_unpacked, unpack
from ham_keras.data.sources.dataverse import Dataset, RemoteFile, fetch, read_dataset
from ham_keras.errors import HamError, program, run_command, warn
from ham_keras.files import locked, save_json

SERVER = "https://dataverse.harvard.edu"
DOI = "doi:10.7910/DVN/DBW86T"
METADATA = "HAM10000_metadata"
# In this order: as long as there is no folder of masks, nobody trains on a part of the images unawares.
WANTED = (METADATA, "HAM10000_images_part_1", "HAM10000_images_part_2", "HAM10000_segmentations_lesion_tschandl")
LICENCE = "CC BY-NC 4.0"
TERMS = f"{LICENCE}: free for non-commercial use with credit, https://creativecommons.org/licenses/by-nc/4.0/"
CITE = (
    "Tschandl, Rosendahl, Kittler: The HAM10000 dataset. Scientific Data 5:180161 (2018), doi:10.1038/sdata.2018.161",
    "Tschandl et al. (masks): Nature Medicine 26:1229-1234 (2020), doi:10.1038/s41591-020-0942-0",
)
SPARE_BYTES = 100_000_000  # the last, half-filled disk blocks of 20,000 files, and the audit


def download(root: Path | str, *, server: str = SERVER, keep_archives: bool = False, retries: int = 3) -> None:
    """Have HAM10000 in `root`, in the layout of Dataverse, each file verified against the server's checksums.

    Archives go to `root`/archives, are unpacked beside it and then removed, unless `keep_archives`. A zip that is
    there already, by whatever way, is used when its checksum is right.

    Raises:
        HamError: the server cannot be reached or sends something else, the disk is too small, or the folder holds
            other files under the names that are needed.
    """
    root = Path(root)
    dataset = read_dataset(server, DOI, retries=retries)
    files = choose_files(dataset)
    _introduce(dataset, files)
    with locked(root, ".download.lock", instead="name another folder"):
        archives = root / "archives"
        for leftover in archives.glob("tmp*"):  # pooch's name for a file that was under way when it was killed
            leftover.unlink()
        missing = [file for file in files if not _is_there(file, root)]
        print(f"{root}: {len(files) - len(missing)} of {len(files)} files are there and whole")
        if missing:
            check_space(root, needed_bytes(missing, archives, keep_archives), "the download")
        for file in missing:
            fetched = fetch(file, archives, retries=retries)
            if not _is_archive(file):
                fetched.replace(_place(file, root))
                continue
            left_out = unpack(fetched, _place(file, root), file.checksum)
            if left_out:
                print(f"{file.name}: {len(left_out)} files are no images and left out: {', '.join(left_out[:5])}")
            if not keep_archives:
                fetched.unlink()
        if archives.is_dir() and not any(archives.iterdir()):
            archives.rmdir()
        checksums = {file.name: file.checksum for file in files}
        source = {"doi": DOI, "page": dataset.page, "version": dataset.version, "licence": TERMS, "cite": CITE}
        save_json(root / "source.json", source | {"files": checksums})


def choose_files(dataset: Dataset) -> list[RemoteFile]:
    """The files this project needs, in the order in which they are fetched; a name's ending does not count.

    Raises:
        HamError: the dataset lacks one, or has two of one name.
    """
    chosen = []
    for stem in WANTED:
        found = [file for file in dataset.files if Path(file.name).stem == stem]
        if len(found) != 1:
            names = ", ".join(file.name for file in dataset.files) or "nothing"
            raise HamError(f"{dataset.page}: expected one file {stem}, found {len(found)}; the dataset holds: {names}")
        chosen += found
    return chosen


def _introduce(dataset: Dataset, files: Sequence[RemoteFile]) -> None:
    print(f"HAM10000, version {dataset.version}, from {dataset.page}")
    print("\n".join([f"licence: {TERMS}", *(f"cite: {line}" for line in CITE)]))
    if dataset.licence and dataset.licence != LICENCE:
        warn(f"the server names another licence, {dataset.licence!r}: read its terms at {dataset.page}")
    for file in files:
        print(f"{file.size_bytes:>15,} bytes  {file.name}  {file.checksum}")
    others = [file.name for file in dataset.files if file not in files]
    if others:
        print(f"not needed and left out: {', '.join(others)}")


def _is_there(file: RemoteFile, root: Path) -> bool:
    place = _place(file, root)
    if _is_archive(file):
        return is_unpacked(place, file.checksum)
    if place.exists() and not file.is_at(place):
        raise HamError(f"{place}: is there already and is not the server's; move it away")
    return place.exists()


def _is_archive(file: RemoteFile) -> bool:
    return Path(file.name).stem != METADATA


def _place(file: RemoteFile, root: Path) -> Path:
    stem = Path(file.name).stem
    return root / (stem if _is_archive(file) else f"{stem}.csv")


def needed_bytes(missing: Sequence[RemoteFile], archives: Path, keep_archives: bool) -> int:
    """The most disk space that is taken at one time, beyond what is taken now.

    An archive is counted twice, packed and unpacked: JPEGs and PNGs do not shrink in a zip.
    """
    taken = most = 0
    for file in missing:
        path = archives / file.name
        taken += 0 if path.exists() and path.stat().st_size == file.size_bytes else file.size_bytes
        taken += file.size_bytes
        most = max(most, taken)
        taken -= 0 if keep_archives else file.size_bytes
    return most + SPARE_BYTES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the status is the audit's, 1 when a file cannot be read."""
    parser = argparse.ArgumentParser(
        prog=program("data.download"),
        description=f"Download HAM10000 (3 GB, {LICENCE}) from Harvard Dataverse, verify, unpack and audit it.",
        epilog="The same command again keeps and verifies what is there and fetches what is missing.",
    )
    parser.add_argument("root", type=Path, metavar="OUT", help="data folder, e.g. data/ham10000")
    parser.add_argument("--server", default=SERVER, metavar="URL", help="a Dataverse server (default %(default)s)")
    parser.add_argument("--keep-archives", action="store_true", help="keep the zips in OUT/archives")
    parser.add_argument(
        "--retries", type=int, choices=range(21), default=3, metavar="N", help="of what fails in passing (default 3)"
    )
    args = parser.parse_args(argv)
    download(args.root, server=args.server, keep_archives=args.keep_archives, retries=args.retries)
    status = audit.main([str(args.root), "--output", str(args.root / "audit")])
    print(f"next: python -m ham_keras.train configs/base.json data.root={args.root}")
    return status


if __name__ == "__main__":
    run_command(main)
