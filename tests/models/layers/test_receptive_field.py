"""The windows of a receptive-field block."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from ham_keras.models.layers.receptive_field import BRANCHES, receptive_field_block


@pytest.mark.parametrize("length", BRANCHES)
def test_each_branch_sees_its_window(length: int) -> None:
    """An impulse spreads over the 1xk and kx1 convolutions and, in steps of k, over the dilated one."""
    features = keras.Input((41, 41, 1))
    model = keras.Model(features, receptive_field_block(features, 2, "rfb"))
    branch = keras.Model(features, model.get_layer(f"rfb_{length}d_conv").output)
    for layer in branch.layers:
        if layer.name.endswith("_conv"):
            layer.set_weights([np.ones_like(weight) for weight in layer.get_weights()])
    impulse = np.zeros((1, 41, 41, 1), np.float32)
    impulse[0, 20, 20] = 1
    seen = branch(impulse).numpy()[0, ..., 0] > 0
    half = length // 2 + length
    expected = np.zeros((41, 41), bool)
    expected[20 - half : 21 + half, 20 - half : 21 + half] = True
    np.testing.assert_array_equal(seen, expected)
