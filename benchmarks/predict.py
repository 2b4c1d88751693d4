"""Predict every image of a folder and record speed and memory.

    python benchmarks/predict.py runs/base path/to/ham10000/images

Masks, overlays and table go to a temporary folder. Prints images/s and the process' memory after each tenth of the
images and writes benchmarks/results/predict.json.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

from resident import rss_mb

from ham_keras.environment import describe_environment
from ham_keras.files import save_json
from ham_keras.predict import predict
from ham_keras.prediction.folder import PredictionFolder
from ham_keras.prediction.inputs import find_inputs
from ham_keras.runs import load_run

PARTS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description="Predict a folder and record speed and memory.")
    parser.add_argument("run", help="a run folder, e.g. runs/base")
    parser.add_argument("images", type=Path, help="a folder of images")
    args = parser.parse_args()
    model = load_run(args.run)[1].model_dump(include={"model": {"architecture", "backbone"}, "data": {"image_size"}})
    with tempfile.TemporaryDirectory() as folder:
        count = len(find_inputs([args.images], PredictionFolder(Path(folder))).ids)
        memory, times = [], [time.perf_counter()]
        add = PredictionFolder.add

        def add_and_measure(predictions: PredictionFolder, row: dict[str, Any]) -> None:
            add(predictions, row)
            if len(predictions.rows) % (count // PARTS) == 0:
                memory.append(round(rss_mb()))
                times.append(time.perf_counter())

        PredictionFolder.add = add_and_measure  # type: ignore[method-assign]
        outcome = predict(args.run, [args.images], folder)
    seconds = [later - earlier for earlier, later in itertools.pairwise(times)]
    result = {
        **model,
        "images": outcome.predicted,
        "failed": len(outcome.failures),
        "rss_mb_after_each_tenth": memory,
        # The first tenth includes the start-up.
        "images_per_second_of_each_tenth_but_the_first": [round(count // PARTS / part, 1) for part in seconds[1:]],
    }
    for key, value in result.items():
        print(f"{key:48}{value}")
    save_json(
        Path("benchmarks/results/predict.json"), {**result, "environment": describe_environment("CPU", "float32")}
    )


if __name__ == "__main__":
    main()
