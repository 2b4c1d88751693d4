"""What reduced precision in an export costs in accuracy: OpenVINO and LiteRT on a test split.

    python benchmarks/export_accuracy.py runs/base [--data HAM10000]

Scores the run's test images at the masks' own size with its network in float32 and with its exports: OpenVINO in
float32, in its default (bfloat16 where the CPU supports it) and quantised to int8, and LiteRT in float16 and int8. int8
is calibrated on the run's training images, as by `export`. Prints mean Jaccard and the paired difference (bootstrap
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
from ham_keras.environment import cpu_threads, describe_environment
from ham_keras.files import save_json
from ham_keras.models.loading import load_model
from ham_keras.prediction.ensemble import load_ensemble
from ham_keras.prediction.evaluation import evaluate_images
from ham_keras.prediction.predictor import Predictor
from ham_keras.runs import load_run
from ham_keras.scores.bootstrap import bootstrap_interval
from ham_keras.serving.formats import write_litert, write_openvino
from ham_keras.serving.representative import find_representative, read_representative

FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
IN_OPENVINO: dict[str, tuple[str, dict[str, str]]] = {  # file and hints
    "OpenVINO, float32": ("float32", FLOAT32),
    "OpenVINO, its own choice": ("float32", {}),
    "OpenVINO, int8": ("int8", {}),
}
IN_LITERT = {"LiteRT, float16": "float16", "LiteRT, int8": "int8"}
Network = Callable[..., tf.Tensor]


def in_openvino(path: Path, hints: dict[str, str]) -> Network:
    compiled = openvino.Core().compile_model(str(path), "CPU", hints)

    print(f"OpenVINO computes in {compiled.get_property('INFERENCE_PRECISION_HINT').to_string()}")
    one_by_one = compiled.input(0).partial_shape[0].is_static  # an int8 network takes one image

    def answer(batch: np.ndarray) -> np.ndarray:
        parts = np.split(batch, len(batch)) if one_by_one else [batch]
        return np.concatenate([compiled(part)[0].copy() for part in parts])  # the next call overwrites it

    return as_network(answer)


def in_litert(path: Path) -> Network:
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(path), num_threads=cpu_threads()).get_signature_runner("serving_default")

    def answer(batch: np.ndarray) -> np.ndarray:
        return np.concatenate([run(image=image[None].astype(np.uint8))["probability"] for image in batch])

    return as_network(answer)


def as_network(answer: Callable[[np.ndarray], np.ndarray]) -> Network:
    def network(images: tf.Tensor, training: bool) -> tf.Tensor:
        probability = tf.numpy_function(answer, [images], tf.float32)
        probability.set_shape([*images.shape[:3], 1])
        return probability

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
    ensemble = load_ensemble(args.run, [f"data.root={args.data}"] if args.data else [])
    training = find_representative(ensemble)
    images = read_representative(ensemble, training)
    with tempfile.TemporaryDirectory() as folder:
        members, outline = [(model, config.data)], config.outline
        write_openvino(members, outline, Path(folder), "float32")
        write_openvino(members, outline, Path(folder), "int8", images=images)
        for precision in IN_LITERT.values():
            given = images if precision == "int8" else None
            write_litert(members, outline, Path(folder), precision, precision=precision, images=given)
        networks: dict[str, Network] = {"run, float32": model}
        for name, (file, hints) in IN_OPENVINO.items():
            networks[name] = in_openvino(Path(folder, f"{file}.xml"), hints)
        networks |= {name: in_litert(Path(folder, f"{file}.tflite")) for name, file in IN_LITERT.items()}
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
    setting = {
        "images": len(records),
        "calibrated_on": len(training),
        **config.model_dump(include={"model": {"backbone"}, "data": {"image_size"}}),
    }
    environment = describe_environment("CPU", "float32")
    save_json(
        Path("benchmarks/results/export_accuracy.json"), {"setting": setting, "rows": rows, "environment": environment}
    )


if __name__ == "__main__":
    main()
