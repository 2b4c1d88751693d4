"""What frozen weights gain: the exported signature against the same network with its weights as variables.

    python benchmarks/freeze.py [--backbone resnet34] [--size 128] [--batch 1 16] [--rounds 30]

Both are saved, loaded and called alternately, in float32. Prints milliseconds and ratios of medians, and writes
benchmarks/results/freeze.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ham_keras.environment import describe_environment
from ham_keras.files import save_json
from ham_keras.models.build import build_model
from ham_keras.serving.signatures import freeze, serve_network
from ham_keras.settings import Model


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the speed-up from frozen weights.")
    parser.add_argument("--backbone", default="resnet34")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    model = build_model(Model(backbone=args.backbone, encoder_weights=None))
    with tempfile.TemporaryDirectory() as folder:
        frozen, variables = f"{folder}/frozen", f"{folder}/variables"
        network = freeze(model, args.size, args.size)
        tf.saved_model.save(tf.Module(), frozen, signatures=serve_network(network, args.size, args.size))
        module = tf.Module()
        module.model = model
        traced = serve_network(lambda images: model(images, training=False)[..., 0], args.size, args.size)
        tf.saved_model.save(module, variables, signatures=traced)
        loaded = {name: tf.saved_model.load(path) for name, path in (("frozen", frozen), ("variables", variables))}
    calls = {name: one.signatures["serving_default"] for name, one in loaded.items()}
    rows: list[dict[str, Any]] = []
    for batch in args.batch:
        images = tf.constant(np.random.default_rng(0).uniform(0, 255, (batch, args.size, args.size, 3)), tf.float32)
        answers = {name: call(images=images)["probability"].numpy() for name, call in calls.items()}
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(args.rounds):
            for name, call in calls.items():
                start = time.perf_counter()
                call(images=images)["probability"].numpy()
                seconds[name].append(time.perf_counter() - start)
        medians = {name: float(np.median(values)) for name, values in seconds.items()}
        row = {
            "batch": batch,
            **{f"{name}_ms": round(1000 * value, 2) for name, value in medians.items()},
            "ratio": round(medians["variables"] / medians["frozen"], 3),
            "largest_difference": float(np.abs(answers["frozen"] - answers["variables"]).max()),
        }
        rows.append(row)
        print(row)
    setting = {"backbone": args.backbone, "size_px": args.size, "rounds": args.rounds}
    environment = describe_environment("CPU", "float32")
    save_json(Path("benchmarks/results/freeze.json"), {"setting": setting, "rows": rows, "environment": environment})


if __name__ == "__main__":
    main()
