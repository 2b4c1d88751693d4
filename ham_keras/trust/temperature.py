"""Temperature scaling of probabilities near the outline (Guo et al., ICML 2017)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

TEMPERATURES = np.geomspace(0.5, 4, 61)
BINS = 15
CLIP = 1e-6


def scale_probability(probability: Floats, temperature: float, threshold: float) -> Floats:
    """Return calibrated probabilities. Those above the threshold stay above it, so no mask changes."""
    centre = np.log(threshold / (1 - threshold))
    clipped = np.clip(probability, CLIP, 1 - CLIP)
    logits = (np.log(clipped / (1 - clipped)) - centre) / temperature + centre
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def fit_temperature(probability: Floats, lesion: npt.NDArray[np.bool_], threshold: float) -> tuple[float, float, float]:
    """Return the temperature with the highest likelihood, and the calibration error without and with it.

    The temperature is 1 if none lowers the error.

    Args:
        probability, lesion: of pixels near the outline, [n].
    """

    def loss(temperature: float) -> float:
        scaled = np.clip(scale_probability(probability, temperature, threshold).astype(float), CLIP, 1 - CLIP)
        return float(-np.where(lesion, np.log(scaled), np.log(1 - scaled)).mean())

    best = float(min(TEMPERATURES, key=loss))
    before = calibration_error(probability, lesion)
    after = calibration_error(scale_probability(probability, best, threshold), lesion)
    return (best, before, after) if after < before else (1.0, before, before)


def calibration_error(probability: Floats, lesion: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error: mean distance of probability and frequency over 15 equal bins, by their sizes."""
    places = np.minimum((probability * BINS).astype(int), BINS - 1)
    sums = np.bincount(places, probability - lesion, BINS)
    return float(np.abs(sums).sum() / len(probability))
