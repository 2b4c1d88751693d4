"""Compare two sets of scores of the same images with a paired bootstrap over lesions.

    python -m ham_keras.compare runs/base/scores/test/per_image.csv other/per_image.csv

The first file belongs to a run; the second only needs the columns image_id and jaccard_native.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.errors import program, run_command
from ham_keras.files import save_json
from ham_keras.scores.bootstrap import show_interval
from ham_keras.scores.pairing import pair_scores


def compare(ours: Path | str, theirs: Path | str, score: str = "jaccard_native") -> dict[str, Any]:
    """Compare the means of a score in two files, with 95 % intervals; see `scores.pairing.pair_scores`."""
    return pair_scores(ours, theirs, score)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("compare"), description="Compare two sets of scores of the same images, paired."
    )
    parser.add_argument("ours", help="a run's per_image.csv")
    parser.add_argument("theirs", help="another per_image.csv of the same images")
    parser.add_argument("--score", default="jaccard_native", help="the column to compare (default: jaccard_native)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the result as JSON")
    args = parser.parse_args(argv)
    result = compare(args.ours, args.theirs, args.score)
    print(f"{result['score']}, {result['images']} images of {result['lesions']} lesions, 95 % intervals")
    for name in ("ours", "theirs", "difference"):
        interval = show_interval(result[name]["interval"], result["lesions"], signed=True)
        print(f"  {name:12}{result[name]['mean']:+.4f}  {interval}")
    if args.output:
        save_json(args.output, result)
    return 0


if __name__ == "__main__":
    run_command(main)
