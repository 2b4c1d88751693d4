"""What the trees use: gain and SHAP values, by feature and by group of features."""

from __future__ import annotations

import numpy as np

from ham_keras.diagnosis.folder import DiagnosisFolder
from ham_keras.diagnosis.measures import group_of
from ham_keras.diagnosis.trees import Floats, Trees
from ham_keras.files import save_csv

EXPLAINED_IMAGES = 200  # at most; SHAP values of many features and classes are large


def save_importances(folder: DiagnosisFolder, trees: Trees, features: Floats) -> None:
    """Write importances.csv, a row per feature, and importance_groups.csv, a row per group of features.

    `gain` is the share of the trees' gain. `shap` is the mean over images and diagnoses of |log-odds added|, and
    `shap_<diagnosis>` that of one diagnosis; a group adds the sum of what its features add to an image. At most 200
    images of `features`, evenly spaced, are explained.
    """
    step = -(-len(features) // EXPLAINED_IMAGES)
    added, gains = trees.contributions(features[::step]), trees.gains()
    rows = [
        {"feature": name, "group": group_of(name), **_strengths(added[:, :, place], gains.get(name, 0.0), trees)}
        for place, name in enumerate(trees.names)
    ]
    members: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        members.setdefault(str(row["group"]), []).append(place)
    groups = [
        {
            "group": group,
            "features": len(places),
            **_strengths(
                added[:, :, places].sum(2), sum(gains.get(trees.names[place], 0.0) for place in places), trees
            ),
        }
        for group, places in members.items()
    ]
    for path, table in ((folder.importances, rows), (folder.importance_groups, groups)):
        save_csv(path, sorted(table, key=lambda row: (-row["shap"], -row["gain"])))


def _strengths(added: Floats, gain: float, trees: Trees) -> dict[str, float]:
    by_class = np.abs(added).mean(0)
    return {
        "gain": round(gain, 6),
        "shap": round(float(by_class.mean()), 6),
        **{f"shap_{name}": round(float(value), 6) for name, value in zip(trees.classes, by_class, strict=True)},
    }
