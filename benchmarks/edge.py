"""The size and speed of a LiteRT export: U-Net with MobileNet, in each precision.

    python benchmarks/edge.py [--size 128] [--rounds 10]

One image, in the interpreter that devices use (ai_edge_litert, with XNNPACK), on one thread and on as many as there are
cores; and its processor time on one, which hardly depends on what else the machine does. Weights are random, and int8
is calibrated on noise: size and speed do not depend on it, accuracy does (export_accuracy.py). 1 MB is 10**6 bytes.
Prints one table and writes benchmarks/results/edge/.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from inference import CALIBRATION_IMAGES, NAME, build, draw_images
from side_by_side import Contestant, Row, Work, alone, alternate, measured, save, show

from ham_keras.environment import cpu_threads

BACKBONE = "mobilenet"
PRECISIONS = ("float32", "float16", "int8")
GOAL_MB = {"int8": 10}
CALLS = 5  # per round


def export(folder: Path, size_px: int) -> None:
    from ham_keras.serving.formats import write_litert

    model, config = build(size_px, BACKBONE)
    noise = (255 * draw_images(CALIBRATION_IMAGES, size_px)).astype(np.uint8)
    for precision in PRECISIONS:
        images = noise if precision == "int8" else None
        members = [(model, config.data)]
        write_litert(members, config.outline, folder / precision, NAME, precision=precision, images=images)


def infer(path: Path, size_px: int, threads: int) -> Work:
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(path), num_threads=threads).get_signature_runner("serving_default")
    image = (255 * draw_images(1, size_px)).astype(np.uint8)
    return lambda: run(image=image)["probability"]


def processor_ms(path: Path, size_px: int, calls: int = 50) -> float:
    """Processor time of one image on one thread. Call it with `alone`."""
    work = infer(path, size_px, threads=1)
    work()
    start = time.process_time()
    for _ in range(calls):
        work()
    return 1000 * (time.process_time() - start) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the size and speed of LiteRT exports.")
    parser.add_argument("--size", type=int, default=128, help="size of the image, in pixels")
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        alone(export, folder=Path(name), size_px=args.size)
        files = {precision: Path(name, precision, f"{NAME}.tflite") for precision in PRECISIONS}
        for precision, path in files.items():
            megabytes = round(path.stat().st_size / 1e6, 2)
            rows.append(measured(f"{precision}: size", megabytes, goal=GOAL_MB.get(precision), unit="MB"))
        for precision, path in files.items():
            busy = alone(processor_ms, path=path, size_px=args.size)
            rows.append(measured(f"{precision}: processor time", float(f"{busy:.3g}"), goal=None, unit="ms"))
        for threads in sorted({1, cpu_threads()}):
            settings = {"size_px": args.size, "threads": threads}
            contestants = {kind: Contestant(infer, {"path": path, **settings}) for kind, path in files.items()}
            seconds = alternate(contestants, rounds=args.rounds, calls=CALLS, warm_up=3)
            title = f"{threads} thread{'s' * (threads > 1)}"
            rows += [measured(f"{k}: {title}", show(seconds[k], "ms"), goal=None, unit="ms") for k in PRECISIONS]
    save("edge", rows, {"backbone": BACKBONE, "size_px": args.size, "rounds": args.rounds, "calls_a_round": CALLS})


if __name__ == "__main__":
    main()
