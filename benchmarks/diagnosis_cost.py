"""How much longer does `predict` take with --diagnosis?

    python benchmarks/diagnosis_cost.py runs/base runs/diagnosis photos [--images 1000] [--rounds 3] [--tta]

Predicts the same images into new folders, with and without, alternately; prints the seconds and the median ratio, and
writes benchmarks/results/diagnosis_cost.json. The networks are loaded in each run. --tta averages the run's
probabilities over mirror images, as best.json does, whatever its config says.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ham_keras.data.folders import image_files
from ham_keras.environment import describe_environment
from ham_keras.files import save_json
from ham_keras.predict import predict
from ham_keras.runs import load_run
from ham_keras.settings import Outline

RESULTS = Path(__file__).parent / "results" / "diagnosis_cost.json"


def seconds(run: str, paths: Sequence[Path], diagnosis: str | None, outline: Outline) -> float:
    """The time of one prediction of all images."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        predict(run, paths, folder, outline, diagnosis=diagnosis, visible=False)
        return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("diagnosis")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tta", action="store_true", help="average over mirror images")
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    outline = load_run(args.run)[1].outline
    outline = outline.model_copy(update={"tta": True}) if args.tta else outline
    paths = list(image_files(args.photos))[: args.images]
    seconds(args.run, paths[:16], args.diagnosis, outline)  # reads files and traces graphs for the first time
    without, both = [], []
    for _ in range(args.rounds):
        without.append(seconds(args.run, paths, None, outline))
        both.append(seconds(args.run, paths, args.diagnosis, outline))
    ratio = median(both) / median(without)
    print(f"{len(paths)} images: {median(without):.1f} s, with --diagnosis {median(both):.1f} s, {ratio:.3f} times")
    found = {
        "images": len(paths),
        "tta": outline.tta,
        "seconds": without,
        "seconds_with_diagnosis": both,
        "ratio": ratio,
    }
    save_json(args.output, {"environment": describe_environment("CPU", "float32"), **found})


if __name__ == "__main__":
    main()
