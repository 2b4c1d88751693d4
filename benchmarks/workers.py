"""What a second worker gains in bulk prediction on Ray and in a shared search, and what millions of images would need.

    python benchmarks/workers.py RUN IMAGES [--limit 1024] [--trials 6] [--epochs 3]

Prediction: `ham_keras.predict` of the first `--limit` files of the folder IMAGES; speed excludes the first quarter,
which contains the start. Ray's workers take 64 files at a time, so with few files their shares differ. Search:
`python -m ham_keras.tune` on phantoms at 64x64, a chief and its workers on this machine, from the first trial's start
to the last one's end. Each worker is pinned to a core, so that the second brings its own core, as on another machine;
a single worker with two cores uses both.

Rows for 1 and 100 million images are extrapolated from one image: processor seconds and bytes on disk of the local
engine, the peak_mb of a Ray worker on one core, and what `predict` holds in memory of a table row until the end. 1 GB
is 10**9 bytes, 1 MB 2**20. Prints one table and writes benchmarks/results/workers/.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resident import PeakWatch
from side_by_side import Row, alone, measured, save

from ham_keras.data.folders import image_files
from ham_keras.files import save_json
from ham_keras.runs import load_run


def watch_prediction(run: str, images: Sequence[Path], *, workers: int | None, cores: int) -> dict[str, float]:
    """Predict to a temporary folder on this many cores, with Ray if `workers` is given. Call it with `alone`.

    Returns:
        images_per_second, cpu_seconds (of this process, per image): both after the first quarter.
        seconds: total time. bytes: size of mask, overlay and row per image. row_bytes: memory per row.
        peak_mb: of the largest process.
    """
    keep_to(cores)
    if workers:
        import ray

        ray.init(num_cpus=max(workers, cores), include_dashboard=False, log_to_driver=False, logging_level="warning")
    from ham_keras.predict import predict
    from ham_keras.prediction.folder import PredictionFolder

    cpu: list[float] = []
    rows: list[dict[str, Any]] = []
    add = PredictionFolder.add

    def add_and_measure(predictions: PredictionFolder, row: dict[str, Any]) -> None:
        add(predictions, row)
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu.append(used.ru_utime + used.ru_stime)
        rows.append(row)

    PredictionFolder.add = add_and_measure  # type: ignore[method-assign]
    engine = "ray" if workers else "local"
    with tempfile.TemporaryDirectory() as folder, PeakWatch(os.getpid()) as watch:
        start = time.perf_counter()
        predict(run, images, folder, engine=engine, workers=workers, visible=False)
        seconds = time.perf_counter() - start
        files = {path: path.stat() for path in Path(folder).rglob("*") if path.is_file()}
    # Use the times of the mask files: Ray returns rows late and in blocks.
    times = sorted(file.st_mtime for path, file in files.items() if path.name.endswith("_segmentation.png"))
    first, last = len(times) // 4, len(times) - 1
    return {
        "images_per_second": round((last - first) / (times[last] - times[first]), 3),
        "cpu_seconds": round((cpu[last] - cpu[first]) / (last - first), 5),
        "seconds": round(seconds, 1),
        "bytes": round(sum(file.st_size for file in files.values()) / len(times)),
        "row_bytes": held_bytes(rows),
        "peak_mb": round(watch.largest_mb),
    }


def held_bytes(rows: Sequence[dict[str, Any]]) -> int:
    """Return the memory that `predict` holds for one table row."""
    from ham_keras.prediction.rows import Rows

    lines = [json.dumps(row) for row in rows]
    tracemalloc.start()
    held = Rows()
    held.update((row["image_id"], row) for row in map(json.loads, lines))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(size / len(held))


def keep_to(cores: int) -> None:
    """Pin this process and its children to the first cores of the machine."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def trials_per_hour(*, workers: int, cores: int, trials: int, epochs: int) -> float:
    """Run a search on phantoms with a chief and workers, pinned to this many cores. Call it with `alone`."""
    from ham_keras.data.phantoms.dataset import draw_phantoms

    keep_to(cores)
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        draw_phantoms(Path(folder, "phantoms"), 160, 0, width_px=200, height_px=150)
        config = Path(folder, "tune.json")
        settings = {
            "run": {"name": "search", "dir": folder},
            "data": {"root": f"{folder}/phantoms", "image_size": 64},
            "augment": {"engine": "native"},
            "model": {"backbone": "resnet18", "encoder_weights": None},
            "train": {"epochs": epochs, "batch_size": 16},
            "search": {"algorithm": "random_search", "trials": trials},
            "space": {"train.learning_rate": {"log": [1e-4, 1e-2]}},
        }
        save_json(config, settings)
        address = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(free.getsockname()[1])}
        free.close()
        command = [sys.executable, "-m", "ham_keras.tune", str(config)]
        processes = [
            subprocess.Popen(command, env=os.environ | address | {"KERASTUNER_TUNER_ID": name}, stdout=sys.stderr)
            for name in ("chief", *(f"worker{number}" for number in range(workers)))
        ]
        try:
            start = _when(Path(folder, "search", "trials"), "trial_*/trial.json", 1, processes)
            end = _when(Path(folder, "search", "trials"), "trial_*/outcome.json", trials, processes)
            for process in processes:
                process.wait(120)
        finally:
            for process in processes:
                process.kill()
    return round(3600 * trials / (end - start), 1)


