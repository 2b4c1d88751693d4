"""Call an exported model's signatures from many threads, as a server does, and compare every result.

    python benchmarks/load.py export/base/1 [--calls 2000] [--threads 16] [--broken 0.02]

Images of mixed sizes, some of them broken, go to three signatures. Each result must equal that of a single thread,
each broken image must fail, and memory must not grow. Prints the figures and writes benchmarks/results/load.json.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from resident import rss_mb

from ham_keras.environment import describe_environment
from ham_keras.files import load_json, save_json

SIZES = ((450, 600), (300, 400), (768, 1024), (64, 48), (1, 1))
BROKEN = b"\xff\xd8\xff\xe0 cut short"


def make_requests(model: Path, count: int, broken: float) -> list[tuple[str, dict[str, tf.Tensor], bool]]:
    """Return deterministic requests: (signature, inputs, whether it must fail)."""
    rng = np.random.default_rng(0)
    described = load_json(model / "assets.extra" / "metadata.json")["signatures"]
    _, height_px, width_px, _ = described["serve_network"]["inputs"]["images"]["shape"]
    made: list[tuple[str, dict[str, tf.Tensor], bool]] = []
    for number in range(count):
        size = SIZES[number % len(SIZES)]
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        if rng.random() < broken:
            made.append(("serve_bytes", {"image_bytes": tf.constant([BROKEN])}, True))
        elif number % 3 == 0:
            made.append(("serve_bytes", {"image_bytes": tf.io.encode_jpeg(image)[None]}, False))
        elif number % 3 == 1:
            made.append(("serving_default", {"images": tf.constant(image[None])}, False))
        else:
            small = rng.uniform(0, 255, (1, height_px, width_px, 3)).astype(np.float32)
            made.append(("serve_network", {"images": tf.constant(small)}, False))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Call an exported model's signatures from many threads.")
    parser.add_argument("model", type=Path, help="a version folder, e.g. export/base/1")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--broken", type=float, default=0.02)
    parser.add_argument("--distinct", type=int, default=120, help="number of distinct requests, which are repeated")
    args = parser.parse_args()
    signatures = tf.saved_model.load(str(args.model)).signatures
    requests = make_requests(args.model, args.distinct, args.broken)

    def call(number: int) -> dict[str, Any] | None:
        name, inputs, _ = requests[number % len(requests)]
        try:
            return {key: value.numpy() for key, value in signatures[name](**inputs).items()}
        except tf.errors.InvalidArgumentError:
            return None

    alone = [call(number) for number in range(len(requests))]
    assert [answer is None for answer in alone] == [must_fail for _, _, must_fail in requests]
    different, largest, memory = 0, 0.0, [rss_mb()]
    start = time.perf_counter()
    with ThreadPoolExecutor(args.threads) as pool:
        for number, answer in enumerate(pool.map(call, range(args.calls))):
            expected = alone[number % len(requests)]
            if (answer is None) != (expected is None):
                different += 1
            elif answer is not None and expected is not None:
                largest = max(largest, float(np.abs(answer["probability"] - expected["probability"]).max()))
                different += any(not np.array_equal(answer[key], expected[key]) for key in expected)
            if number % (args.calls // 4) == args.calls // 4 - 1:
                memory.append(rss_mb())
    seconds = time.perf_counter() - start
    result = {
        "calls": args.calls,
        "threads": args.threads,
        "failed_as_they_must": sum(alone[number % len(requests)] is None for number in range(args.calls)),
        "answers_that_differ": different,
        "largest_difference": largest,
        "rss_mb_at_start_and_each_quarter": [round(value) for value in memory],
        "calls_per_second": round(args.calls / seconds, 1),
    }
    for key, value in result.items():
        print(f"{key:34}{value}")
    environment = describe_environment("CPU", "float32")
    save_json(Path("benchmarks/results/load.json"), {**result, "environment": environment})


if __name__ == "__main__":
    main()
