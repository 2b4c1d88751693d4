"""From images to masks, for scores, predictions, reports and the demo page alike."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from ham_keras.data.encoded import read_head
from ham_keras.data.images import read_image, resize_probability
from ham_keras.environment import cpu_threads
from ham_keras.errors import HamError
from ham_keras.models.loading import load_model
from ham_keras.models.memory import explaining_memory
from ham_keras.prediction.mirrors import average_mirrors
from ham_keras.prediction.postprocessing import Mask, Probability, postprocess
from ham_keras.preprocessing.steps import build_steps
from ham_keras.runs import load_run
from ham_keras.settings import Data, Outline

BATCH_SIZE = 16
BATCH_PIXELS = 64_000_000  # over all original images of a batch, to limit memory
THREADS = min(cpu_threads(), 8)

ADVICE = "close other programs, leave out outline.tta, or hide the GPU with CUDA_VISIBLE_DEVICES=-1"

T = TypeVar("T")
Batch = list[tuple[Path, "Future[Any]"]]


@dataclass(frozen=True)
class Prediction:
    """An image with its predicted probabilities and mask.

    Attributes:
        image: uint8 RGB [H, W, 3].
        network_probability: float32 [h, w, 1], 0..1, at the network's size.
        probability: float32 [H, W], `network_probability` resized to the image.
        mask: uint8 [H, W] in {0, 1}.
    """

    image: np.ndarray
    network_probability: np.ndarray
    probability: Probability
    mask: Mask


Finish = Callable[[Path, Prediction], T]
Network = Callable[..., tf.Tensor]


class Predictor:
    """A network with its preprocessing and post-processing. Safe to call from several threads."""

    def __init__(self, network: Network, settings: Data, outline: Outline) -> None:
        """Wrap a network.

        Args:
            network: a Keras model, or another function from float32 images [N, h, w, 3], 0..255, and
                `training=False` to probabilities [N, h, w, 1].
            settings: the data settings it was trained with: preprocessing and the network's size.
            outline: the post-processing.
        """
        self.outline = outline
        self.steps = build_steps(settings)
        height_px, width_px = settings.image_size

        @tf.function(input_signature=[tf.TensorSpec([None, height_px, width_px, 3], tf.uint8)])
        def predict_batch(images: tf.Tensor) -> tf.Tensor:
            pixels = tf.cast(images, tf.float32)
            return average_mirrors(lambda each: network(each, training=False), pixels, tta=outline.tta)

        self._predict_batch = predict_batch

    def predict(self, image: np.ndarray) -> Prediction:
        """Segment one image, uint8 RGB [H, W, 3]."""
        return self._postprocess(image, self.predict_network(image))

    def predict_network(self, image: np.ndarray) -> np.ndarray:
        """Return the probabilities of one image, uint8 RGB [H, W, 3], at the network's size: float32 [h, w, 1]."""
        return self._probabilities([self._preprocess(image)])[0]

    def predict_files(self, paths: Iterable[Path], finish: Finish[T]) -> Iterator[tuple[Path, T | HamError]]:
        """Yield each file, in order, with the result of `finish`, or with a HamError if it cannot be read.

        Images are read and finished in threads while the network runs. At most three batches are in memory.

        Raises:
            OutOfMemoryError: a batch does not fit into memory.
        """
        with explaining_memory(ADVICE), ThreadPoolExecutor(THREADS) as threads:

            def start_finishing(batch: Batch) -> Batch:
                read = {path: future.result() for path, future in batch if not future.exception()}
                small = [pair[1] for pair in read.values()]
                outputs = dict(zip(read, self._probabilities(small) if small else (), strict=True))
                return [
                    (path, threads.submit(self._finish, finish, path, read[path][0], outputs[path]))
                    if path in read
                    else (path, future)
                    for path, future in batch
                ]

            reading = _one_ahead(
                [(path, threads.submit(self._read, path)) for path in batch] for batch in batches(paths)
            )
            for finishing in _one_ahead(start_finishing(batch) for batch in reading):
                for path, future in finishing:
                    error = future.exception()
                    if error is not None and not isinstance(error, HamError):
                        raise error
                    yield path, error or future.result()

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        image = read_image(path)
        return image, self._preprocess(image)

    def _finish(self, finish: Finish[T], path: Path, image: np.ndarray, network_probability: np.ndarray) -> T:
        return finish(path, self._postprocess(image, network_probability))

    def _probabilities(self, small: Sequence[np.ndarray]) -> np.ndarray:
        return self._predict_batch(np.stack(small)).numpy()

    def _preprocess(self, image: np.ndarray) -> np.ndarray:
        return self.steps(image).numpy()

    def _postprocess(self, image: np.ndarray, network_probability: np.ndarray) -> Prediction:
        probability = resize_to_image(network_probability, *image.shape[:2])
        return Prediction(image, network_probability, probability, postprocess(probability, self.outline))


def load_predictor(folder: Path | str, outline: Outline | None = None) -> Predictor:
    """Load a run's network with its best weights, in float32. `outline` defaults to that of the run's config.

    Raises:
        HamError: not a run, or no weights yet.
    """
    run, config = load_run(folder)
    return Predictor(load_model(run, config), config.data, outline or config.outline)


def resize_to_image(network_probability: np.ndarray, height_px: int, width_px: int) -> Probability:
    """Resize probabilities from the network's size, float32 [h, w, 1], to [height_px, width_px]."""
    return resize_probability(network_probability[None], height_px, width_px)[0, ..., 0].numpy()


def batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Yield batches of at most `BATCH_SIZE` files and `BATCH_PIXELS` pixels; a larger file is a batch by itself."""
    batch: list[Path] = []
    pixels = 0
    for path in paths:
        size = count_pixels(path)
        if batch and (len(batch) == BATCH_SIZE or pixels + size > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(path)
        pixels += size
    if batch:
        yield batch


def count_pixels(path: Path) -> int:
    """Return the number of pixels in the file's header, or 0 if that is unreadable: reading the image reports it."""
    head = read_head(path)
    return 0 if head is None else math.prod(head.stored_size)


def _one_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, fetching each before the previous one is yielded."""
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting
