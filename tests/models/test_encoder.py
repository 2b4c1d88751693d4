"""The encoder's first features are found in every architecture, with and without preprocessing before the network."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from ham_keras.errors import HamError
from ham_keras.models.build import build_model
from ham_keras.models.encoder import find_first_stage, with_encoding
from ham_keras.models.registry import ARCHITECTURES
from ham_keras.settings import Model

CHANNELS = {"resnet18": 64, "mobilenet": 64, "vgg16": 128, "efficientnetb0": 96}
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)


@pytest.mark.parametrize("architecture", ARCHITECTURES.names())
@pytest.mark.parametrize("backbone", CHANNELS)
def test_encoding_is_added_and_the_probability_stays(architecture: str, backbone: str) -> None:
    model = build_model(Model(architecture=architecture, backbone=backbone, encoder_weights=None))
    probability, encoding = with_encoding(model)(IMAGES, training=False)
    assert encoding.shape == (2, CHANNELS[backbone]) and encoding.dtype == "float32"
    np.testing.assert_allclose(probability, model(IMAGES, training=False), atol=1e-6)
    inner = next((layer for layer in model.layers if isinstance(layer, keras.Model)), model)
    small = keras.Model(inner.input, find_first_stage(inner))
    assert small(IMAGES, training=False).shape == (2, 32, 48, CHANNELS[backbone])  # half the image


def test_network_without_stages_is_refused() -> None:
    image = keras.Input((None, None, 3))
    with pytest.raises(HamError, match=r"^flat: never halves its features twice"):
        with_encoding(keras.Model(image, keras.layers.Conv2D(1, 1)(image), name="flat"))
