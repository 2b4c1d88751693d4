"""The outline on the command line: a flag for each setting, and the run's config where there is none."""

from __future__ import annotations

import argparse
import contextlib

from ham_keras.settings import Outline


def add_outline_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --threshold, --tta, --keep and --fill-holes; all default to None, for the run's own."""
    parser.add_argument("--threshold", type=probability, metavar="T", help="lesion is above it (default: the run's)")
    parser.add_argument(
        "--tta", action=argparse.BooleanOptionalAction, help="average over the image and its mirror images"
    )
    parser.add_argument(
        "--keep", choices=("largest", "all"), help="parts of the lesion to keep (default: as in the run's config)"
    )
    parser.add_argument("--fill-holes", action=argparse.BooleanOptionalAction, help="count enclosed skin as lesion")


def chosen_outline(args: argparse.Namespace, outline: Outline) -> Outline:
    """The outline with what the flags say in its place."""
    keep_largest = None if args.keep is None else args.keep == "largest"
    given = {"threshold": args.threshold, "tta": args.tta, "keep_largest": keep_largest, "fill_holes": args.fill_holes}
    return outline.model_copy(update={name: value for name, value in given.items() if value is not None})


def probability(text: str) -> float:
    """A number between 0 and 1, both excluded."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text}")
