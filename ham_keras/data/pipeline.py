"""The input pipeline: decode, repair and preprocess once, cache as uint8, shuffle, augment, batch.

The model gets float32 images [N, H, W, 3], RGB 0..255, and float32 masks [N, H, W, 1] in {0, 1}.
"""

from __future__ import annotations

import copy
import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tqdm import tqdm

from ham_keras.data.augmentation.batch import augment_batch, draw_key
from ham_keras.data.disk_cache import make_room, open_cache, read_rows
from ham_keras.data.encoded import read_encoded
from ham_keras.data.images import decode_image, read_image
from ham_keras.data.masks import lesion_fraction
from ham_keras.data.records import Record
from ham_keras.data.truth import read_truth
from ham_keras.environment import available_memory_bytes, cpu_threads
from ham_keras.errors import HamError, OutOfMemoryError
from ham_keras.files import remove_parts, replacing
from ham_keras.preprocessing.steps import build_steps
from ham_keras.settings import Augment, Data

Pixels = npt.NDArray[np.uint8]
THREADS = min(cpu_threads(), 16)
DECODER_THREADS = 2 * THREADS  # each waits for Python's lock and for files
PREFETCHED = 2  # batches
CACHE_FORMAT = "3"  # increment it when decoding, or a step with the same description, gives other pixels


def pipeline_options(threads: int = THREADS) -> tf.data.Options:
    """A private thread pool, without autotuning.

    The autotuning thread sleeps for up to a minute and does not always wake up at the end of an epoch: epochs of 5.4
    seconds then took 10.3 (TensorFlow 2.21).
    """
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    options.autotune.enabled = False
    return options


