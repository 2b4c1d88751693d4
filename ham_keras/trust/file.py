"""trust.json of a run: what `calibrate` measured, as plain numbers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ham_keras.errors import HamError
from ham_keras.files import load_json, save_text
from ham_keras.trust.feature_names import FEATURES
from ham_keras.trust.trees import Trees

VERSION = 1
OUTPUTS = ("jaccard", "squared_jaccard", "distance")  # of the trees; see `fitting.fit_trees`


class OtherWeightsError(HamError):
    """A trust.json that was made with other weights."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputCheck(Section):
    """A Gaussian of the encodings of training images, in the space of their main axes.

    Attributes:
        mean, scale: of each of the encoding's C numbers; it is centred and divided by them.
        axes: main axes [k, C].
        whitening: [k, k]; an encoding's coordinates times it have unit covariance.
        residual: mean squared length of the part of an encoding that lies outside the axes.
        limit: distance above which an image counts as unlike the training images.
    """

    mean: list[float]
    scale: list[float]
    axes: list[list[float]]
    whitening: list[list[float]]
    residual: float = Field(gt=0)
    limit: float = Field(gt=0)

    @model_validator(mode="after")
    def _check_shapes(self) -> Self:
        axes = len(self.axes)
        if any(len(each) != len(self.mean) for each in (self.scale, *self.axes)):
            raise ValueError("input_check: scale or axes of another length than the mean")
        if min(self.scale) <= 0:
            raise ValueError("input_check: a scale that is not positive")
        if not axes or len(self.whitening) != axes or any(len(row) != axes for row in self.whitening):
            raise ValueError("input_check: whitening and axes differ in number")
        return self


class Trust(Section):
    """The content of trust.json.

    Attributes:
        made_from: the images, the network's scores on them, and date, for people.
        weights_sha256: of the network's weights, joined with "+" for several.
        threshold: of the masks whose quality is predicted.
        features: of the trees, with their lowest and highest value in the calibration; others are clipped.
        trees: outputs are the Jaccard index, its square, and the outline's distance relative to the lesion's diameter.
        jaccard_factor: times the predicted deviation, the distance from the expected Jaccard down to its lower bound.
        margin_factor: times the predicted distance, the margin.
        blurred_below: an image whose feature `focus` is lower counts as out of focus.
        temperature: of the probabilities in a band around the outline; 1 if another does not lower their calibration
            error.
    """

    version: int
    made_from: dict[str, Any]
    weights_sha256: str
    threshold: float = Field(gt=0, lt=1)
    features: list[str]
    lowest: list[float]
    highest: list[float]
    trees: Trees
    jaccard_factor: float = Field(ge=0)
    margin_factor: float = Field(ge=0)
    input_check: InputCheck
    blurred_below: float
    temperature: float = Field(gt=0)

    @model_validator(mode="after")
    def _check_features(self) -> Self:
        if tuple(self.features) != FEATURES or {len(self.lowest), len(self.highest)} != {len(FEATURES)}:
            raise ValueError("features: not those of this version")
        if not all(0 <= feature < len(FEATURES) for feature in self.trees.feature):
            raise ValueError("trees: a feature that does not exist")
        if len(self.trees.values[0]) != len(OUTPUTS):
            raise ValueError(f"trees: expected {len(OUTPUTS)} values per node")
        return self


def save_trust(path: Path, trust: Trust) -> None:
    """Write trust.json atomically."""
    save_text(path, trust.model_dump_json() + "\n")


def load_trust(path: Path, weights_sha256: str) -> Trust | None:
    """Read trust.json; None if there is none.

    Raises:
        HamError: it is damaged, of a newer version, or belongs to other weights.
    """
    if not path.exists():
        return None
    again = f"write it again with `python -m ham_keras.calibrate {path.parent}`"
    try:
        content = load_json(path)
        version = content["version"]
        if not isinstance(version, int) or version <= VERSION:
            trust = Trust.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise HamError(f"{path}: damaged ({place + ': ' if place else ''}{first['msg']}); {again}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise HamError(f"{path}: damaged ({type(error).__name__}: {error}); {again}") from None
    if version > VERSION:
        raise HamError(f"{path}: has version {version}, but this ham_keras reads version {VERSION}; {again}")
    if trust.weights_sha256 != weights_sha256:
        raise OtherWeightsError(f"{path}: was made with other weights; {again}")
    return trust


def is_stale(path: Path, weights_sha256: str) -> bool:
    """Whether there is a trust.json of other weights; one that is damaged is not known to be."""
    try:
        load_trust(path, weights_sha256)
    except OtherWeightsError:
        return True
    except HamError:
        pass
    return False


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
