"""Download HAM10000 from Harvard Dataverse, verify and unpack it, and audit it.

    python -m ham_keras.data.download data/ham10000

Downloads the images, lesion masks and metadata of doi:10.7910/DVN/DBW86T, but not the rest of that dataset (the test
images of ISIC 2018 task 3 and the tables about them). Run the same command again after an interruption: complete
files are kept, and the incomplete one is downloaded again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ham_keras.data.sources.ham10000 import LICENCE, SERVER, get_ham10000
from ham_keras.errors import program, run_command, shown


def download(
    root: Path | str,
    *,
    server: str = SERVER,
    keep_archives: bool = False,
    retries: int = 3,
    other_release: bool = False,
) -> None:
    """Download HAM10000 into `root`, in Dataverse's layout, each file verified against its known checksum.

    Archives are saved in `root`/archives, unpacked into `root` and then deleted, unless `keep_archives`. An existing
    zip is used if its checksum is correct. `other_release` accepts files with other checksums than version 4.0's,
    verified against the server's.

    Raises:
        HamError: the server cannot be reached or sends something else, the disk is too small, or `root` contains
            other files with the required names.
    """
    get_ham10000(Path(root), server=server, keep_archives=keep_archives, retries=retries, other_release=other_release)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the audit's status, 1 if a file cannot be read."""
    parser = argparse.ArgumentParser(
        prog=program("data.download"),
        description=f"Download HAM10000 (3 GB, {LICENCE}) from Harvard Dataverse, verify, unpack and audit it.",
        epilog="Run it again to verify existing files and download missing ones.",
    )
    parser.add_argument("root", type=Path, metavar="OUT", help="data folder, e.g. data/ham10000")
    parser.add_argument("--server", default=SERVER, metavar="URL", help="a Dataverse server (default %(default)s)")
    parser.add_argument("--keep-archives", action="store_true", help="keep the zips in OUT/archives")
    parser.add_argument(
        "--retries",
        type=int,
        choices=range(21),
        default=3,
        metavar="N",
        help="retries after temporary failures (default 3)",
    )
    parser.add_argument(
        "--other-release", action="store_true", help="accept files with other checksums than version 4.0's"
    )
    args = parser.parse_args(argv)
    download(
        args.root,
        server=args.server,
        keep_archives=args.keep_archives,
        retries=args.retries,
        other_release=args.other_release,
    )
    from ham_keras.data.inspection.folder import inspect_folder
    from ham_keras.data.inspection.tables import report_audit

    readable = report_audit(inspect_folder(args.root, "auto", None), args.root / "audit")
    print(f"next: python -m ham_keras.train configs/base.json data.root={shown(args.root)}")
    return int(not readable)


if __name__ == "__main__":
    run_command(main)
