"""Prediction in several processes: `predict` on Ray Data, on this machine or on a cluster."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ham_keras.errors import HamError
from ham_keras.prediction.folder import Predictions
from ham_keras.settings import Outline

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or Ray would report its use to its makers

BLOCK = 64  # images that a worker is handed at a time, and that are done again if it dies
CORES_OF_A_WORKER = 2  # that the network keeps busy


class Worker:
    """A process of Ray's: the network, loaded once, for any number of blocks of files."""

    def __init__(self, folder: str, outline: Outline, output: str, probability_bits: int | None) -> None:
        from ham_keras.prediction.predictor import load_segmenter

        self.segmenter = load_segmenter(folder, outline)
        self.predictions = Predictions(Path(output), probability_bits)

    def __call__(self, block: dict[str, Any]) -> dict[str, list[Any]]:
        """Predict a block's files, {"path": [N], "image_id": [N]}, to texts {"path": [N], "row": [N], "error": [N]}.

        A row is JSON, for it holds "" beside numbers; of row and error one is "". An error without a path is the
        worker's own, not a file's.
        """
        self.predictions.ids.update(zip(map(Path, block["path"]), map(str, block["image_id"]), strict=True))
        try:
            results = list(self.segmenter.segment_files(map(Path, block["path"]), self.predictions.save))
        except OSError as error:
            return {"path": [""], "row": [""], "error": [f"{error.filename}: {error.strerror}"]}
        return {
            "path": [str(path) for path, _ in results],
            "row": ["" if isinstance(result, HamError) else json.dumps(result) for _, result in results],
            "error": [str(result) if isinstance(result, HamError) else "" for _, result in results],
        }


def segment_on_ray(
    folder: Path, outline: Outline, paths: Sequence[Path], predictions: Predictions, workers: int | None = None
) -> Iterator[tuple[Path, Any]]:
    """As `Segmenter.segment_files` with `Predictions.save`, in `workers` processes; in any order.

    By default there is one for each two cores of the cluster. A worker that dies is replaced and its block done
    again.

    Raises:
        HamError: the extra `ray` is not installed, the cluster that RAY_ADDRESS names does not answer, or a worker
            cannot write.
    """
    with _ray() as ray:
        workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // CORES_OF_A_WORKER)
        blocks = -(-len(paths) // BLOCK)
        # Absolute paths, for a worker has a working folder of its own.
        named = {str(path.absolute()): path for path in paths}
        items = [{"path": name, "image_id": predictions.id_of(path)} for name, path in named.items()]
        output = str(predictions.folder.absolute())
        dataset = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
            Worker,
            fn_constructor_args=(str(folder.absolute()), outline, output, predictions.probability_bits),
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=min(workers, blocks)),
            num_cpus=1,
        )
        for answer in dataset.iter_rows():
            error = answer["error"]
            if not answer["path"]:
                raise HamError(f"a worker of Ray: {error}")
            yield named[answer["path"]], HamError(error) if error else json.loads(answer["row"])


@contextmanager
def _ray() -> Iterator[Any]:
    """Ray, connected for the `with` block where it was not before."""
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
            f"RAY_ADDRESS: {address}: {error}; a cluster that wants a token also needs RAY_AUTH_MODE=token"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()
