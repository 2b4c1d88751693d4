"""From photographs to masks: the one way that scores, predictions, reports and the demo page share."""

from __future__ import annotations

import math
import os
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
from ham_keras.errors import HamError
from ham_keras.models.loading import load_model
from ham_keras.prediction.mirrors import average_mirrors
from ham_keras.prediction.outline import Lesion, Probability, outline_lesion
from ham_keras.preprocessing.steps import build_steps
from ham_keras.runs import load_run
from ham_keras.settings import Data, Outline

BATCH_SIZE = 16
BATCH_PIXELS = 64_000_000  # that the photographs of a batch hold together, so that large ones do not fill the memory
THREADS = min(os.cpu_count() or 1, 8)

T = TypeVar("T")
Batch = list[tuple[Path, "Future[Any]"]]


@dataclass(frozen=True)
class Segmented:
    """A photograph and its lesion.

    Attributes:
        image: uint8 RGB [H, W, 3].
        answer: float32 [h, w, 1], 0..1, the network's probabilities at its own size.
        probability: float32 [H, W], the answer, resized to the image.
        lesion: uint8 [H, W] in {0, 1}.
    """

    image: np.ndarray
    answer: np.ndarray
    probability: Probability
    lesion: Lesion


Finish = Callable[[Path, Segmented], T]
Network = Callable[..., tf.Tensor]


class Segmenter:
    """A network and how its probabilities become masks. One object may be called from several threads."""

    def __init__(self, network: Network, settings: Data, outline: Outline) -> None:
        """Wrap a network.

        Args:
            network: a Keras model, or another function that takes float32 images [N, h, w, 3], 0..255, and
                `training=False` to probabilities [N, h, w, 1].
            settings: of the data that it was trained on: the preprocessing, and the network's size.
        """
        self.outline = outline
        self.steps = build_steps(settings)
        height_px, width_px = settings.image_size

        @tf.function(input_signature=[tf.TensorSpec([None, height_px, width_px, 3], tf.uint8)])
        def answers(images: tf.Tensor) -> tf.Tensor:
            pixels = tf.cast(images, tf.float32)
            return average_mirrors(lambda each: network(each, training=False), pixels, tta=outline.tta)

        self._network = answers

    def segment(self, image: np.ndarray) -> Segmented:
        """Outline the lesion of one image, uint8 RGB [H, W, 3]."""
        return self._outline(image, self.answer(image))

    def answer(self, image: np.ndarray) -> np.ndarray:
        """The network's own answer to one image, uint8 RGB [H, W, 3]: float32 [h, w, 1], 0..1, at its own size."""
        return self._probabilities([self._preprocess(image)])[0]

    def segment_files(self, paths: Iterable[Path], finish: Finish[T]) -> Iterator[tuple[Path, T | HamError]]:
        """Yield, in their order, each file and what `finish` makes of it, or the HamError that says why it is broken.

        Reading and finishing run in threads beside the network. Never more than three batches are held.
        """
        with ThreadPoolExecutor(THREADS) as threads:

            def start_finishing(batch: Batch) -> Batch:
                read = {path: future.result() for path, future in batch if not future.exception()}
                small = [pair[1] for pair in read.values()]
                answers = dict(zip(read, self._probabilities(small) if small else (), strict=True))
                return [
                    (path, threads.submit(self._finish, finish, path, read[path][0], answers[path]))
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

    def _finish(self, finish: Finish[T], path: Path, image: np.ndarray, answer: np.ndarray) -> T:
        return finish(path, self._outline(image, answer))

    def _probabilities(self, small: Sequence[np.ndarray]) -> np.ndarray:
        return self._network(np.stack(small)).numpy()

    def _preprocess(self, image: np.ndarray) -> np.ndarray:
        return self.steps(image).numpy()

    def _outline(self, image: np.ndarray, answer: np.ndarray) -> Segmented:
        probability = enlarge(answer, *image.shape[:2])
        return Segmented(image, answer, probability, outline_lesion(probability, self.outline))


def load_segmenter(folder: Path | str, outline: Outline | None = None) -> Segmenter:
    """A run's network with its best weights, in float32; `outline` defaults to that of the run's config.

    Raises:
        HamError: not a run, or no weights yet.
    """
    run, config = load_run(folder)
    return Segmenter(load_model(run, config), config.data, outline or config.outline)


def enlarge(answer: np.ndarray, height_px: int, width_px: int) -> Probability:
    """A network's answer, float32 [h, w, 1], as probabilities [height_px, width_px] of an image of that size."""
    return resize_probability(answer[None], height_px, width_px)[0, ..., 0].numpy()


def batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Files in batches of at most `BATCH_SIZE` of them and, but for a single one, of `BATCH_PIXELS`."""
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
    """How many pixels the head of a file promises; 0 where it cannot be read, which is told when it is."""
    head = read_head(path)
    return 0 if head is None else math.prod(head.stored_size)


def _one_ahead(items: Iterable[T]) -> Iterator[T]:
    """The items, each drawn while the one before it is still with the caller."""
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting
