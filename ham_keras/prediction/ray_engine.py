"""Prediction in several processes with Ray Data, on this machine or on a cluster."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ham_keras.errors import HamError, OutOfMemoryError
from ham_keras.prediction.ensemble import Ensemble, load_ensemble
from ham_keras.prediction.folder import PredictionFolder
from ham_keras.settings import Outline

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise Ray sends usage statistics to its developers

BLOCK = 64  # images that a worker gets at a time, and that are repeated if it dies
CORES_PER_WORKER = 2  # that the network keeps busy
RAY_UNITS = 10_000  # of a GPU; Ray rounds to them, and three workers of 1/3, rounded up, would not fit on one


class Worker:
    """A Ray worker process: loads the networks once, then processes blocks of files."""

    def __init__(self, folders: list[str], trust: str | None, outline: Outline, output: dict[str, Any]) -> None:
        """Load the runs in `folders`, with the trust.json at `trust`; `output` are fields of a PredictionFolder."""
        from ham_keras.prediction.predictor import load_predictor

        ensemble = replace(load_ensemble(folders), trust=None if trust is None else Path(trust))
        self.predictor = load_predictor(ensemble, outline)
        self.predictions = PredictionFolder(**output)

    def __call__(self, block: dict[str, Any]) -> dict[str, list[Any]]:
        """Predict a block of files, {"path": [N], "image_id": [N]}; returns {"path": [N], "row": [N], "error": [N]}.

        Rows are JSON because they mix "" and numbers. Either row or error is "". An error without a path concerns the
        worker, not a file.
        """
        self.predictions.ids.update(zip(map(Path, block["path"]), map(str, block["image_id"]), strict=True))
        try:
            results = list(self.predictor.predict_files(map(Path, block["path"]), self.predictions.save))
        except OSError as error:
            return {"path": [""], "row": [""], "error": [f"{error.filename}: {error.strerror}"]}
        except OutOfMemoryError as error:
            return {"path": [""], "row": [""], "error": [f"{error}, or lower --workers"]}
        return {
            "path": [str(path) for path, _ in results],
            "row": ["" if isinstance(result, HamError) else json.dumps(result) for _, result in results],
            "error": [str(result) if isinstance(result, HamError) else "" for _, result in results],
        }


def predict_on_ray(
    runs: Ensemble, outline: Outline, paths: Sequence[Path], predictions: PredictionFolder, workers: int | None = None
) -> Iterator[tuple[Path, Any]]:
    """Run `Predictor.predict_files` with `PredictionFolder.save` in `workers` processes; yields in any order.

    The workers share the cluster's GPUs, see `share_cluster`. If a worker dies, it is replaced and its block repeated.
    Ray is started at once, the workers with the first result.

    Raises:
        HamError: the extra `ray` is not installed, the cluster at RAY_ADDRESS does not respond, or a worker cannot
            write.
    """
    if not paths:
        return iter(())
    with ExitStack() as stack:
        ray = stack.enter_context(_ray())
        return _predict(ray, stack.pop_all(), runs, outline, paths, predictions, workers)


def _predict(
    ray: Any,
    connection: ExitStack,
    runs: Ensemble,
    outline: Outline,
    paths: Sequence[Path],
    predictions: PredictionFolder,
    workers: int | None,
) -> Iterator[tuple[Path, Any]]:
    with connection:
        blocks = -(-len(paths) // BLOCK)
        workers, gpus = share_cluster(ray.cluster_resources(), blocks, workers)
        # Absolute paths: workers have a different working directory.
        named = {str(path.absolute()): path for path in paths}
        items = [{"path": name, "image_id": predictions.id_of(path)} for name, path in named.items()]
        folders = [str(member.run.folder.absolute()) for member in runs.members]
        trust = None if runs.trust is None else str(runs.trust.absolute())
        output = {
            "folder": predictions.folder.absolute(),
            "probability_bits": predictions.probability_bits,
            "margin": predictions.margin,
            "final": predictions.final and predictions.final.absolute(),
        }
        dataset = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
            Worker,
            fn_constructor_args=(folders, trust, outline, output),
            batch_size=len(paths) // blocks if gpus else None,  # whole blocks; with GPUs, Ray wants a number
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=gpus or None,
        )
        for result in dataset.iter_rows():
            error = result["error"]
            if not result["path"]:
                raise HamError(f"a worker of Ray: {error}")
            yield named[result["path"]], HamError(error) if error else json.loads(result["row"])


def share_cluster(resources: Mapping[str, float], blocks: int, workers: int | None = None) -> tuple[int, float]:
    """Return the number of workers, not more than blocks, and the GPUs of each: 0 in a cluster without one.

    The default is one worker per GPU, or per two cores without one. A worker gets one GPU, or the share that lets the
    same number of workers onto each; Ray hides all other GPUs from it.
    """
    gpus = int(resources.get("GPU", 0))
    workers = min(blocks, workers or gpus or max(1, int(resources.get("CPU", 1)) // CORES_PER_WORKER))
    if not gpus:
        return workers, 0.0
    return workers, math.floor(RAY_UNITS / math.ceil(workers / gpus)) / RAY_UNITS


@contextmanager
def _ray() -> Iterator[Any]:
    """Connect to Ray for the `with` block, unless already connected."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise HamError("--engine ray: ray is not installed; pip install 'ray[data]'") from None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # predict shows its own
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="warning")
    except ConnectionError as error:
        address = os.environ.get("RAY_ADDRESS")
        raise HamError(
            f"RAY_ADDRESS: {address}: {error}; a cluster with token authentication also needs RAY_AUTH_MODE=token"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()
