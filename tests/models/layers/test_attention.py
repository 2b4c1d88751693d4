"""Reverse attention, with values worked out by hand."""

from __future__ import annotations

import numpy as np

from ham_keras.models.layers.attention import ReverseAttention


def test_features_are_weighted_by_the_probability_of_skin() -> None:
    features = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32).reshape(1, 1, 2, 2)
    odds = np.array([3.0, 1 / 4], np.float32).reshape(1, 1, 2, 1)  # of lesion: probabilities 3/4 and 1/5
    found = ReverseAttention()([features, np.log(odds)])
    np.testing.assert_allclose(found, [[[[0.25, 0.5], [2.4, 3.2]]]], rtol=1e-6)
