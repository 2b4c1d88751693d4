"""Command-line flags for post-processing. A flag that is not given keeps the setting of the run's config."""

from __future__ import annotations

import argparse
import contextlib

from ham_keras.settings import Outline


def add_outline_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --threshold, --tta, --keep and --fill-holes, all None by default."""
    parser.add_argument(
        "--threshold", type=parse_threshold, metavar="T", help="pixels above it are lesion (default: the run's)"
    )
    parser.add_argument(
        "--tta", action=argparse.BooleanOptionalAction, help="average over the image and its mirror images"
    )
    parser.add_argument(
        "--keep", choices=("largest", "all"), help="parts of the lesion to keep (default: the run's setting)"
    )
    parser.add_argument("--fill-holes", action=argparse.BooleanOptionalAction, help="fill holes in the lesion")


def outline_from_arguments(args: argparse.Namespace, outline: Outline) -> Outline:
    """Return `outline` with the settings given as flags replaced."""
    keep_largest = None if args.keep is None else args.keep == "largest"
    given = {"threshold": args.threshold, "tta": args.tta, "keep_largest": keep_largest, "fill_holes": args.fill_holes}
    return outline.model_copy(update={name: value for name, value in given.items() if value is not None})


def parse_threshold(text: str) -> float:
    """Parse a number between 0 and 1, exclusive."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text}")
