"""Gradient-boosted trees (Chen and Guestrin, KDD 2016): training, saving as XGBoost's JSON, prediction, explanation."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ham_keras.diagnosis.config import Classifier
from ham_keras.errors import HamError
from ham_keras.files import load_json

CLASSIFIER = "classifier.json"
EXTRA = {"xgboost": "xgboost", "skimage": "scikit-image"}  # modules and packages of the extra `diagnosis`
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def import_xgboost() -> Any:
    """The module.

    Raises:
        HamError: the extra `diagnosis` is not installed.
    """
    for module, package in EXTRA.items():
        if importlib.util.find_spec(module) is None:
            raise HamError(f"{package} is not installed; pip install {' '.join(EXTRA.values())}")
    import xgboost

    return xgboost


def class_weights(labels: Labels, classes: int, power: float) -> npt.NDArray[np.float64]:
    """The weight of each class, (1 / frequency)^power, scaled so that the images weigh 1 on average."""
    counts = np.bincount(labels, minlength=classes)
    weights = (1 / np.maximum(counts, 1)) ** power
    return np.asarray(weights * counts.sum() / (weights * counts).sum(), np.float64)


class Trees:
    """Trained classifiers of several seeds; their probabilities are averaged.

    Attributes:
        classes: the diagnoses, in the order of the probabilities.
        names: of the features, in order.
        boosters: one per seed, cut at its best round.
        odds: [K], by which probabilities are multiplied to answer with one diagnosis.
        margin_scale: by which the last K features, a network's log-probabilities, are multiplied to be what the trees
            start from, see `fit_margin_scale`; None if the trees start from nothing, and these are features.
    """

    def __init__(
        self,
        classes: Sequence[str],
        names: Sequence[str],
        boosters: Sequence[Any],
        odds: Sequence[float],
        margin_scale: float | None = None,
    ) -> None:
        self.classes, self.names, self.boosters = list(classes), list(names), list(boosters)
        self.odds = np.array(odds, np.float64)
        self.margin_scale = margin_scale

    def probabilities(self, features: Floats) -> Floats:
        """Probabilities [N, K] of features [N, F]."""
        inputs, margin = split_margin(features, len(self.classes), self.margin_scale)
        parts = [booster.inplace_predict(inputs, base_margin=margin) for booster in self.boosters]
        return np.asarray(np.mean(parts, 0), np.float32)

    def contributions(self, features: Floats) -> Floats:
        """SHAP values [N, K, F] (Lundberg et al. 2020): what each feature adds to the log-odds of each class.

        What the trees start from adds its difference from its mean over these images.
        """
        inputs, margin = split_margin(features, len(self.classes), self.margin_scale)
        data = import_xgboost().DMatrix(inputs)
        parts = [booster.predict(data, pred_contribs=True, strict_shape=True)[..., :-1] for booster in self.boosters]
        added = np.asarray(np.mean(parts, 0), np.float32)
        if margin is None:
            return added
        started = (margin - margin.mean(0))[:, :, None] * np.eye(len(self.classes), dtype=np.float32)
        return np.concatenate([added, started], 2)

    def gains(self) -> dict[str, float]:
        """The total gain of each feature's splits as a share of all, 0..1; features without a split are left out."""
        totals = np.zeros(len(self.names))
        for booster in self.boosters:
            for name, gain in booster.get_score(importance_type="total_gain").items():
                totals[int(name.removeprefix("f"))] += gain
        shares = totals / max(totals.sum(), 1e-12)
        return {name: float(share) for name, share in zip(self.names, shares, strict=True) if share}

    def describe(self) -> dict[str, Any]:
        """The content of classifier.json that `load_trees` needs."""
        rounds = [booster.num_boosted_rounds() for booster in self.boosters]
        return {
            "classes": self.classes, "features": self.names, "rounds": rounds, "odds": self.odds.tolist(),
            "margin_scale": self.margin_scale,
        }  # fmt: skip


