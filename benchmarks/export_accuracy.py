"""What reduced precision in an export costs in accuracy: OpenVINO on a test split.

    python benchmarks/export_accuracy.py runs/base [--data HAM10000]

Scores the run's test images at the masks' own size with its network in float32 and with its OpenVINO export, in float32
and in OpenVINO's default (bfloat16 where the CPU supports it). Prints mean Jaccard and the paired difference (bootstrap
over lesions) and writes benchmarks/results/export_accuracy.json.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import tensorflow as tf

from ham_keras.data.records import find_records
from ham_keras.data.splits import load_split, select
from ham_keras.environment import describe_environment
from ham_keras.files import save_json
from ham_keras.models.loading import load_model
from ham_keras.prediction.evaluation import evaluate_images
from ham_keras.prediction.predictor import Predictor
from ham_keras.runs import load_run
from ham_keras.scores.bootstrap import bootstrap_interval
from ham_keras.serving.formats import write_openvino

HINTS = {"OpenVINO, float32": {"INFERENCE_PRECISION_HINT": "f32"}, "OpenVINO, its own choice": {}}
Network = Callable[..., tf.Tensor]


def in_openvino(path: Path, hints: dict[str, str]) -> Network:
    compiled = openvino.Core().compile_model(str(path), "CPU", hints)

    def network(images: tf.Tensor, training: bool) -> tf.Tensor:
        probability = tf.numpy_function(lambda batch: compiled(batch)[0], [images], tf.float32)
        probability.set_shape([*images.shape[:3], 1])
        return probability

    print(f"OpenVINO computes in {compiled.get_property('INFERENCE_PRECISION_HINT').to_string()}")
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how an export's precision affects accuracy.")
    parser.add_argument("run", help="a finished run, e.g. runs/base")
    parser.add_argument("--data", help="new location of the run's images, if they have moved")
    args = parser.parse_args()
    run, config = load_run(args.run)
    records = find_records(args.data or str(config.data.root)).records
    records = select(records, load_split(run.split)["test"], f"{run.split}: test")
    model = load_model(run, config)
    with tempfile.TemporaryDirectory() as folder:
        write_openvino([(model, config.data)], config.outline, Path(folder), "network")
        networks: dict[str, Network] = {"run, float32": model}
        networks |= {name: in_openvino(Path(folder, "network.xml"), hints) for name, hints in HINTS.items()}
        scores = {}
        for name, network in networks.items():
            predictor = Predictor([(network, config.data)], config.outline)
            scores[name] = np.array([row["jaccard_native"] for row, _, _ in evaluate_images(predictor, records)])
    rows: list[dict[str, Any]] = []
    for name, values in scores.items():
        difference = values - scores["run, float32"]
        low, high = bootstrap_interval(difference, [record.lesion_id for record in records])
        rows.append(
            {
                "name": name,
                "jaccard": float(values.mean()),
                "difference": float(difference.mean()),
                "interval": [low, high],
                "largest_change_of_an_image": float(np.abs(difference).max()),
            }
        )
        print(f"{name:28}{values.mean():8.4f}   {difference.mean():+.5f} ({low:+.5f} to {high:+.5f})")
    setting = {"images": len(records), **config.model_dump(include={"model": {"backbone"}, "data": {"image_size"}})}
    environment = describe_environment("CPU", "float32")
    save_json(
        Path("benchmarks/results/export_accuracy.json"), {"setting": setting, "rows": rows, "environment": environment}
    )


if __name__ == "__main__":
    main()
