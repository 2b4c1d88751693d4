"""From images to masks, for scores, predictions, reports and the demo page alike."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from ham_keras.data.encoded import read_head
from ham_keras.data.images import read_image
from ham_keras.environment import cpu_threads
from ham_keras.errors import HamError
from ham_keras.models.encoder import with_encoding
from ham_keras.models.loading import load_model
from ham_keras.models.memory import explaining_memory
from ham_keras.prediction.branches import Branch, Member, add_shares, build_branches, common_size
from ham_keras.prediction.ensemble import Ensemble, Folders, load_ensemble
from ham_keras.prediction.postprocessing import Mask, Probability, postprocess
from ham_keras.settings import Outline
from ham_keras.trust.assess import Assessor

BATCH_SIZE = 16
BATCH_PIXELS = 64_000_000  # over all original images of a batch, to limit memory
THREADS = min(cpu_threads(), 8)

ADVICE = "close other programs, leave out outline.tta, or hide the GPU with CUDA_VISIBLE_DEVICES=-1"

T = TypeVar("T")
Batch = list[tuple[Path, "Future[Any]"]]
Shares = tuple[np.ndarray, ...]  # of each branch, float32 [h, w, 1] at its size; see `Branch.share`
# Further outputs from images, uint8 [N, h, w, 3], probabilities [N, h, w, 1] and encodings [N, C], by name: [N, ...].
Observe = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]


@dataclass(frozen=True)
class Answer:
    """The networks' output for one image.

    Attributes:
        shares: of each branch.
        observed: what the predictor's `observe` returned for the image, e.g. the values of `trust.assess.Assessor`.
    """

    shares: Shares
    observed: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """An image with its predicted probabilities and mask.

    Attributes:
        image: uint8 RGB [H, W, 3].
        shares: the networks' output. An ensemble has one array for each different preprocessing.
        network_size: height and width of the network's input, of the largest in an ensemble.
        probability: float32 [H, W], 0..1: `shares` resized to the image and added.
        mask: uint8 [H, W] in {0, 1}.
        observed: see `Answer`.
    """

    image: np.ndarray
    shares: Shares
    network_size: tuple[int, int]
    probability: Probability
    mask: Mask
    observed: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def network_probability(self) -> np.ndarray:
        """Probabilities at the network's size, float32 [h, w, 1]."""
        if len(self.shares) == 1:  # its size is the network's
            return self.shares[0]
        return resize_to_image(self.shares, *self.network_size)[..., None]


Finish = Callable[[Path, Prediction], T]


