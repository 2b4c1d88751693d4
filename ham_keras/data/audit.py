"""Audit a data folder: report problems and oddities in a table, JSON, CSV and pictures.

    python -m ham_keras.data.audit path/to/ham10000
    python -m ham_keras.data.audit path/to/other --lesion-values 1 2

The exit status is 1 if a file cannot be read, but not if files are only repaired or odd.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ham_keras.data.repair import Repair
from ham_keras.errors import program, run_command

if TYPE_CHECKING:
    from ham_keras.data.inspection.folder import Audit


def audit(root: Path | str, *, repair_masks: Repair = "auto", lesion_values: Sequence[int] | None = None) -> Audit:
    """Read every pair in `root` as in training, and compare the images with each other.

    `repair_masks` and `lesion_values` are those of the config's data section.

    Raises:
        HamError: no such folder, no pairs in it, two files with the same id, or no mask with any of `lesion_values`.
    """
    # Images are decoded with TensorFlow, as in training.
    from ham_keras.data.inspection.folder import inspect_folder

    return inspect_folder(root, repair_masks, lesion_values)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 1 if a file cannot be read."""
    description = str(__doc__).partition("\n")[0]
    parser = argparse.ArgumentParser(program("data.audit"), description=description)
    parser.add_argument("root", metavar="ROOT", help="data folder, in any supported layout")
    parser.add_argument("--output", default="audit", metavar="DIR", help="output folder (default: %(default)s)")
    parser.add_argument(
        "--repair-masks", choices=get_args(Repair), default="auto", help="as data.repair_masks (default: %(default)s)"
    )
    parser.add_argument("--lesion-values", type=int, nargs="+", metavar="VALUE", help="as data.lesion_values")
    arguments = parser.parse_args(argv)
    audited = audit(arguments.root, repair_masks=arguments.repair_masks, lesion_values=arguments.lesion_values)
    from ham_keras.data.inspection.tables import report_audit

    return int(not report_audit(audited, Path(arguments.output)))


if __name__ == "__main__":
    run_command(main)
