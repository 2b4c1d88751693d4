"""Compare two sets of scores of the same images with a paired bootstrap over lesions.

    python -m ham_keras.compare runs/base/scores/test/per_image.csv other/per_image.csv
    python -m ham_keras.compare runs/diagnosis/scores/test/per_image.csv runs/whole/scores/test/per_image.csv

The first file belongs to a run; the second only needs the columns image_id and jaccard_native. Tables of diagnoses are
compared by their probabilities.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.diagnosis.pairing import pair_diagnoses
from ham_keras.errors import program, run_command
from ham_keras.files import save_json
from ham_keras.files.outputs import check_output
from ham_keras.scores.bootstrap import show_interval
from ham_keras.scores.pairing import pair_scores, read_scores


def compare(ours: Path | str, theirs: Path | str, score: str = "jaccard_native") -> dict[str, Any]:
    """Compare the means of a score in two files, with 95 % intervals; see `scores.pairing.pair_scores`."""
    return pair_scores(ours, theirs, score)


def is_of_diagnoses(path: Path | str) -> bool:
    """Whether a table has probabilities of diagnoses and no Jaccard index."""
    columns = next(iter(read_scores(path, ()).values()), {})
    return "jaccard_native" not in columns and any(name.startswith("p_") for name in columns)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("compare"), description="Compare two sets of scores of the same images, paired."
    )
    parser.add_argument("ours", help="a run's per_image.csv")
    parser.add_argument("theirs", help="another per_image.csv of the same images")
    parser.add_argument(
        "--score", help="the column to compare (default: jaccard_native; the scores of tables of diagnoses)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write the result as JSON")
    args = parser.parse_args(argv)
    if args.output:
        check_output(args.output, [args.ours, args.theirs])
    if args.score is None and is_of_diagnoses(args.ours):
        result = pair_diagnoses(Path(args.ours), Path(args.theirs))
        print(f"{result['images']} images of {result['lesions']} lesions, 95 % intervals of the difference\n")
        print(f"{'':32}{'ours':>8}{'theirs':>8}{'difference':>12}")
        for name, score in result["scores"].items():
            difference = score["difference"]
            if difference["value"] is not None:
                interval = show_interval(difference["interval"], result["lesions"], signed=True)
                values = f"{score['ours']:8.4f}{score['theirs']:8.4f}{difference['value']:+12.4f}"
                print(f"{name.replace('_', ' '):32}{values}  {interval}")
    else:
        result = compare(args.ours, args.theirs, args.score or "jaccard_native")
        print(f"{result['score']}, {result['images']} images of {result['lesions']} lesions, 95 % intervals")
        for name in ("ours", "theirs", "difference"):
            interval = show_interval(result[name]["interval"], result["lesions"], signed=True)
            print(f"  {name:12}{result[name]['mean']:+.4f}  {interval}")
    if args.output:
        save_json(args.output, result)
    return 0


if __name__ == "__main__":
    run_command(main)