class Predictor:
    """One or more networks with their preprocessing, and post-processing. Safe to call from several threads.

    The probabilities of several networks are resized to the image and averaged.
    """

    def __init__(self, members: Sequence[Member], outline: Outline, observe: Observe | None = None) -> None:
        """Wrap networks.

        Args:
            members: each network with the data settings it was trained with: preprocessing and the network's size.
            outline: the post-processing.
            observe: adds outputs for each image, at the size of the first network.
        """
        self.outline = outline
        encoder = None if observe is None else with_encoding(members[0][0])
        self._branches = build_branches(members, encoder)
        self._steps = [_compile_steps(branch) for branch in self._branches]
        self._run = _compile(self._branches, observe, tta=outline.tta)

    def predict(self, image: np.ndarray) -> Prediction:
        """Segment one image, uint8 RGB [H, W, 3]."""
        return self._postprocess(image, self.answer(image))

    def answer(self, image: np.ndarray) -> Answer:
        """Return the networks' output for one image, uint8 RGB [H, W, 3]."""
        return self._answers([self._preprocess(image)])[0]

    def predict_files(
        self, paths: Iterable[Path], finish: Finish[T], read: Callable[[Path], np.ndarray] = read_image
    ) -> Iterator[tuple[Path, T | HamError]]:
        """Yield each file, in order, with the result of `finish`, or with a HamError if it cannot be read.

        Images are read and finished in threads while the network runs. At most three batches are in memory. `read`
        returns the image of a file, uint8 RGB [H, W, 3].

        Raises:
            OutOfMemoryError: a batch does not fit into memory.
        """
        with explaining_memory(ADVICE), ThreadPoolExecutor(THREADS) as threads:

            def start_finishing(batch: Batch) -> Batch:
                read = {path: future.result() for path, future in batch if not future.exception()}
                small = [pair[1] for pair in read.values()]
                outputs = dict(zip(read, self._answers(small) if small else (), strict=True))
                return [
                    (path, threads.submit(self._finish, finish, path, read[path][0], outputs[path]))
                    if path in read
                    else (path, future)
                    for path, future in batch
                ]

            reading = _one_ahead(
                [(path, threads.submit(self._read, read, path)) for path in batch] for batch in batches(paths)
            )
            for finishing in _one_ahead(start_finishing(batch) for batch in reading):
                for path, future in finishing:
                    error = future.exception()
                    if error is not None and not isinstance(error, HamError):
                        raise error
                    yield path, error or future.result()

    def _read(self, read: Callable[[Path], np.ndarray], path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
        image = read(path)
        return image, self._preprocess(image)

    def _finish(self, finish: Finish[T], path: Path, image: np.ndarray, answer: Answer) -> T:
        return finish(path, self._postprocess(image, answer))

    def _answers(self, small: Sequence[list[np.ndarray]]) -> list[Answer]:
        """Run the networks on a batch; `small` has, for each image, the input of each branch."""
        shares, observed = self._run(tuple(np.stack(images) for images in zip(*small, strict=True)))
        arrays = [share.numpy() for share in shares]
        values = {name: value.numpy() for name, value in observed.items()}
        return [
            Answer(tuple(array[i] for array in arrays), {name: value[i] for name, value in values.items()})
            for i in range(len(small))
        ]

    def _preprocess(self, image: np.ndarray) -> list[np.ndarray]:
        return [steps(image).numpy() for steps in self._steps]

    def _postprocess(self, image: np.ndarray, answer: Answer) -> Prediction:
        probability = resize_to_image(answer.shares, *image.shape[:2])
        mask = postprocess(probability, self.outline)
        size = common_size(self._branches)
        return Prediction(image, answer.shares, size, probability, mask, answer.observed)


def _compile_steps(branch: Branch) -> Callable[[np.ndarray], tf.Tensor]:
    """Return the preprocessing of one image as a graph: its threads then wait less for each other in Python."""
    return tf.function(branch.steps, autograph=False, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])


def _compile(branches: Sequence[Branch], observe: Observe | None, *, tta: bool) -> Callable[..., Any]:
    """Return a function from the images of each branch to the shares, and to what `observe` returns."""
    signature = [tuple(tf.TensorSpec([None, *branch.size, 3], tf.uint8) for branch in branches)]

    def run(images: tuple[tf.Tensor, ...]) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
        outputs = [
            branch.share_and_encoding(tf.cast(each, tf.float32), tta=tta)
            for branch, each in zip(branches, images, strict=True)
        ]
        shares = [share for share, _ in outputs]
        if observe is None:
            return shares, {}
        return shares, observe(images[0], add_shares(shares, *branches[0].size), outputs[0][1])

    return tf.function(run, autograph=False, input_signature=signature)


def load_predictor(runs: Folders | Ensemble, outline: Outline | None = None) -> Predictor:
    """Load the networks of one run or several with their best weights, in float32.

    `outline` defaults to that of the run's config; of several, to the first's. If there is a trust.json, each
    prediction is assessed with it.

    Raises:
        HamError: not a run, or no weights yet; or see `trust.file.load_trust`.
    """
    ensemble = runs if isinstance(runs, Ensemble) else load_ensemble(runs)
    trust = ensemble.load_trust()
    observe = None if trust is None else Assessor(trust)
    return Predictor(load_members(ensemble), outline or ensemble.agreed_outline(), observe)


def load_members(ensemble: Ensemble) -> list[Member]:
    """Load the networks of an ensemble, each with its data settings."""
    return [(load_model(member.run, member.config), member.config.data) for member in ensemble.members]


def resize_to_image(shares: Shares, height_px: int, width_px: int) -> Probability:
    """Resize the networks' output to [height_px, width_px] and add it: probabilities, 0..1."""
    return add_shares([share[None] for share in shares], height_px, width_px)[0, ..., 0].numpy()


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
