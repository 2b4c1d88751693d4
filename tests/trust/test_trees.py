"""Trees in TensorFlow give scikit-learn's predictions, and stay within the range of what they learnt."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError
from sklearn.ensemble import ExtraTreesRegressor

from ham_keras.trust.trees import Trees, export_trees

RNG = np.random.default_rng(0)


def test_predictions_equal_those_of_scikit_learn() -> None:
    features = RNG.normal(size=(200, 5)).astype(np.float32)
    features[:, 4] = RNG.integers(0, 3, 200)  # values that lie on thresholds of others
    targets = np.stack([features[:, 0] ** 2, features[:, 1] - features[:, 4]], axis=1)
    forest = ExtraTreesRegressor(20, min_samples_leaf=2, bootstrap=True, random_state=0).fit(features, targets)
    trees = Trees.model_validate(json.loads(export_trees(forest, (1, 10)).model_dump_json()))
    more = np.concatenate([features, RNG.normal(size=(200, 5)).astype(np.float32), np.full((1, 5), 99, np.float32)])
    found = trees.predict(tf.constant(more)).numpy()
    np.testing.assert_allclose(found, forest.predict(more) * (1, 10), rtol=0, atol=1e-5)
    assert found[:, 0].min() >= targets[:, 0].min() and found[:, 0].max() <= targets[:, 0].max()


def test_single_split_worked_out() -> None:
    trees = Trees(
        roots=[0], depth=1, feature=[1, 0, 0], threshold=[0.5, 0, 0], left=[1, 1, 2], right=[2, 1, 2],
        values=[[0.0], [3.0], [7.0]],
    )  # fmt: skip
    found = trees.predict(tf.constant([[9.0, 0.5], [-9.0, 0.6]]))
    assert found.numpy().tolist() == [[3.0], [7.0]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"left": [1, 1, 3]}, "does not exist"),
        ({"threshold": [0.5]}, "different lengths"),
        ({"values": [[0.0], [1.0], [1.0, 2.0]]}, "different numbers"),
    ],
)
def test_damaged_trees_are_refused(change: dict[str, list[float]], problem: str) -> None:
    whole = {
        "roots": [0], "depth": 1, "feature": [1, 0, 0], "threshold": [0.5, 0, 0], "left": [1, 1, 2], "right": [2, 1, 2],
        "values": [[0.0], [3.0], [7.0]],
    }  # fmt: skip
    with pytest.raises(ValidationError, match=problem):
        Trees.model_validate(whole | change)
