"""A trained diagnosis run that diagnoses photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.diagnosis.crops import Mask, Pixels
from ham_keras.diagnosis.encoders import FeatureEncoder
from ham_keras.diagnosis.features import Extractor, Floats, Measured
from ham_keras.diagnosis.folder import load_diagnosis
from ham_keras.diagnosis.network import load_networks, network_digests, network_names
from ham_keras.diagnosis.scoring import probability_columns
from ham_keras.diagnosis.segmentation import find_segmentation, weights_digest
from ham_keras.diagnosis.trees import load_trees
from ham_keras.errors import HamError, shown, warn
from ham_keras.files import load_json
from ham_keras.prediction.ensemble import Ensemble, load_ensemble
from ham_keras.prediction.predictor import BATCH_SIZE, Prediction, Predictor
from ham_keras.prediction.trained_run import TrainedRun, read_pixels
from ham_keras.settings import Outline
from ham_keras.trust.file import file_digest

T = TypeVar("T")


class Diagnoser:
    """The classifier of a diagnosis run with its encoders. It does not segment; research use, not a medical device."""

    def __init__(self, folder: Path | str) -> None:
        """Load the run.

        Raises:
            HamError: not a diagnosis run, not trained yet, or weights that its features depend on have changed.
        """
        self.folder, self.config = load_diagnosis(folder)
        self.trees, content = load_trees(self.folder.classifier)
        self.segmentation = find_segmentation(self.config)
        for path, digest in weights_digest(self.segmentation, self.config.features).items():
            if digest not in content["weights_sha256"].values():
                raise HamError(f"{path}: has changed since {folder} was trained; run diagnose with --overwrite")
        features = self.config.features
        run, settings = self.segmentation.run, self.segmentation.config
        encode = FeatureEncoder(features.encoders, run, settings, flips=features.flips)
        network, names = None, []
        if features.trained:
            found = network_digests(self.folder.classifier, self.config.network)
            if content.get("networks_sha256", found) != found:
                raise HamError(f"{folder}: its networks are not those of its classifier; run diagnose with --overwrite")
            network = load_networks(self.folder.classifier, self.config.network, run, settings, len(self.trees.classes))
            names = network_names(self.trees.classes)
        self.extractor = Extractor(features, encode, network, names)
        if self.extractor.names != self.trees.names:
            raise HamError(f"{folder}: was trained on other features; run diagnose with --overwrite")

    def warn_of_another(self, ensemble: Ensemble, outline: Outline) -> None:
        """Warn if outlines are not those of the segmentation run that the classifier belongs to."""
        own, name = self.segmentation, shown(self.folder.folder)
        weights = [member.run.weights.resolve() for member in ensemble.members]
        known = own.run.weights.resolve()
        if weights != [known] and [file_digest(path) for path in weights] != [file_digest(known)]:
            warn(f"{name}: belongs to the segmentation run {shown(own.run.folder)}, not to this")
        elif outline != own.config.outline:
            warn(f"{name}: belongs to the outline settings of {shown(own.run.folder)}, not to these")

    @property
    def classes(self) -> list[str]:
        """The diagnoses, in the order of the probabilities."""
        return self.trees.classes

    def features(self, measured: Sequence[Measured], patients: Sequence[Mapping[str, float]] | None = None) -> Floats:
        """Features [N, F] of lesions; nothing is known of the patients if they are None."""
        return self.extractor.combine(measured, patients or [{}] * len(measured))

    def probabilities(self, image: Pixels, mask: Mask, probability: Floats | None) -> dict[str, float]:
        """The columns p_<diagnosis> of one lesion: image uint8 RGB [H, W, 3], mask and probability [H, W]."""
        measured = self.extractor.measure(image, mask, probability)
        return probability_columns(self.classes, self.trees.probabilities(self.features([measured]))[0])

    def diagnose_files(
        self, predictor: Predictor, paths: Iterable[Path], finish: Callable[[Path, Prediction], dict[str, Any]]
    ) -> Iterator[tuple[Path, dict[str, Any] | HamError]]:
        """`predictor.predict_files`, with the columns p_<diagnosis> added to each result of `finish`.

        Lesions are measured in the threads of the predictor; the encoders and the trees run in batches.
        """

        def both(path: Path, prediction: Prediction) -> tuple[dict[str, Any], Measured]:
            lesion = self.extractor.measure(prediction.image, prediction.mask, prediction.probability)
            return finish(path, prediction), lesion

        waiting: list[tuple[Path, tuple[dict[str, Any], Measured] | HamError]] = []
        for path, result in predictor.predict_files(paths, both):
            waiting.append((path, result))
            if len(waiting) == BATCH_SIZE:
                yield from self._with_probabilities(waiting)
                waiting = []
        yield from self._with_probabilities(waiting)

    def _with_probabilities(
        self, results: Sequence[tuple[Path, tuple[dict[str, Any], Measured] | HamError]]
    ) -> Iterator[tuple[Path, dict[str, Any] | HamError]]:
        lesions = [result[1] for _, result in results if not isinstance(result, HamError)]
        rows = iter(self.trees.probabilities(self.features(lesions)) if lesions else ())
        for path, result in results:
            if isinstance(result, HamError):
                yield path, result
            else:
                yield path, result[0] | probability_columns(self.classes, next(rows))


@dataclass(frozen=True)
class Diagnosis:
    """The diagnosis of one photograph [H, W].

    Attributes:
        probabilities: by diagnosis, e.g. {"mel": 0.12, "nv": 0.8, ...}; they add up to 1.
        mask: the outline they depend on, uint8 [H, W] in {0, 1}.
    """

    probabilities: dict[str, float]
    mask: npt.NDArray[np.uint8]

    @property
    def most_probable(self) -> str:
        """The diagnosis with the highest probability."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])


class TrainedDiagnosis(TrainedRun):
    """A diagnosis run, as returned by `ham_keras.load`: segments like its segmentation run, and diagnoses.

    Research use; not a medical device.

    Attributes:
        run, config: of the segmentation run.
        folder: the paths of the diagnosis run.
        classes: the diagnoses.
    """

    def __init__(self, folder: Path | str) -> None:
        """Load the run and its segmentation run.

        Raises:
            HamError: see `Diagnoser`.
        """
        self._diagnoser = Diagnoser(folder)
        super().__init__(load_ensemble(self._diagnoser.segmentation.run.folder))
        self.folder, self.classes = self._diagnoser.folder, self._diagnoser.classes

    def __repr__(self) -> str:
        return f"<TrainedDiagnosis {self.folder.folder}: {', '.join(self.classes)}>"

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """The content of each scores/<name>/summary.json of the diagnosis run, by name, e.g. "test"."""
        return {path.parent.name: load_json(path) for path in sorted(self.folder.folder.glob("scores/*/summary.json"))}

    def diagnose(self, image: npt.NDArray[np.uint8] | Image.Image | Path | str) -> Diagnosis:
        """Segment and diagnose one image: uint8 RGB [H, W, 3], a PIL image or a file.

        The probabilities are those of `predict --diagnosis` with the same segmentation run.

        Raises:
            HamError: an array of a different type or shape, or an image that is missing or broken.
        """
        found = self._predictor.predict(read_pixels(image))
        columns = self._diagnoser.probabilities(found.image, found.mask, found.probability)
        return Diagnosis({name.removeprefix("p_"): value for name, value in columns.items()}, found.mask)
