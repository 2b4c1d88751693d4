"""Command-line arguments: runs, and flags for post-processing."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from ham_keras.errors import HamError
from ham_keras.prediction.ensemble import is_run_folder
from ham_keras.runs.named import list_models
from ham_keras.settings import Outline


def add_runs_argument(parser: argparse.ArgumentParser) -> None:
    """Add the positional arguments `runs`, one or more."""
    parser.add_argument(
        "runs", metavar="RUN", nargs="+",
        help="a run folder, e.g. runs/base, or a model's name; the probabilities of several runs, or of a "
             "cross-validation's folds, are averaged",
    )  # fmt: skip
    parser.add_argument("--list", action=_ListModels, nargs=0, help="list the models that have a name, and exit")


class _ListModels(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(list_models())
        parser.exit()


def split_inputs(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split `RUN [RUN ...] INPUT [INPUT ...]`: the first argument is a run, and so are the run folders after it.

    Raises:
        HamError: no inputs, or a run folder among them.
    """
    runs = [arguments[0], *takewhile(is_run_folder, arguments[1:])]
    inputs = list(arguments[len(runs) :])
    if not inputs:
        raise HamError(f"{runs[-1]}: the last argument; expected images after the runs, e.g. runs/base photos/")
    misplaced = next(filter(is_run_folder, inputs), None)
    if misplaced is not None:
        raise HamError(f"{misplaced}: a run after the image {inputs[0]}; give all runs before the images")
    return runs, inputs


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split runs and `section.key=value` overrides, in any order after the first run."""
    first, *others = arguments
    overrides = [each for each in others if "=" in each and not is_run_folder(each)]
    return [first, *(each for each in others if each not in overrides)], overrides


def add_outline_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --threshold, --tta, --keep and --fill-holes, all None by default: the run's settings then apply."""
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
