"""Scoring images with `evaluate`, this checkout against another: seconds, and whether the rows are the same.

    python benchmarks/evaluate.py runs/base [--against ../other-checkout] [--limit 400] [--rounds 5]

From files to the rows of per_image.csv, on the run's test images, without start-up. `without the network` gives each
image the same probabilities instead of the network's: what is left is reading, preprocessing and scoring. Processor
seconds are of all threads and hardly depend on what else the machine does. The sides take turns, each in a fresh
process. Prints one table and writes benchmarks/results/evaluate/; fails if the rows differ in a digit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import Row, compare, measured, save, show

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 16  # images
SCORE = f"""
import hashlib, json, sys, time
import numpy as np
from ham_keras.data.records import find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import load_split, select
from ham_keras.prediction.evaluation import evaluate_images
from ham_keras.prediction.predictor import Answer, load_predictor
from ham_keras.runs import load_run

folder, limit, with_network = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
run, config = load_run(folder)
records = decide_masks(find_records(str(config.data.root)).records)
records = select(records, load_split(run.split)["test"][:limit], "test")
predictor = load_predictor(folder)
if not with_network:
    answer = Answer((np.random.default_rng(0).random((*config.data.image_size, 1), np.float32),))
    predictor._answers = lambda small: [answer] * len(small)
list(evaluate_images(predictor, records[:{WARM_UP}], visible=False))
start, busy = time.perf_counter(), time.process_time()
rows = [row for row, _, _ in evaluate_images(predictor, records, visible=False)]
found = {{"seconds": time.perf_counter() - start, "processor": time.process_time() - busy, "images": len(rows)}}
print(json.dumps(found | {{"rows": hashlib.sha256(json.dumps(rows).encode()).hexdigest()}}))
"""


def score(checkout: Path, run: str, limit: int, with_network: bool) -> dict[str, Any]:
    line = [sys.executable, "-c", SCORE, run, str(limit), str(with_network)]
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve())}
    done = subprocess.run(line, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast evaluate scores images.")
    parser.add_argument("run", metavar="RUN", help="a finished run, e.g. runs/base")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout of this repository")
    parser.add_argument("--limit", type=int, default=400, help="maximum number of images (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    sides = {"ours": ROOT} | ({"before": args.against} if args.against else {})
    rows: list[Row] = []
    for title, with_network in (("with the network", True), ("without the network", False)):
        rounds = [
            {side: score(checkout, args.run, args.limit, with_network) for side, checkout in sides.items()}
            for _ in range(args.rounds)
        ]
        if len({found["rows"] for turn in rounds for found in turn.values()}) > 1:
            raise RuntimeError(f"{title}: the rows differ")
        images = rounds[0]["ours"]["images"]
        for name, key in ((title, "seconds"), (f"{title}, processor time", "processor")):
            how: dict[str, Any] = {"unit": "images/s", "goal": None}
            spent = {side: np.array([[turn[side][key]] for turn in rounds]) for side in sides}
            if args.against:
                rows.append(compare(name, spent["ours"], spent["before"], images=images, **how))
            else:
                rows.append(measured(name, show(spent["ours"], "images/s", images), **how))
    save("evaluate", rows, {"images": images, "rounds": args.rounds}, columns=("ours", "before"))


if __name__ == "__main__":
    main()