class Examples:
    """Records at the network's size, fetched by index from memory, from disk or by decoding.

    Attributes:
        records: in the order of the indices.
        soft_masks: whether training batches keep masks as fractions.
    """

    def __init__(self, records: Sequence[Record], settings: Data, *, visible: bool = True) -> None:
        """Read the records, unless `settings.cache` is "none".

        Raises:
            HamError: an image or mask cannot be read; names the first one. Or the cache is larger than the free memory,
                or than `cache_limit_gb`.
        """
        self.records = list(records)
        self.height_px, self.width_px = settings.image_size
        self.steps = build_steps(settings)
        self.soft_masks = settings.soft_masks
        self._fetch: Callable[[npt.NDArray[np.int64]], Pixels] | None = None
        if settings.cache == "memory":
            pixels = self._allocate()
            self._fill(pixels.__setitem__, visible)
            self._fetch = pixels.__getitem__
        elif settings.cache == "disk":
            self._fetch = self._disk_cache(Path(settings.cache_dir), 1e9 * settings.cache_limit_gb, visible)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.height_px, self.width_px, 4  # RGB and the fraction that is lesion

    def subset(self, records: Sequence[Record]) -> Examples:
        """Examples of some of these records, without reading them again."""
        index_of = {record.image_id: index for index, record in enumerate(self.records)}
        index = np.array([index_of[record.image_id] for record in records], np.int64)
        part = copy.copy(self)
        part.records = list(records)
        if (fetch := self._fetch) is not None:
            part._fetch = lambda indices: fetch(index[indices])
        return part

    def batches(self, order: npt.NDArray[np.int64], batch_size: int, *others: npt.NDArray[Any]) -> tf.data.Dataset:
        """Batches of (pixels, *others) in this order: uint8 [N, H, W, 4], RGB and lesion fraction, 0..255."""
        dataset = tf.data.Dataset.from_tensor_slices((order, *others))
        if self._fetch is None:
            dataset = map_graph(dataset, lambda index, *rest: (self._decode(index), *rest), DECODER_THREADS)
            return dataset.batch(batch_size).with_options(pipeline_options(DECODER_THREADS))
        dataset = map_graph(dataset.batch(batch_size), lambda index, *rest: (self._cached(index), *rest))
        return dataset.with_options(pipeline_options())

    def repaired_ids(self) -> list[str]:
        """The ids of the images with an inverted mask file."""
        return [record.image_id for record in self.records if record.mask_inverted]

    @contextmanager
    def naming_broken_files(self) -> Iterator[None]:
        """Raise a TensorFlow error from reading as a HamError that names the broken file.

        Other errors, and all errors after the pixels are cached, are not caused by a file and are raised unchanged.
        """
        try:
            yield
        except (tf.errors.InvalidArgumentError, tf.errors.UnknownError):
            for record in self.records if self._fetch is None else ():
                read_image(record.image_path)
                read_truth(record)
            raise

    def _cached(self, index: tf.Tensor) -> tf.Tensor:
        pixels = tf.numpy_function(self._fetch, [index], tf.uint8, stateful=False)
        pixels.set_shape([None, *self._shape])
        return pixels

    def _decode(self, index: tf.Tensor) -> tf.Tensor:
        encoded, mask = tf.numpy_function(self._read, [index], [tf.string, tf.uint8])
        mask.set_shape([self.height_px, self.width_px, 1])
        return tf.concat([self.steps(decode_image(encoded)), mask], axis=-1)

    def _read(self, index: np.int64) -> tuple[bytes, Pixels]:
        cv2.setNumThreads(0)
        record = self.records[index]
        fraction = lesion_fraction(read_truth(record).lesion, self.height_px, self.width_px)
        # One half is rounded to 128, so values of at least 128 are lesion, as in `resize_mask`.
        return read_encoded(record.image_path), np.rint(255 * fraction).astype(np.uint8)[..., None]

    def _fill(self, store: Callable[[slice, Pixels], object], visible: bool) -> None:
        dataset = map_graph(tf.data.Dataset.range(len(self.records)), self._decode, DECODER_THREADS).batch(64)
        done = 0
        with (
            tqdm(total=len(self.records), desc="reading", unit=" images", disable=not visible) as bar,
            self.naming_broken_files(),
        ):
            for batch in dataset.with_options(pipeline_options(DECODER_THREADS)):
                store(slice(done, done + len(batch)), batch.numpy())
                done += len(batch)
                bar.update(len(batch))

    def _allocate(self) -> Pixels:
        shape = len(self.records), *self._shape
        needed, available = math.prod(shape), available_memory_bytes()
        with suppress(MemoryError):
            if available is None or needed < available:
                return np.empty(shape, np.uint8)
        raise OutOfMemoryError(
            f"data.cache: {shape[0]} images of {shape[1]}x{shape[2]} px take {needed / 1e9:.1f} GB, more than the free "
            f"memory; set data.cache=disk or data.cache=none"
        )

    def _disk_cache(self, folder: Path, limit: float, visible: bool) -> Callable[[npt.NDArray[np.int64]], Pixels]:
        path = folder / f"{self._fingerprint()}.uint8"
        size = math.prod((len(self.records), *self._shape))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_parts(folder)
            descriptor = open_cache(path, size)
            if descriptor is None:
                make_room(folder, size, limit)
                with replacing(path) as part:
                    with open(part, "wb") as file:
                        self._fill(lambda _, batch: file.write(batch.tobytes()), visible)
                    descriptor = os.open(part, os.O_RDONLY)
        except OSError as error:
            raise HamError(f"data.cache_dir: cannot write {path}: {error.strerror}") from None
        return read_rows(descriptor, self._shape)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"{CACHE_FORMAT} {self._shape} {self.steps.key()}".encode())
        for record in self.records:
            digest.update(f"{record.mask_inverted} {record.lesion_values}\n".encode())
            for path in (record.image_path, record.mask_path):
                status = path.stat()
                digest.update(os.fsencode(path.resolve()) + f" {status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:32]


def map_graph(
    dataset: tf.data.Dataset, function: Callable[..., Any], num_parallel_calls: int | None = None
) -> tf.data.Dataset:
    """Map a function of TensorFlow operations, without `if` or `for` over tensors.

    Converting such statements, AutoGraph reads and rewrites the source of every function that is called, which delays
    the first training step.
    """
    return dataset.map(tf.autograph.experimental.do_not_convert(function), num_parallel_calls)


def make_train_dataset(
    examples: Examples, settings: Augment, *, batch_size: int, seed: int, epoch: int
) -> tf.data.Dataset:
    """One epoch of shuffled, augmented training batches; the last one may be smaller.

    Order and augmentation depend only on (seed, epoch, image id).
    """
    ids = [record.image_id for record in examples.records]
    order = np.argsort([draw_key(seed, epoch, image_id, "order") for image_id in ids])
    keys = np.array([draw_key(seed, epoch, image_id, "augment") for image_id in ids], np.int64)
    dataset = examples.batches(order.astype(np.int64), batch_size, keys[order])

    def augment(pixels: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return augment_batch(pixels, key, settings, soft_masks=examples.soft_masks)

    return map_graph(dataset, augment, THREADS).prefetch(PREFETCHED)


def make_eval_dataset(examples: Examples, *, batch_size: int) -> tf.data.Dataset:
    """Every image once, in the order of the records, without augmentation."""
    order = np.arange(len(examples.records), dtype=np.int64)
    no_augmentation = Augment(engine="none")
    dataset = examples.batches(order, batch_size, order)
    return map_graph(dataset, lambda pixels, keys: augment_batch(pixels, keys, no_augmentation)).prefetch(PREFETCHED)
