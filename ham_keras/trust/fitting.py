"""Fit what trust.json holds, from a network's answers to images that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ham_keras.errors import HamError
from ham_keras.trust.assess import (
    SMALLEST_DEVIATION,
    SMALLEST_DIAMETER,
    SMALLEST_DISTANCE,
    WHOLE_IMAGE,
    measure_distance,
)
from ham_keras.trust.feature_names import FEATURES
from ham_keras.trust.file import InputCheck
from ham_keras.trust.trees import Trees, export_trees, shorten

Floats = npt.NDArray[np.float64]

COVERAGE = 0.9  # of the lower bound of the Jaccard index, and of the margin
FALSE_ALARMS = 0.01
SMALLEST_LESIONS = 20
FOLDS = 10
TREES, LEAF_IMAGES, FEATURE_SHARE = 100, 5, 0.5
STRUCTURE = 1e-4  # weight of the other outputs when splits are chosen
LARGEST_DISTANCE = 2.0  # relative to the diameter, as a target
AXES = 32
SMALLEST_SCALE = 1e-6  # a number of the encoding that varies less is constant
SMALLEST_RESIDUAL = 1e-3  # of the variance along the axes: what lies outside them may be rounding errors


@dataclass(frozen=True)
class Answers:
    """A network's answers to n images that it was not trained on, with their true masks' verdict.

    Attributes:
        features: [n, F], see `features.FEATURES`.
        jaccard: [n], 0..1.
        distance: [n], from the true outline to ours at most, relative to the root of the image's area.
        lesions: the lesion of each image.
    """

    features: npt.NDArray[np.float32]
    jaccard: Floats
    distance: Floats
    lesions: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.jaccard)

    def feature(self, name: str) -> npt.NDArray[np.float32]:
        return self.features[:, FEATURES.index(name)]

    def take(self, index: npt.NDArray[np.intp]) -> Answers:
        return Answers(self.features[index], self.jaccard[index], self.distance[index], self.lesions[index])


@dataclass(frozen=True)
class Quality:
    """The fitted trees with the features' range, the two conformal factors, and out-of-fold numbers of each image."""

    lowest: list[float]
    highest: list[float]
    trees: Trees
    jaccard_factor: float
    margin_factor: float
    out_of_fold: dict[str, Floats]


def fit_quality(answers: Answers, former: Answers | None = None, *, seed: int = 0) -> Quality:
    """Fit the trees, and the factors that make their lower bound and margin hold for 9 of 10 images.

    The factors are cross-conformal (Vovk, Annals of Mathematics and AI 74, 2015): each image is predicted by trees
    that saw no image of its lesion. Residuals are divided by the predicted deviation, so that bounds are tight where
    the network is good (normalised scores: Papadopoulos, Gammerman and Vovk, 2008).

    Args:
        answers: of the images for which the bounds shall hold.
        former: of other images, from which the trees learn too. Together they have the same weight.

    Raises:
        HamError: images of fewer than 20 lesions.
    """
    from sklearn.model_selection import GroupKFold

    check_enough(answers.lesions)
    outputs = np.empty((len(answers), 3))
    for others, held_out in GroupKFold(FOLDS).split(answers.features, groups=answers.lesions):
        clip = _range(answers.take(others), former)
        forest = fit_forest(answers.take(others), former, seed=seed)
        outputs[held_out] = _predict(forest, np.clip(answers.features[held_out], *clip))
    mean, squared, distance = outputs.T
    empty = answers.feature("lesion_fraction") <= 0
    expected = np.where(empty, 0.0, mean)
    deviations = np.maximum(np.sqrt(np.maximum(squared - mean**2, 0)), SMALLEST_DEVIATION)
    scale = np.maximum(distance, SMALLEST_DISTANCE) * _diameter(answers)
    jaccard_scores = (expected - answers.jaccard) / deviations
    margin_scores = np.where(empty, 0.0, answers.distance / scale)
    jaccard_factor = max(0.0, conformal_quantile(jaccard_scores, answers.lesions, COVERAGE))
    margin_factor = conformal_quantile(margin_scores, answers.lesions, COVERAGE)
    lowest, highest = _range(answers, former)
    return Quality(
        shorten(lowest).tolist(),
        shorten(highest).tolist(),
        export_trees(fit_forest(answers, former, seed=seed), (1, 1 / STRUCTURE, 1 / STRUCTURE)),
        jaccard_factor,
        margin_factor,
        {
            "expected_jaccard": expected,
            "jaccard_at_least": np.clip(expected - jaccard_factor * deviations, 0, 1),
            "margin": np.where(empty, WHOLE_IMAGE, np.minimum(margin_factor * scale, WHOLE_IMAGE)),
        },
    )


def has_enough(lesions: Iterable[str]) -> bool:
    """Whether there are images of at least 20 lesions."""
    return len(set(lesions)) >= SMALLEST_LESIONS


