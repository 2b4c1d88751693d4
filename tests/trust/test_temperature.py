"""Temperature scaling lowers the calibration error of an over-confident network and moves no mask."""

from __future__ import annotations

import numpy as np
import pytest

from ham_keras.trust.temperature import calibration_error, fit_temperature, scale_probability


def draw_pixels(sharpened: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=20000)
    lesion = rng.uniform(size=20000) < 1 / (1 + np.exp(-logits))
    return (1 / (1 + np.exp(-sharpened * logits))).astype(np.float32), lesion


def test_overconfidence_is_found() -> None:
    probability, lesion = draw_pixels(2.0)
    temperature, before, after = fit_temperature(probability, lesion, 0.5)
    assert temperature == pytest.approx(2.0, rel=0.1)
    assert after < 0.02 < before == calibration_error(probability, lesion)


def test_calibrated_network_is_left_alone_or_nearly() -> None:
    temperature, before, after = fit_temperature(*draw_pixels(1.0), 0.5)
    assert temperature == pytest.approx(1.0, rel=0.06) and after <= before


def test_no_pixel_crosses_the_threshold() -> None:
    probability = np.linspace(0, 1, 1001, dtype=np.float32)
    for threshold in (0.3, 0.5):
        scaled = scale_probability(probability, 3.0, threshold)
        clear = np.abs(probability - threshold) > 1e-6
        assert np.array_equal((scaled > threshold)[clear], (probability > threshold)[clear])
        assert np.all(np.diff(scaled) >= 0)


def test_calibration_error_worked_out() -> None:
    probability = np.array([0.9, 0.9, 0.1, 0.1], np.float32)
    assert calibration_error(probability, np.array([True, False, False, False])) == pytest.approx((0.4 + 0.1) / 2)
