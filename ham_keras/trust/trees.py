"""Bagged regression trees as plain numbers, evaluated in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    import tensorflow as tf
    from sklearn.ensemble import ExtraTreesRegressor


class Trees(BaseModel):
    """Regression trees. Nodes of all trees are numbered together; a leaf is its own child on both sides.

    A prediction is the mean of the trees' leaves, so it lies within the range of the values.

    Attributes:
        roots: the first node of each tree.
        depth: number of steps from the root to the deepest leaf.
        feature, threshold: of each node; an image goes left if its feature is at most the threshold.
        left, right: the node's children.
        values: of each node, one number per output.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    roots: list[int]
    depth: int
    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    values: list[list[float]]

    @model_validator(mode="after")
    def _check_shapes(self) -> Self:
        nodes = len(self.feature)
        if {len(self.threshold), len(self.left), len(self.right), len(self.values)} != {nodes}:
            raise ValueError("trees: lists of different lengths")
        if not self.roots or not all(0 <= node < nodes for node in (*self.roots, *self.left, *self.right)):
            raise ValueError("trees: a node that does not exist")
        if len({len(value) for value in self.values}) != 1:
            raise ValueError("trees: nodes with different numbers of values")
        return self

    def predict(self, features: tf.Tensor) -> tf.Tensor:
        """Map features, float32 [N, F], to outputs, float32 [N, K]."""
        import tensorflow as tf

        feature, left, right = (tf.constant(each, tf.int32) for each in (self.feature, self.left, self.right))
        threshold = tf.constant(self.threshold, tf.float32)
        nodes = tf.tile(tf.constant(self.roots, tf.int32)[None], [tf.shape(features)[0], 1])
        for _ in range(self.depth):
            values = tf.gather(features, tf.gather(feature, nodes), batch_dims=1)
            goes_left = values <= tf.gather(threshold, nodes)
            nodes = tf.where(goes_left, tf.gather(left, nodes), tf.gather(right, nodes))
        return tf.reduce_mean(tf.gather(tf.constant(self.values, tf.float32), nodes), axis=1)


def export_trees(forest: ExtraTreesRegressor, factors: Sequence[float]) -> Trees:
    """Convert scikit-learn's trees, with each output times its factor; equal up to the rounding of float32."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("feature", "threshold", "left", "right", "values")}
    roots, depth, first = [], 0, 0
    for estimator in forest.estimators_:
        tree = estimator.tree_
        own = np.arange(tree.node_count)
        leaf = tree.children_left < 0
        roots.append(first)
        depth = max(depth, int(tree.max_depth))
        parts["feature"].append(np.where(leaf, 0, tree.feature))
        parts["threshold"].append(np.where(leaf, 0.0, _round_down(tree.threshold)))
        parts["left"].append(first + np.where(leaf, own, tree.children_left))
        parts["right"].append(first + np.where(leaf, own, tree.children_right))
        parts["values"].append(tree.value[:, :, 0] * np.asarray(factors))
        first += tree.node_count
    joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    joined["values"] = shorten(joined["values"])
    return Trees(roots=roots, depth=depth, **{name: values.tolist() for name, values in joined.items()})


def shorten(values: np.ndarray) -> np.ndarray:
    """Round to seven significant digits, float32's precision, so that files stay small."""
    return np.array([float(f"{value:.7g}") for value in np.ravel(values)]).reshape(np.shape(values))


def _round_down(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above each threshold: the same decisions for float32 features."""
    rounded = thresholds.astype(np.float32)
    above = rounded > thresholds
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    # Nine digits identify a float32.
    return np.array([float(f"{value:.9g}") for value in rounded])
