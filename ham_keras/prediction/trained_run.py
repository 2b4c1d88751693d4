"""A trained run, or several, as a Python object: network, config and scores, and methods that segment images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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
from ham_keras.prediction.ensemble import Ensemble, Folders, load_ensemble
from ham_keras.prediction.measurements import measure_mask
from ham_keras.prediction.predictor import Prediction, load_predictor
from ham_keras.trust.columns import trust_columns
from ham_keras.trust.file import Trust
from ham_keras.trust.temperature import scale_probability


@dataclass(frozen=True)
class Segmentation:
    """The lesion of one image [H, W].

    Attributes:
        mask: uint8 [H, W] in {0, 1}.
        probability: float32 [H, W], 0..1.
        measurements: the image's columns of predictions.csv, see `prediction.measurements.measure_mask` and, if the run
            has a trust.json, `trust.columns.trust_columns`.
    """

    mask: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    measurements: dict[str, Any]
    trust: Trust | None = field(default=None, repr=False)

    @property
    def calibrated_probability(self) -> npt.NDArray[np.float32] | None:
        """Probabilities that agree better with frequencies near the outline, float32 [H, W]; None without a trust.json.

        Those above the threshold stay above it.
        """
        if self.trust is None:
            return None
        return scale_probability(self.probability, self.trust.temperature, self.trust.threshold)

    @property
    def expected_jaccard(self) -> float | None:
        """What the mask's Jaccard index is expected to be; None, as the following, without a trust.json."""
        return self.measurements.get("expected_jaccard")

    @property
    def jaccard_at_least(self) -> float | None:
        """A lower bound of the Jaccard index that holds for 9 of 10 images like those of the calibration."""
        return self.measurements.get("jaccard_at_least")

    @property
    def margin_px(self) -> float | None:
        """For 9 of 10 such images, the true outline lies within this many pixels of the mask's."""
        return self.measurements.get("margin_px")

    @property
    def review(self) -> bool | None:
        """Whether a person should look at the mask."""
        return bool(self.measurements["review"]) if "review" in self.measurements else None

    @property
    def review_reason(self) -> str | None:
        """Why, in words; "" if `review` is false."""
        return self.measurements.get("review_reason")


class TrainedEnsemble:
    """Trained runs whose probabilities are averaged, as returned by `ham_keras.load` for several.

    Each network gets the image at its own size. Its probabilities are resized to the image and averaged, in float32;
    then the post-processing of the first run's config is applied. Research use; not a medical device.

    Attributes:
        members: name, run folder and config of each run.
        outline: the post-processing.
        trust: the content of trust.json; None without one.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        """Load the best weights of each run.

        Raises:
            HamError: weights of a different network.
        """
        self.members, self.outline = ensemble.members, ensemble.agreed_outline()
        self.trust = ensemble.load_trust()
        self._home = ensemble.home
        self._predictor = load_predictor(ensemble, self.outline)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(member.name for member in self.members)}>"

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """The content of each scores/<name>/summary.json, by name, e.g. "test"; empty if there is no folder for it."""
        found = self._home.scores("*").parent.glob("*/summary.json") if self._home else ()
        return {path.parent.name: load_json(path) for path in sorted(found)}

    def segment(self, image: npt.NDArray[np.uint8] | Image.Image | Path | str) -> Segmentation:
        """Segment the lesion of one image: uint8 RGB [H, W, 3], a PIL image or a file.

        EXIF orientation is applied to files and PIL images.

        Raises:
            HamError: an array of a different type or shape, or an image that is missing or broken.
        """
        return self._measured(self._predictor.predict(read_pixels(image)))

    def segment_many(self, paths: Iterable[Path | str]) -> Iterator[tuple[Path, Segmentation | HamError]]:
        """Yield each file, in order, with its segmentation, or with a HamError if it cannot be read.

        Files are read while the network runs, in batches; at most a few batches are in memory.

        Raises:
            HamError: a single path instead of several.
        """
        if isinstance(paths, str | Path):
            raise HamError(f"{paths}: expected several image files; for one call segment()")
        return self._predictor.predict_files(map(Path, paths), lambda _, prediction: self._measured(prediction))

    def _measured(self, prediction: Prediction) -> Segmentation:
        mask, probability = prediction.mask, prediction.probability
        measurements = measure_mask(mask, probability) | trust_columns(prediction.observed, *mask.shape)
        return Segmentation(mask, probability, measurements, self.trust)


class TrainedRun(TrainedEnsemble):
    """A run folder with weights, or a named model, as returned by `ham_keras.load`: an ensemble of one.

    Attributes:
        run: the paths of the run folder.
        config: the config it was trained with.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__(ensemble)
        self.run, self.config = self.members[0].run, self.members[0].config

    def __repr__(self) -> str:
        settings, size = self.config.model, "x".join(map(str, self.config.data.image_size))
        return f"<TrainedRun {self.run.folder}: {settings.architecture} {settings.backbone}, {size}>"

    @cached_property
    def model(self) -> keras.Model:
        """A copy of the network in float32: RGB 0..255 [N, h, w, 3] to probability [N, h, w, 1].

        Changing it does not affect `segment`.
        """
        return load_model(self.run, self.config)


def load_trained(folders: Folders) -> TrainedRun | TrainedEnsemble:
    """Load a run, or several as an ensemble; see `ham_keras.load`."""
    ensemble = load_ensemble(folders)
    return TrainedRun(ensemble) if len(ensemble.members) == 1 else TrainedEnsemble(ensemble)


def read_pixels(image: Any) -> npt.NDArray[np.uint8]:
    """Return an image as uint8 RGB [H, W, 3]: an array, a PIL image or a file.

    Raises:
        HamError: an array of a different type or shape, or an image that is missing or broken.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    try:
        pixels = np.asarray(to_rgb(ImageOps.exif_transpose(image)) if isinstance(image, Image.Image) else image)
    except (OSError, ValueError) as error:  # ValueError: e.g. ragged lists
        raise HamError(f"image: not readable ({error})") from None
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise HamError(
            f"image: expected uint8 RGB [H, W, 3], 0..255, a PIL image or a path; got {pixels.dtype} "
            f"{list(pixels.shape)}"
        )
    return pixels