def split_margin(features: Floats, classes: int, scale: float | None) -> tuple[Floats, Floats | None]:
    """Features [N, F] without the last K, and these times `scale` [N, K]; all features and None without a scale."""
    if scale is None:
        return features, None
    return np.ascontiguousarray(features[:, :-classes]), np.ascontiguousarray(scale * features[:, -classes:])


def fit_margin_scale(features: Floats, labels: Labels, classes: int, power: float) -> float:
    """The factor, 0.05 to 5, for the log-probabilities in the last K features with the lowest weighted log loss.

    It is the inverse of a temperature (Guo et al. 2017), below 1 for networks that are too sure of themselves. Fitted
    on the answers of single networks, each to images it has not seen, it is used for the mean of networks, or one of
    all images, too, which may be less sure, or more.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    weights = class_weights(labels, classes, power)[labels]
    logits, rows = features[:, -classes:].astype(np.float64), np.arange(len(labels))

    def loss(scale: float) -> float:
        return -float(np.average(log_softmax(scale * logits, axis=1)[rows, labels], weights=weights))

    return float(minimize_scalar(loss, bounds=(0.05, 5.0), method="bounded").x)


def load_trees(folder: Path) -> tuple[Trees, dict[str, Any]]:
    """The classifiers of a folder and the content of its classifier.json.

    Raises:
        HamError: a file is missing or damaged, or xgboost is not installed.
    """
    xgboost = import_xgboost()
    try:
        content = load_json(folder / CLASSIFIER)
        boosters = []
        for place in range(len(content["rounds"])):
            # A batch of images is answered before a second thread has started.
            booster = xgboost.Booster({"nthread": 1}, model_file=folder / f"seed_{place}.json")
            started = len(content["classes"]) if content.get("margin_scale") is not None else 0
            if booster.num_features() != len(content["features"]) - started:
                raise ValueError(f"seed_{place}.json has {booster.num_features()} features")
            boosters.append(booster)
        scale = content.get("margin_scale")
        return Trees(content["classes"], content["features"], boosters, content["odds"], scale), content
    except FileNotFoundError:
        raise HamError(f"{folder}: has no classifier yet; run diagnose with its config first") from None
    except (ValueError, KeyError, TypeError, xgboost.core.XGBoostError) as error:
        first = str(error).strip().splitlines()[0]
        raise HamError(f"{folder}: not a classifier ({first}); run diagnose with --overwrite") from None


def train_trees(
    train: tuple[Floats, Labels],
    val: tuple[Floats, Labels],
    classes: Sequence[str],
    names: Sequence[str],
    settings: Classifier,
    seed: int,
    margin_scale: float | None = None,
) -> Any:
    """Train the booster of one seed on features [N, F] and labels [N], indices of `classes`; stop early on `val`.

    `margin_scale` is that of `Trees`.
    """
    xgboost = import_xgboost()
    weights = class_weights(train[1], len(classes), settings.class_weight_power)
    (inputs, margin), (held_out_inputs, held_out_margin) = (
        split_margin(features, len(classes), margin_scale) for features, _ in (train, val)
    )
    data = xgboost.QuantileDMatrix(inputs, train[1], weight=weights[train[1]], base_margin=margin)
    held_out = xgboost.QuantileDMatrix(
        held_out_inputs, val[1], weight=weights[val[1]], base_margin=held_out_margin, ref=data
    )
    parameters = {
        "objective": "multi:softprob",
        "num_class": len(classes),
        "eval_metric": "mlogloss",
        "tree_method": "hist",
        "eta": settings.learning_rate,
        "max_depth": settings.max_depth,
        "min_child_weight": settings.min_child_weight,
        "subsample": settings.subsample,
        "colsample_bytree": settings.colsample,
        "lambda": settings.l2,
        "seed": seed,
    }
    booster = xgboost.train(
        parameters, data, settings.rounds, evals=[(held_out, "val")], verbose_eval=False,
        early_stopping_rounds=settings.early_stopping_rounds,
    )  # fmt: skip
    return booster[: booster.best_iteration + 1]