def check_enough(lesions: Iterable[str]) -> None:
    """Check that there are images of enough lesions.

    Raises:
        HamError: fewer than 20.
    """
    lesions = set(lesions)
    if not has_enough(lesions):
        raise HamError(
            f"{len(lesions)} lesions with masks; expected at least {SMALLEST_LESIONS} that were not trained on"
        )


def fit_forest(answers: Answers, former: Answers | None = None, *, seed: int = 0) -> Any:
    """Fit scikit-learn's ExtraTrees (Geurts, Ernst and Wehenkel 2006) to the Jaccard index of the images.

    The square of the index and the outline's distance are further outputs, but too small to decide a split: a leaf has
    the mean of each over the same images, as in quantile regression forests (Meinshausen 2006).
    """
    from sklearn.ensemble import ExtraTreesRegressor

    parts = [answers] if former is None else [answers, former]
    distance = [np.minimum(part.distance / _diameter(part), LARGEST_DISTANCE) for part in parts]
    jaccard = np.concatenate([part.jaccard for part in parts])
    targets = np.stack([jaccard, STRUCTURE * jaccard**2, STRUCTURE * np.concatenate(distance)], axis=1)
    weights = np.concatenate([np.full(len(part), len(answers) / len(part)) for part in parts])
    forest = ExtraTreesRegressor(
        TREES, min_samples_leaf=LEAF_IMAGES, max_features=FEATURE_SHARE, bootstrap=True, random_state=seed
    )
    lowest, highest = _range(answers, former)
    features = np.concatenate([part.features for part in parts])
    return forest.fit(np.clip(features, lowest, highest), targets, weights)


def conformal_quantile(scores: Floats, lesions: Sequence[str] | npt.NDArray[np.str_], coverage: float) -> float:
    """Return the smallest score that bounds an image's of a further lesion with probability `coverage`.

    Images of a lesion share its weight, so that the bound holds over lesions: the quantile of the pooled distribution
    of Dunn, Wasserman and Ramdas (JASA 118, 2023) with the correction for the further lesion. The largest score if
    there are too few lesions.
    """
    _, index, counts = np.unique(np.asarray(lesions), return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    cumulative = np.cumsum((1 / counts[index])[order])
    needed = coverage * (len(counts) + 1)
    place = int(np.searchsorted(cumulative, needed - 1e-9))
    return float(scores[order][min(place, len(scores) - 1)])


def fit_input_check(
    training: npt.NDArray[np.float32], unseen: npt.NDArray[np.float32], lesions: npt.NDArray[np.str_]
) -> InputCheck:
    """Fit a Gaussian to the encodings of training images; its limit lets pass 99 % of those of unseen images.

    The covariance is shrunk as in Ledoit and Wolf (Journal of Multivariate Analysis 88, 2004).

    Args:
        training, unseen: encodings, [n, C].
        lesions: of the unseen images.
    """
    from sklearn.covariance import LedoitWolf
    from sklearn.decomposition import PCA

    mean, scale = training.mean(axis=0), training.std(axis=0)
    scale = np.where(scale > SMALLEST_SCALE, scale, 1.0)
    standard = (training - mean) / scale
    analysis = PCA(min(AXES, training.shape[1], max(1, len(training) // 2)), svd_solver="full").fit(standard)
    along = analysis.transform(standard)
    gaussian = LedoitWolf().fit(along)
    outside = (standard**2).sum(axis=1) - (along**2).sum(axis=1)
    check = InputCheck(
        mean=shorten(mean).tolist(),
        scale=shorten(scale).tolist(),
        axes=shorten(analysis.components_).tolist(),
        whitening=shorten(np.linalg.cholesky(gaussian.precision_)).tolist(),
        residual=max(float(outside.mean()), SMALLEST_RESIDUAL * float(along.var(axis=0).sum()), 1e-12),
        limit=1.0,
    )
    return check.model_copy(update={"limit": input_limit(check, unseen, lesions)})


def input_limit(check: InputCheck, unseen: npt.NDArray[np.float32], lesions: npt.NDArray[np.str_]) -> float:
    """Return the distance that 99 % of such images do not exceed."""
    distances = measure_distance(unseen.astype(np.float32), check).numpy().astype(float)
    return conformal_quantile(distances, lesions, 1 - FALSE_ALARMS)


def _range(answers: Answers, former: Answers | None) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    features = answers.features if former is None else np.concatenate([answers.features, former.features])
    return features.min(axis=0), features.max(axis=0)


def _diameter(answers: Answers) -> Floats:
    return np.maximum(np.sqrt(4 / math.pi * answers.feature("soft_fraction")), SMALLEST_DIAMETER)


def _predict(forest: Any, features: npt.NDArray[np.float32]) -> Floats:
    return np.asarray(forest.predict(features)) / (1, STRUCTURE, STRUCTURE)
