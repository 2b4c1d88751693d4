"""Time the outline's post-processing of a mask: OpenCV, as `predict` uses it, and the operations that are exported.

    python benchmarks/outline.py

Masks of 600x450 pixels: a disc, a lesion with holes and islands, and the hardest shapes, horizontal and
vertical serpentines and noise. Prints milliseconds (median) and writes benchmarks/results/outline.json.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

from ham_keras.environment import describe_environment
from ham_keras.files import save_json
from ham_keras.prediction import postprocessing as opencv
from ham_keras.serving import postprocessing as exported

HEIGHT_PX, WIDTH_PX = 450, 600
REPEATS = 31


def shapes() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    disc = (y - HEIGHT_PX / 2) ** 2 + (x - WIDTH_PX / 2) ** 2 < 150**2
    rough = cv2.GaussianBlur(rng.normal(size=disc.shape), (0, 0), 8)
    return {
        "disc": disc,
        "holes and islands": (rough > np.percentile(rough, 60)) | (disc & (rough > np.percentile(rough, 30))),
        "lying serpentine": serpentine(HEIGHT_PX, WIDTH_PX),
        "standing serpentine": serpentine(WIDTH_PX, HEIGHT_PX).T,
        "noise": rng.random(disc.shape) < 0.5,
    }


def serpentine(height: int, width: int) -> np.ndarray:
    lesion = np.zeros((height, width), bool)
    lesion[::4] = True
    for turn, row in enumerate(range(2, height - 2, 4)):
        lesion[row - 1 : row + 2, 0 if turn % 2 else -1] = True
    return lesion


def milliseconds(work: Callable[[], Any]) -> float:
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(times), 2)


def main() -> None:
    rows: list[dict[str, Any]] = []
    spec = [tf.TensorSpec([None, None], tf.bool)]
    for name, lesion in shapes().items():
        mask, tensor = np.ascontiguousarray(lesion, np.uint8), tf.constant(lesion)
        row: dict[str, Any] = {"mask": name}
        for step in ("fill_holes", "keep_largest"):
            ours, graph = getattr(opencv, step), tf.function(getattr(exported, step), input_signature=spec)
            assert ((ours(mask) > 0) == graph(tensor).numpy()).all()
            row[f"{step}_opencv_ms"] = milliseconds(lambda ours=ours, mask=mask: ours(mask))
            row[f"{step}_exported_ms"] = milliseconds(lambda graph=graph, tensor=tensor: graph(tensor).numpy())
        rows.append(row)
        print(row)
    setting = {"height_px": HEIGHT_PX, "width_px": WIDTH_PX, "repeats": REPEATS}
    environment = describe_environment("CPU", "float32")
    save_json(Path("benchmarks/results/outline.json"), {"setting": setting, "rows": rows, "environment": environment})


if __name__ == "__main__":
    main()