def _when(folder: Path, pattern: str, count: int, processes: Sequence[subprocess.Popen[bytes]]) -> float:
    """Wait for this many files and return the time."""
    while len(list(folder.glob(pattern))) < count:
        if any(process.poll() for process in processes):
            raise RuntimeError("a process of the search failed; its output is above")
        time.sleep(0.1)
    return time.perf_counter()


def needs(images: int, local: dict[str, float], worker_mb: float) -> list[Row]:
    """Extrapolate the needs of many images from those of one image and the memory of a worker."""
    core_hours = images * local["cpu_seconds"] / 3600
    cores = math.ceil(core_hours / 24)
    figures = [
        ("processor time", core_hours, "core-hours"),
        ("workers of a core that do it in a day", cores, "workers"),
        ("memory of these workers", cores * worker_mb * 2**20 / 1e9, "GB"),
        ("memory for the rows of one table", images * local["row_bytes"] / 1e9, "GB"),
        ("disk for masks, overlays, table", images * local["bytes"] / 1e9, "GB"),
    ]
    name = f"on paper, {images // 1_000_000} million images"
    return [measured(f"{name}: {what}", four_digits(value), goal=None, unit=unit) for what, value, unit in figures]


def four_digits(value: float) -> float:
    return float(f"{value:.4g}")


def speed_up(name: str, rows: Sequence[Row]) -> Row:
    return measured(f"{name}: 2 workers over 1", round(rows[1]["ours"] / rows[0]["ours"], 2), goal=None, unit="times")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the speed-up from a second worker.")
    parser.add_argument("run", metavar="RUN", help="a run folder, e.g. runs/base")
    parser.add_argument("images", metavar="IMAGES", type=Path, help="a folder of images")
    parser.add_argument("--limit", type=int, default=1024, help="maximum number of images (default: %(default)s)")
    parser.add_argument(
        "--trials", type=int, default=6, help="trials per search; 0 skips the search (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=int, default=3, help="epochs per trial (default: %(default)s)")
    args = parser.parse_args()
    images = list(image_files(args.images))[: args.limit]
    ways = {  # workers, cores
        "local engine, 2 cores": (None, 2),
        "Ray, 1 worker, 2 cores": (1, 2),
        "Ray, 1 worker, 1 core": (1, 1),
        "Ray, 2 workers, 2 cores": (2, 2),
    }
    rows = []
    for name, (workers, cores) in ways.items():
        found = alone(watch_prediction, run=args.run, images=images, workers=workers, cores=cores)
        rows.append(measured(f"predict, {name}", found.pop("images_per_second"), goal=None, unit="images/s", **found))
        if workers:
            del rows[-1]["cpu_seconds"]  # of the process that only collects results
    local = rows[0]
    rows.append(speed_up("predict on Ray", rows[2:4]))
    if args.trials:
        searches = []
        for workers in (1, 2):
            rate = alone(trials_per_hour, workers=workers, cores=workers, trials=args.trials, epochs=args.epochs)
            name = f"search, chief and {workers} worker{'s' * (workers > 1)}, {workers} core{'s' * (workers > 1)}"
            searches.append(measured(name, rate, goal=None, unit="trials/h"))
        rows += [*searches, speed_up("search", searches)]
    for millions in (1, 100):
        rows += needs(millions * 1_000_000, local, rows[2]["peak_mb"])
    model = load_run(args.run)[1].model_dump(include={"model": {"architecture", "backbone"}, "data": {"image_size"}})
    save("workers", rows, {"images": len(images), "trials": args.trials, "epochs": args.epochs, **model})


if __name__ == "__main__":
    main()
