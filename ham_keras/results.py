"""Maintain a table of results: add a run's row to a JSON file and print the table as Markdown.

    python -m ham_keras.results docs/results.json runs/base --name "ham_keras, random weights" --split NAME
    python -m ham_keras.results docs/results.json --per-image other/per_image.csv --lesions runs/base --name ...
    python -m ham_keras.results docs/results.json

A run's row is read from its folder. For scores made elsewhere, options provide what their CSV does not contain.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ham_keras.errors import program, run_command
from ham_keras.scores.table import Row, add_row, load_table, markdown, row_of_run, row_of_scores


def results(table: Path, row: Row | None = None) -> str:
    """Add a row, if given, to a table of results and return the table as Markdown.

    Raises:
        HamError: the file is not a table of results.
    """
    if row is not None:
        add_row(table, row)
    return markdown(load_table(table))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=program("results"), description="Maintain a table of results.")
    parser.add_argument("table", type=Path, help="the JSON file, e.g. docs/results.json")
    parser.add_argument("run", nargs="?", help="a finished run to add, or a cross-validation: its ensemble")
    parser.add_argument("--name", help="the row's name")
    parser.add_argument("--split", help="the name of the split")
    parser.add_argument("--set", default="test", help="the scored set of the run: test, or a name given to evaluate")
    parser.add_argument("--per-image", help="add scores made elsewhere: their per_image.csv")
    parser.add_argument("--lesions", metavar="RUN", help="with --per-image: a run scored on the same images")
    for option in ("config", "weights", "hardware", "date"):
        parser.add_argument(f"--{option}", help=f"with --per-image: the row's {option}")
    parser.add_argument("--minutes", type=float, help="with --per-image: the training time in minutes")
    args = parser.parse_args(argv)
    if (args.run or args.per_image) and not args.name:
        parser.error("--name is needed to add a row")
    if args.per_image and None in (args.lesions, args.minutes, args.split):
        parser.error("--per-image needs --lesions RUN, --minutes and --split")
    row: Row | None = None
    if args.run:
        row = {"name": args.name, **row_of_run(args.run, args.split, args.set)}
    elif args.per_image:
        given = {key: getattr(args, key) for key in ("config", "weights", "split", "minutes", "hardware", "date")}
        row = {"name": args.name, **given, **row_of_scores(args.per_image, args.lesions)}
    print(results(args.table, row))
    return 0


if __name__ == "__main__":
    run_command(main)
