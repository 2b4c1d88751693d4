"""The features of images: measured in threads while the networks run, in a fixed order, cached in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ham_keras.data.images import read_image
from ham_keras.data.masks import resize_mask
from ham_keras.diagnosis.config import Features
from ham_keras.diagnosis.crops import Mask, Pixels, ReadMask, crop_for_encoder
from ham_keras.diagnosis.encoders import FeatureEncoder
from ham_keras.diagnosis.measures import measure_lesion, measure_names, measures_in_order
from ham_keras.errors import HamError
from ham_keras.files import replacing
from ham_keras.prediction.predictor import THREADS, Prediction, Predictor

CHUNK = 64  # images that a kill may lose
Floats = npt.NDArray[np.float32]
Crops = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Measured:
    """What is kept of an image for its features: the crop that encoders see, if any, and the measures."""

    crop: Pixels | None
    measures: Mapping[str, float]


@dataclass(frozen=True)
class Extractor:
    """Makes the features of lesions.

    Attributes:
        encode: from `features.encoders`.
        network: trained on the diagnoses, crops [N, S, S, 3] to features [N, K]; None before it is trained.
        network_names: the names of these.
    """

    features: Features
    encode: FeatureEncoder
    network: Callable[[Crops], Floats] | None = None
    network_names: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """The names of the features, in order."""
        return [*self.encode.names, *measure_names(self.features), *self.network_names]

    def measure(self, image: Pixels, mask: Mask, probability: Floats | None) -> Measured:
        """Crop and measure a lesion; safe in threads. Shapes as in `Prediction`."""
        crops = self.features.encoders or self.features.trained
        crop = crop_for_encoder(image, mask, self.features) if crops else None
        return Measured(crop, measure_lesion(image, mask, probability, self.features))

    def combine(self, measured: Sequence[Measured], patients: Sequence[Mapping[str, float]]) -> Floats:
        """Features [N, F] of lesions; runs the encoders on all crops at once."""
        crops = crops_of(measured)
        encoded = self.encode(crops) if self.encode.models else np.empty((len(measured), 0), np.float32)
        answers = [] if self.network is None else [self.network(crops)]
        named = [
            measures_in_order(each.measures, patient, self.features)
            for each, patient in zip(measured, patients, strict=True)
        ]
        return np.concatenate([encoded, np.stack(named), *answers], 1)


def crops_of(measured: Sequence[Measured]) -> Crops:
    """The crops of lesions, uint8 [N, S, S, 3]; [N, 0, 0, 3] if no crops are made."""
    crops = [each.crop for each in measured if each.crop is not None]
    return np.stack(crops) if crops else np.empty((len(measured), 0, 0, 3), np.uint8)


def measure_files(
    extractor: Extractor, predictor: Predictor | None, paths: Sequence[Path], masks: Mapping[Path, ReadMask]
) -> Iterator[tuple[Path, Measured]]:
    """Crop and measure the lesions of image files, in order.

    Args:
        predictor: the segmentation network; None if neither masks nor doubt need it.
        masks: how to read the masks that are not predicted.

    Raises:
        HamError: an image or mask cannot be read.
    """

    def read(path: Path, image: Pixels) -> Mask:
        return resize_mask(masks[path](), *image.shape[:2])

    def without_network(path: Path) -> Measured:
        image = read_image(path)
        return extractor.measure(image, read(path, image), None)

    def finish(path: Path, prediction: Prediction) -> Measured:
        image = prediction.image
        mask = read(path, image) if path in masks else prediction.mask
        return extractor.measure(image, mask, prediction.probability)

    if predictor is None:
        with ThreadPoolExecutor(THREADS) as threads:
            yield from zip(paths, threads.map(without_network, paths), strict=True)
        return
    for path, result in predictor.predict_files(paths, finish):
        if isinstance(result, HamError):
            raise result
        yield path, result


def cached_features(
    folder: Path,
    extractor: Extractor,
    image_ids: Sequence[str],
    measure: Callable[[Sequence[str]], Iterable[Measured]],
    patients: Mapping[str, Mapping[str, float]],
    *,
    visible: bool = True,
) -> tuple[Floats, Crops]:
    """Features [N, F] and crops of images, from chunk_<i>.npz in `folder` or by `measure`, which gets ids.

    A chunk holds plain arrays, `ids`, `features` and `crops`; one of other ids is made again. Crops are kept only for
    `features.trained`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    with tqdm(total=len(image_ids), desc="features", unit=" images", disable=None if visible else True) as bar:
        for number, first in enumerate(range(0, len(image_ids), CHUNK)):
            ids = image_ids[first : first + CHUNK]
            path = folder / f"chunk_{number:04}.npz"
            part = _load_chunk(path, ids, len(extractor.names))
            if part is None:
                measured = list(measure(ids))
                features = extractor.combine(measured, [patients.get(each, {}) for each in ids])
                kept = crops_of(measured if extractor.features.trained else [])
                with replacing(path) as temporary:
                    np.savez(temporary, ids=np.array(ids), features=features, crops=kept)
                part = features, kept
            parts.append(part)
            bar.update(len(ids))
    features, crops = (np.concatenate(each) for each in zip(*parts, strict=True))
    return features, crops


def _load_chunk(path: Path, ids: Sequence[str], width: int) -> tuple[Floats, Crops] | None:
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as chunk:
        found, features, crops = chunk["ids"], chunk["features"], chunk["crops"]
    return (features, crops) if found.tolist() == list(ids) and features.shape == (len(ids), width) else None
