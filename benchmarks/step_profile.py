"""Where a training step's time goes: milliseconds by operation, beside what the machine could do at best.

    python benchmarks/step_profile.py [--backbones resnet34 mobilenet] [--precision float32 mixed_bfloat16]
        [--steps 5] [--without-peer]

The step is that of training_step.py. Times are those of TensorFlow's and torch's profilers, summed over an operation's
calls; TensorFlow's operations overlap, so together they exceed the step. Convolutions are compared with the measured
rate of a large matrix multiplication, everything else with memory bandwidth. Prints tables and writes
benchmarks/results/step_profile/.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from side_by_side import Row, alone, measured, save
from training_step import BATCH, SIZE, draw_batch, peer

from ham_keras.config import parse_config

if TYPE_CHECKING:  # functions import TensorFlow: the peer's process has torch, and both crash together
    import keras
    import tensorflow as tf

LISTED = 12  # number of operations in the table, longest first


def median_seconds(work: Callable[[], object], calls: int = 10) -> float:
    work()
    taken = []
    for _ in range(calls):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def multiplication_rate(dtype: tf.DType, side: int = 2048) -> float:
    """GFLOP/s of a square matrix multiplication, an upper bound for convolutions."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal([side, side]), dtype)
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    return 2 * side**3 / median_seconds(lambda: product().numpy()[0, 0]) / 1e9


def memory_rate(megabytes: int = 256) -> float:
    """GB/s read and written when doubling an array larger than any cache."""
    import tensorflow as tf

    array = tf.ones([megabytes * 2**18])
    double = tf.function(lambda: array * 2)
    return 2 * megabytes * 2**20 / median_seconds(lambda: double()[0].numpy()) / 1e9


def convolution_gflop(model: keras.Model) -> float:
    """GFLOP of all convolutions in one step: forward, and twice as many backward."""
    import keras

    model = next((layer for layer in model.layers if isinstance(layer, keras.Model)), model)  # after normalisation
    kinds = keras.layers.Conv2D, keras.layers.DepthwiseConv2D
    shapes = {layer.name: layer for layer in model.layers if isinstance(layer, kinds)}
    sizes = keras.Model(model.inputs, {name: layer.output for name, layer in shapes.items()})
    outputs = sizes.compute_output_shape((BATCH, SIZE, SIZE, 3))
    # A depthwise filter [height, width, channels, 1] has one input channel.
    window = {
        name: np.prod(
            layer.kernel.shape[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else layer.kernel.shape[:3]
        )
        for name, layer in shapes.items()
    }
    forward = sum(2 * np.prod(outputs[name]) * window[name] for name in shapes)
    return float(3 * forward / 1e9)


def profile(step: Callable[[], object], steps: int) -> dict[str, tuple[float, float]]:
    """Return milliseconds and calls per step for each operation."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(steps):
            step()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    picoseconds: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name, _, operation = plane.event_metadata[event.metadata_id].name.partition(":")
                if (
                    "/" in name and operation and ":" not in operation
                ):  # graph nodes are named path/of/the/node:Operation
                    picoseconds[operation] += event.duration_ps
                    calls[operation] += 1
    return {name: (picoseconds[name] / steps / 1e9, calls[name] / steps) for name, _ in picoseconds.most_common()}


def profile_peer(precision: str, backbone: str, steps: int) -> tuple[float, dict[str, tuple[float, float]]]:
    """Return the seconds of a step, and milliseconds and calls per step for each operation, without those it calls."""
    import torch

    step = peer(precision, compiled=False, backbone=backbone)
    seconds = median_seconds(step)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            step()
    operations = sorted(profiler.key_averages(), key=lambda operation: -operation.self_cpu_time_total)
    return seconds, {
        operation.key: (operation.self_cpu_time_total / 1000 / steps, operation.count / steps)
        for operation in operations
    }


def profile_ours(precision: str, backbone: str, steps: int) -> list[Row]:
    import tensorflow as tf

    from ham_keras.training.compiled import build_compiled_model

    config = parse_config({"model": {"backbone": backbone, "encoder_weights": None}}, "benchmark")
    model = build_compiled_model(config, precision, 100)
    batches = iter(tf.data.Dataset.from_tensors(draw_batch(BATCH, SIZE)).cache().repeat().prefetch(2))
    model.make_train_function()

    def step() -> float:
        return float(model.train_function(batches)["loss"])

    step()
    seconds = median_seconds(step)
    operations = profile(step, steps)
    convolving = sum(ms for name, (ms, _) in operations.items() if "Conv2D" in name or "DepthwiseConv" in name)
    gflop = convolution_gflop(model)
    dtype = tf.bfloat16 if precision == "mixed_bfloat16" else tf.float32
    facts = [
        ("matrix multiplication", multiplication_rate(dtype), "GFLOP/s"),
        ("convolutions of a step", gflop, "GFLOP"),
        ("a step", 1000 * seconds, "ms"),
        ("convolutions, rate over the whole step", gflop / seconds, "GFLOP/s"),
        ("all operations together", sum(ms for ms, _ in operations.values()), "ms"),
        ("convolutions", convolving, "ms"),
    ]
    prefix = f"{backbone}, {precision}:"
    rows = [row_of(f"{prefix} {name}", value, unit) for name, value, unit in facts]
    return rows + list_operations(prefix, operations)


def row_of(name: str, value: float, unit: str, **others: Any) -> Row:
    return measured(name, float(f"{value:.4g}"), goal=None, unit=unit, **others)


def list_operations(prefix: str, operations: Mapping[str, tuple[float, float]]) -> list[Row]:
    longest = list(operations.items())[:LISTED]
    return [
        row_of(f"{prefix}   {name.removeprefix('_MklNative')}", ms, "ms", calls=calls) for name, (ms, calls) in longest
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Show where a training step's time goes.")
    parser.add_argument("--backbones", nargs="+", choices=("resnet34", "mobilenet"), default=["resnet34", "mobilenet"])
    parser.add_argument("--precision", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--without-peer", action="store_true", help="profile only ours; does not need torch")
    args = parser.parse_args()
    rows: list[Row] = [measured("memory, read and written", round(memory_rate(), 1), goal=None, unit="GB/s")]
    for backbone, precision in itertools.product(args.backbones, args.precision):
        rows += profile_ours(precision, backbone, args.steps)
        if not args.without_peer:
            prefix = f"peer, {backbone}, {precision}:"
            seconds, operations = alone(profile_peer, precision=precision, backbone=backbone, steps=args.steps)
            theirs = [row_of(f"{prefix} a step", 1000 * seconds, "ms"), *list_operations(prefix, operations)]
            rows += [row | {"ours": None, "peer": row["ours"]} for row in theirs]
    save("step_profile", rows, {"batch": BATCH, "size_px": SIZE, "steps": args.steps})


if __name__ == "__main__":
    main()
