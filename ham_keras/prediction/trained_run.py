"""A trained run as an object: its network, config and scores, and images segmented one by one or many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ham_keras.data.encoded import to_rgb
from ham_keras.data.images import read_image
from ham_keras.errors import HamError
from ham_keras.files import load_json
from ham_keras.models.loading import load_model
from ham_keras.prediction.outline import measure
from ham_keras.prediction.predictor import Segmented, load_segmenter
from ham_keras.runs import load_trained_run


@dataclass(frozen=True)
class Segmentation:
    """The lesion of one image [H, W].

    Attributes:
        mask: uint8 [H, W] in {0, 1}.
        probability: float32 [H, W], 0..1.
        measurements: what predictions.csv says of an image, see `prediction.outline.measure`.
    """

    mask: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    measurements: dict[str, Any]


class TrainedRun:
    """A run folder with weights, opened for use; `ham_keras.load` makes it.

    Images are segmented in float32 with the outline of the run's config. Research use; not a medical device.

    Attributes:
        run: the paths of the run folder.
        config: what it was trained with.
    """

    def __init__(self, folder: Path | str) -> None:
        """Load the run's best weights.

        Raises:
            HamError: not a run, no weights yet, or weights of another network.
        """
        self.run, self.config = load_trained_run(folder)
        self._segmenter = load_segmenter(folder, self.config.outline)

    def __repr__(self) -> str:
        settings, size = self.config.model, "x".join(map(str, self.config.data.image_size))
        return f"<TrainedRun {self.run.folder}: {settings.architecture} {settings.backbone}, {size}>"

    @cached_property
    def model(self) -> keras.Model:
        """A copy of the network in float32: RGB 0..255 [N, h, w, 3] to probability [N, h, w, 1].

        It is the caller's: what is done to it does not change what `segment` returns.
        """
        return load_model(self.run, self.config)

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """The run's scores by name, e.g. "test": the content of each scores/<name>/summary.json."""
        return {
            path.parent.name: load_json(path) for path in sorted(self.run.scores("*").parent.glob("*/summary.json"))
        }

    def segment(self, image: npt.NDArray[np.uint8] | Image.Image | Path | str) -> Segmentation:
        """Segment the lesion of one image: uint8 RGB [H, W, 3], a PIL image or a file.

        A file and a PIL image are turned as their EXIF says; an array is taken as it is.

        Raises:
            HamError: an array of another type or shape, or an image that is missing or broken.
        """
        return _measured(self._segmenter.segment(_pixels(image)))

    def segment_many(self, paths: Iterable[Path | str]) -> Iterator[tuple[Path, Segmentation | HamError]]:
        """Yield each file, in their order, with its segmentation, or with the error of one that cannot be read.

        Files are read beside the network and given to it in batches; a few batches are held at a time.

        Raises:
            HamError: one path in place of several.
        """
        if isinstance(paths, str | Path):
            raise HamError(f"{paths}: expected several image files; for one call segment()")
        return self._segmenter.segment_files(map(Path, paths), lambda _, segmented: _measured(segmented))


def _measured(segmented: Segmented) -> Segmentation:
    mask, probability = segmented.lesion, segmented.probability
    return Segmentation(mask, probability, measure(mask, probability))


def _pixels(image: Any) -> npt.NDArray[np.uint8]:
    if isinstance(image, str | Path):
        return read_image(image)
    try:
        pixels = np.asarray(to_rgb(ImageOps.exif_transpose(image)) if isinstance(image, Image.Image) else image)
    except (OSError, ValueError) as error:  # ValueError: also of lists that are no array
        raise HamError(f"image: not readable ({error})") from None
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise HamError(
            f"image: expected uint8 RGB [H, W, 3], 0..255, a PIL image or a path; got {pixels.dtype} "
            f"{list(pixels.shape)}"
        )
    return pixels
