"""Features of probability maps, worked out on discs and squares."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ham_keras.trust.feature_names import FEATURES
from ham_keras.trust.features import measure

SIZE = 64
ROWS, COLUMNS = np.indices((SIZE, SIZE))
DISC = (np.hypot(ROWS - 31.5, COLUMNS - 31.5) <= 16).astype(np.float32)
GREY = np.full((SIZE, SIZE, 3), 128, np.uint8)


def features(probability: np.ndarray, image: np.ndarray = GREY) -> dict[str, float]:
    found = measure(tf.constant(image[None]), tf.constant(probability[None, ..., None]), 0.5).numpy()
    assert found.shape == (1, len(FEATURES)) and np.isfinite(found).all()
    return dict(zip(FEATURES, found[0].tolist(), strict=True))


def test_certain_disc() -> None:
    image = np.where(DISC[..., None] > 0, np.array([50, 50, 50]), np.array([204, 50, 50])).astype(np.uint8)
    found = features(DISC, image)
    for name in ("soft_jaccard", "agreement_0.1", "agreement_0.3", "agreement_0.4", "spread", "highest"):
        assert found[name] == pytest.approx(1, abs=0.01), name
    for name in ("unsure", "inside", "outside", "frame"):
        assert found[name] == 0, name
    assert found["lesion_fraction"] == found["soft_fraction"] == pytest.approx(DISC.mean())
    assert found["contrast"] == pytest.approx(154 / 255, abs=0.01)


def test_uncertain_rim_worked_out() -> None:
    rim = (np.hypot(ROWS - 31.5, COLUMNS - 31.5) <= 20).astype(np.float32) - DISC
    found = features(DISC + 0.4 * rim)
    inner, outer = DISC.sum(), rim.sum()
    assert found["soft_jaccard"] == pytest.approx(inner / (inner + 0.4 * outer), rel=1e-4)
    assert found["agreement_0.3"] == pytest.approx(inner / (inner + outer), rel=1e-2)
    assert found["agreement_0.1"] == pytest.approx(inner / (inner + outer), rel=1e-2)
    assert found["unsure"] == pytest.approx(outer / inner, rel=1e-2)
    assert found["outside"] == pytest.approx(0.4 * outer / inner, rel=1e-2)
    assert found["band_entropy"] > features(DISC)["band_entropy"] + 0.1


def test_two_parts_and_frame() -> None:
    parts = np.zeros((SIZE, SIZE), np.float32)
    parts[8:24, 8:24] = 0.9
    parts[40:48, 40:56] = 0.6
    found = features(parts)
    assert found["spread"] > 1.5
    stripe = np.zeros((SIZE, SIZE), np.float32)
    stripe[:, :16] = 1
    assert features(stripe)["frame"] == pytest.approx((64 + 16 + 16) / 256)


def test_empty_map_and_blurred_image() -> None:
    found = features(np.full((SIZE, SIZE), 0.2, np.float32))
    assert found["lesion_fraction"] == found["soft_jaccard"] == 0
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    smooth = np.repeat(np.repeat(noise[::16, ::16], 16, axis=0), 16, axis=1)
    assert features(DISC, smooth)["focus"] < 0.5 * features(DISC, noise)["focus"]


def test_batch_equals_its_images_one_by_one() -> None:
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=(3, 32, 48, 1)).astype(np.float32)
    images = rng.integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
    together = measure(tf.constant(images), tf.constant(probability), 0.5).numpy()
    alone = [measure(tf.constant(images[i : i + 1]), tf.constant(probability[i : i + 1]), 0.5)[0] for i in range(3)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-4, atol=1e-5)
