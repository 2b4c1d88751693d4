"""Texture of a lesion, and the segmentation network's doubt about it."""

from __future__ import annotations

import numpy as np

from ham_keras.diagnosis.crops import lesion_box
from ham_keras.diagnosis.view import View

LEVELS = 32  # of lightness
DISTANCES_PX = (1, 3)
PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")
PATTERN_POINTS, PATTERN_RADIUS_PX = 8, 2
UNDECIDED = (0.25, 0.75)  # probabilities
BORDER_BAND = 0.06  # of the diameter, on each side


def measure_texture(view: View) -> dict[str, float]:
    """Measure the lightness pattern inside the mask.

    Returns:
        texture_<property>_<distance>px: of the co-occurrence matrix of 32 levels, the mean over four directions
            (Haralick et al. 1973).
        pattern_<k>: share of the lesion's pixels with local binary pattern k, of the ten that do not change under
            rotation (Ojala et al. 2002).
    """
    from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

    left, top, right, bottom = lesion_box(view.mask, 0)
    rim = PATTERN_RADIUS_PX + 1  # which patterns at the outline look at
    part = np.s_[max(0, top - rim) : bottom + rim, max(0, left - rim) : right + rim]
    inside = view.mask[part] > 0
    lightness = np.clip(view.lab[part][..., 0], 0, 100)
    levels = np.where(inside, 1 + np.minimum((lightness * (LEVELS / 100)).astype(np.uint8), LEVELS - 1), 0)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    matrix = graycomatrix(levels.astype(np.uint8), DISTANCES_PX, angles, LEVELS + 1, symmetric=True)[
        1:, 1:
    ]  # 0 is skin
    counts = matrix.sum((0, 1))
    found: dict[str, float] = {}
    for name in PROPERTIES:
        values = graycoprops(matrix, name)
        for distance, row, has_pairs in zip(DISTANCES_PX, values, counts.all(1), strict=True):
            found[f"texture_{name}_{distance}px"] = float(row.mean()) if has_pairs else float("nan")
    grey = (lightness * 2.55).astype(np.uint8)
    patterns = local_binary_pattern(grey, PATTERN_POINTS, PATTERN_RADIUS_PX, "uniform")[inside].astype(int)
    shares = np.bincount(patterns, minlength=PATTERN_POINTS + 2) / len(patterns)
    return found | {f"pattern_{number}": float(share) for number, share in enumerate(shares)}


def measure_doubt(view: View) -> dict[str, float]:
    """Measure the network's doubt, 1 - |2 p - 1| for probability p: 0 is certain, 1 undecided; nan without a network.

    Returns:
        doubt_border_mean, doubt_border_high: mean and 95th percentile in a band along the border; nan if the lesion
            fills the view and has none.
        doubt_inside: mean inside, away from the border; 0 if the lesion is all border.
        doubt_area: area with a probability of 0.25 to 0.75 over the lesion's.
    """
    names = ("doubt_border_mean", "doubt_border_high", "doubt_inside", "doubt_area")
    if view.probability is None:
        return dict.fromkeys(names, float("nan"))
    doubt = 1 - np.abs(2 * view.probability - 1)
    band = max(2.0, BORDER_BAND * view.diameter_px)
    border, inner = doubt[np.abs(view.depth_px) <= band], doubt[view.depth_px > band]
    undecided = (view.probability > UNDECIDED[0]) & (view.probability < UNDECIDED[1])
    values = (
        *((border.mean(), np.percentile(border, 95)) if len(border) else (np.nan, np.nan)),
        inner.mean() if len(inner) else 0.0,
        undecided.sum() / view.mask.sum(),
    )
    return {name: float(value) for name, value in zip(names, values, strict=True)}
