"""What lesions and skin look like: ranges of their random traits, by diagnosis.

Colours, sizes and the place of the outline follow aggregate numbers of real images: medians, 10 % and 90 % quantiles
over 900 images of HAM10000 (Tschandl, Rosendahl, Kittler, Scientific Data 5:180161, 2018) and their masks;
benchmarks/phantoms.py compares. No image or part of one is used.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ham_keras.data.phantoms.tiles import Plane, Range, log_uniform

# Density per unit of pigment in red, green and blue.
BLUE_GREY, SKIN_MELANIN, BLOOD = (
    np.array(rgb, np.float32) for rgb in ((1.0, 0.9, 0.72), (0.5, 0.74, 0.82), (0.13, 0.9, 0.62))
)
# Skin in photographs: frequency, RGB 0..255, deviations of their logarithms.
SKIN_COLOURS = (
    (0.17, (176, 143, 152), (0.09, 0.08, 0.1)),
    (0.24, (231, 154, 161), (0.05, 0.09, 0.1)),
    (0.34, (198, 169, 180), (0.08, 0.08, 0.09)),
    (0.1, (224, 194, 207), (0.07, 0.1, 0.1)),
    (0.15, (215, 134, 141), (0.05, 0.12, 0.16)),
)
# Fitzpatrick skin types: frequency, and the melanin density of the skin. Real images show few of the dark ones.
SKIN_TYPES, SKIN_TYPE_SHARES = ("I", "II", "III", "IV", "V", "VI"), (0.3, 0.32, 0.22, 0.08, 0.05, 0.03)
SKIN_TYPE_DENSITIES = (0.0, 0.0, 0.06, 0.3, 0.65, 1.05)
# Lesion area as a fraction of the image: about the quantiles of real masks, with longer tails.
FRACTION_QUANTILES = (0.0, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.985, 1.0)
FRACTIONS = (0.003, 0.025, 0.055, 0.12, 0.22, 0.37, 0.57, 0.67, 0.86, 0.985)
SECOND_LOOK = 0.35  # share of the lesions that look like another diagnosis in a part
# Relative change of pigment in the middle of a cell and where cells meet: network, globules, neither.
PATTERNS = ((-0.7, 0.9), (0.8, -0.7), (0.0, 0.0))


@dataclasses.dataclass(frozen=True)
class Look:
    """Ranges of a diagnosis. Densities are logarithms to base e of skin over lesion.

    Attributes:
        density: 10 %, 50 % and 90 % quantiles of the median density of a lesion in green; a little above what is
            measured, since blur, patches of another look and the camera take some away.
        red, blue: the density in red and blue relative to green, mean and deviation.
        edge_px: width of the soft edge.
        irregularity, deep, regression: waves of the outline, blue-grey pigment, loss of pigment in patches.
        scaly, crusted, veined: shares with scales, with crusts or ulcers, with vessels.
        patterns: how many of 20 have each of PATTERNS.
    """

    density: tuple[float, float, float]
    red: tuple[float, float]
    blue: tuple[float, float]
    edge_px: Range
    irregularity: Range
    deep: Range
    regression: Range
    scaly: float
    crusted: float
    veined: float
    patterns: tuple[int, int, int]


LOOKS = {
    "nv": Look(
        (0.28, 0.66, 1.2), (0.335, 0.1), (1.16, 0.2), (12, 75), (0.02, 0.08), (0.0, 0.15), (0.0, 0.4),
        0.02, 0.02, 0.1, (9, 4, 7),
    ),
    "mel": Look(
        (0.18, 0.5, 1.45), (0.38, 0.12), (1.22, 0.2), (12, 75), (0.04, 0.14), (0.1, 0.9), (0.2, 0.9),
        0.06, 0.12, 0.2, (9, 4, 7),
    ),
    "bkl": Look(
        (0.07, 0.27, 0.68), (0.39, 0.2), (1.22, 0.25), (8, 50), (0.03, 0.11), (0.0, 0.4), (0.1, 0.7),
        0.15, 0.1, 0.1, (4, 10, 6),
    ),
    "bcc": Look(
        (0.07, 0.24, 0.52), (0.28, 0.2), (1.04, 0.25), (12, 70), (0.04, 0.15), (0.0, 0.7), (0.2, 0.9),
        0.2, 0.35, 0.6, (0, 2, 18),
    ),
    "akiec": Look(
        (0.065, 0.18, 0.4), (0.2, 0.15), (0.99, 0.2), (8, 60), (0.04, 0.15), (0.0, 0.15), (0.2, 0.8),
        0.5, 0.3, 0.4, (0, 2, 18),
    ),
    "df": Look(
        (0.064, 0.23, 0.4), (0.22, 0.12), (0.99, 0.2), (14, 60), (0.02, 0.06), (0.0, 0.1), (0.2, 0.6),
        0.05, 0.05, 0.2, (12, 0, 8),
    ),
    "vasc": Look(
        (0.27, 0.73, 1.1), (0.22, 0.06), (0.54, 0.2), (4, 30), (0.02, 0.08), (0.0, 0.6), (0.0, 0.4),
        0.0, 0.1, 0.3, (0, 12, 8),
    ),
}  # fmt: skip
# The same for all diagnoses: patches, pattern contrast, core and halo, place of the outline, ragged edge, streaks.
LESION_RANGES = {
    "patchiness": (0.1, 0.65), "contrast": (0.05, 0.5), "halo": (0.2, 0.9), "core": (0.4, 0.95),
    "core_edge": (0.05, 0.25), "centre": (-0.1, 0.9), "warp": (0.03, 0.14), "ragged": (0.0, 0.07), "hue": (0.03, 0.2),
}  # fmt: skip
# People draw the outline around the faint rim, at about a fifth of the contrast: in units of the edge's sigmoid.
OUTSIDE = (1.2, 0.45)
# Of the skin: frequency, then the range.
SKIN_RANGES = {
    "mottle": (1, 0.01, 0.06), "blood": (1, 0.0, 0.03), "furrows": (0.7, 0.0, 0.06), "spots": (0.2, 0.04, 0.22),
    "vessels": (0.3, 0.04, 0.22), "folds": (0.35, 0.02, 0.12), "pores": (0.2, 0.03, 0.2), "tint": (1, 0.005, 0.04),
}  # fmt: skip


def draw_amounts(rng: np.random.Generator, diagnosis: str) -> dict[str, float]:
    """Draw the amounts of a lesion, by name; densities "red", "green" and "blue" are its median colour."""
    look = LOOKS[diagnosis]
    amounts = {name: rng.uniform(*bounds) for name, bounds in LESION_RANGES.items()}
    amounts |= {name: rng.uniform(*getattr(look, name)) for name in ("irregularity", "deep", "regression")}
    amounts["edge_px"] = log_uniform(rng, look.edge_px)
    amounts["outside"] = float(np.clip(rng.normal(*OUTSIDE), 0.3, 2.5))
    for share, name in (
        (look.scaly, "scales"),
        (look.crusted, "crusts"),
        (look.veined, "veins"),
        (0.12, "streaks"),
        (0.25, "dots"),
    ):
        amounts[name] = float(rng.random() < share) * rng.uniform(0.2, 0.9)
    amounts["cell_px"] = log_uniform(rng, (5, 11) if diagnosis in ("nv", "mel", "df") else (10, 26))
    others = [name for name in LOOKS if name != "vasc"]
    other = str(rng.choice(others)) if rng.random() < SECOND_LOOK else diagnosis
    for prefix, name in (("", diagnosis), ("second_", other)):
        amounts |= {f"{prefix}{key}": value for key, value in _draw_colour(rng, LOOKS[name]).items()}
    amounts["second"] = float(other != diagnosis)
    return amounts


def _draw_colour(rng: np.random.Generator, look: Look) -> dict[str, float]:
    low, middle, high = look.density
    density = float(
        np.exp(np.interp(rng.random(), (0, 0.1, 0.5, 0.9, 1), np.log((0.6 * low, low, middle, high, 1.5 * high))))
    )
    red, blue = np.clip(rng.normal(*look.red), 0.02, 0.9), np.clip(rng.normal(*look.blue), 0.3, 1.8)
    return {"green": density, "red": density * float(red), "blue": density * float(blue)}


def draw_skin_colour(rng: np.random.Generator) -> Plane:
    """Draw the RGB, float32 [3], 0..255, of skin in a photograph."""
    _, rgb, deviations = SKIN_COLOURS[int(rng.choice(len(SKIN_COLOURS), p=[share for share, _, _ in SKIN_COLOURS]))]
    shared, own = rng.normal(0, 1), rng.normal(0, 1, 3)
    mixed = np.array([0.4 * shared + 0.9 * own[0], 0.93 * shared + 0.37 * own[1], 0.93 * shared + 0.37 * own[2]])
    # Mottle, furrows and folds darken the skin a little.
    return np.minimum(1.05 * np.array(rgb) * np.exp(np.array(deviations) * mixed), 252).astype(np.float32)


def draw_skin(rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    """Draw a Fitzpatrick skin type and the amounts of the skin, by name."""
    number = int(rng.choice(len(SKIN_TYPES), p=SKIN_TYPE_SHARES))
    skin = {name: rng.uniform(low, high) * (rng.random() < share) for name, (share, low, high) in SKIN_RANGES.items()}
    skin["melanin"] = SKIN_TYPE_DENSITIES[number] * rng.uniform(0.85, 1.15)
    skin["fold_turn"], skin["fold_px"] = rng.uniform(0, np.pi), log_uniform(rng, (6, 22))
    return SKIN_TYPES[number], skin
