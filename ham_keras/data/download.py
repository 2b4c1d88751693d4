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

from ham_keras.data.sources.ham10000 import LICENCE, SERVER, get_ham10000
from ham_keras.errors import program, run_command


def download(
    root: Path | str,
    *,
    server: str = SERVER,
    keep_archives: bool = False,
    retries: int = 3,
    other_release: bool = False,
) -> None:
    """Download HAM10000 into `root`, in Dataverse's layout, each file verified against its known checksum.

    Archives go to `root`/archives, are unpacked beside it and then removed, unless `keep_archives`. A zip that is
    already there is used if its checksum is right. `other_release` takes files of other checksums than version 4.0's,
    verified against those that the server names.

    Raises:
        HamError: the server cannot be reached or sends something else, the disk is too small, or the folder holds
            other files under the names that are needed.
    """
    get_ham10000(Path(root), server=server, keep_archives=keep_archives, retries=retries, other_release=other_release)


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
    parser.add_argument("--other-release", action="store_true", help="take files of other checksums than version 4.0's")
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
    print(f"next: python -m ham_keras.train configs/base.json data.root={args.root}")
    return int(not readable)


if __name__ == "__main__":
    run_command(main)
