"""Draw a lesion on skin from optical densities.

Pigment darkens skin by exp(-density * absorption). Melanin absorbs most in blue light, blood in green, so pigment looks
brown, red or black depending on its amount, and is faint on dark skin.
Lengths are in reference pixels; an image is 600 of them wide. A view is the affine map from image pixels to the plane
of the lesion; several photographs of one lesion are several views of this plane.
"""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]  # [H, W]
Mask = npt.NDArray[np.bool_]  # [H, W]
Affine = npt.NDArray[np.float64]  # [2, 3], image pixels to the lesion's plane
Range = tuple[float, float]
Size = tuple[int, int]  # width, height

REFERENCE_WIDTH_PX = 600
TILE_PX = 256
DOT_SCALE = 0.4  # makes a tile of dots wider than an image, so no freckle is repeated
CELL_PX = 12
ANGLES = 2048
# Density per unit of pigment in red, green and blue. One of the two melanins dominates in a lesion.
RED_MELANIN, BROWN_MELANIN, DEEP_MELANIN, SKIN_MELANIN, BLOOD = (
    np.array(rgb, np.float32)
    for rgb in ((0.36, 0.95, 1.0), (0.52, 0.82, 1.15), (1.0, 0.9, 0.72), (0.5, 0.74, 0.82), (0.13, 0.9, 0.62))
)
SCALE_WHITE = np.array((0.95, 1.2, 1.25), np.float32)  # scales reflect more than skin without pigment
# Fitzpatrick skin types: frequency, and the melanin density of the skin.
SKIN_TYPES, SKIN_TYPE_SHARES = ("I", "II", "III", "IV", "V", "VI"), (0.26, 0.3, 0.2, 0.11, 0.07, 0.06)
SKIN_TYPE_DENSITIES = (0.0, 0.05, 0.15, 0.4, 0.75, 1.15)
# Lesion area as a fraction of the image: about the quantiles of real masks, with longer tails.
FRACTION_QUANTILES = (0.0, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.985, 1.0)
FRACTIONS = (0.003, 0.025, 0.055, 0.12, 0.22, 0.37, 0.57, 0.67, 0.86, 0.985)
# Per diagnosis: ranges of the LOG_RANGED and RANGED amounts, frequency of scales, and how many of 20 have each pattern.
LOG_RANGED, RANGED = ("melanin", "blood", "edge_px"), ("deep", "irregularity", "regression")
LOOKS: dict[str, tuple[tuple[Range, ...], tuple[Range, ...], float, tuple[int, int, int]]] = {
    "nv": (((0.4, 2.4), (0.02, 0.3), (4, 38)), ((0.0, 0.12), (0.02, 0.08), (0.0, 0.4)), 0.0, (9, 4, 7)),
    "mel": (((0.5, 2.7), (0.03, 0.4), (4, 40)), ((0.1, 1.4), (0.05, 0.15), (0.2, 0.9)), 0.06, (9, 4, 7)),
    "bkl": (((0.25, 1.6), (0.02, 0.25), (3, 26)), ((0.0, 0.5), (0.03, 0.11), (0.1, 0.7)), 0.15, (4, 10, 6)),
    "bcc": (((0.04, 0.3), (0.12, 0.6), (8, 45)), ((0.1, 1.0), (0.04, 0.15), (0.3, 0.9)), 0.25, (0, 2, 18)),
    "akiec": (((0.04, 0.3), (0.15, 0.5), (10, 50)), ((0.0, 0.2), (0.04, 0.15), (0.2, 0.8)), 0.6, (0, 2, 18)),
    "df": (((0.15, 0.6), (0.05, 0.3), (12, 45)), ((0.0, 0.1), (0.02, 0.06), (0.2, 0.6)), 0.05, (12, 0, 8)),
    "vasc": (((0.05, 0.25), (0.6, 2.0), (2, 12)), ((0.0, 0.9), (0.02, 0.08), (0.0, 0.4)), 0.0, (0, 12, 8)),
}
# Relative change of pigment in the middle of a cell and where cells meet: network, globules, neither.
PATTERNS = ((-0.7, 0.9), (0.8, -0.7), (0.0, 0.0))
# The same for all diagnoses: patches, pattern contrast, core and halo, waves of the outline.
LESION_RANGES = {
    "patchiness": (0.15, 0.8), "contrast": (0.1, 0.55), "brown": (0.0, 1.0), "halo": (0.2, 1.0), "core": (0.45, 0.95),
    "core_edge": (0.03, 0.16), "centre": (-0.3, 0.7), "warp": (0.03, 0.14),
}  # fmt: skip
# Of the skin: frequency, then the range.
SKIN_RANGES = {
    "mottle": (1, 0.01, 0.045), "blood": (1, 0.0, 0.14), "furrows": (1, 0.0, 0.07), "spots": (0.2, 0.04, 0.22),
    "vessels": (0.35, 0.05, 0.3),
}  # fmt: skip
NOISE_EXPONENTS = {"warp_x": 2.4, "warp_y": 2.4, "patches": 1.6, "hue": 1.8, "skin": 1.3, "vessels": 2.0}


@dataclasses.dataclass(frozen=True)
class Lesion:
    """A lesion and the skin around it, independent of any photograph."""

    diagnosis: str
    radius_px: float
    outline: Plane  # [ANGLES], the radius in each direction over radius_px
    stretch: npt.NDArray[np.float64]  # [2, 2], elongation
    pattern: int  # index into PATTERNS
    skin_type: str
    amounts: dict[str, float]  # of the lesion, by the names of the ranges
    skin: dict[str, float]
    tiles: dict[str, Plane]  # periodic: noise of mean 0 and deviation 1, cells in 0..1, densities of dots


def make_lesion(rng: np.random.Generator, diagnosis: str, aspect: float) -> Lesion:
    """Draw random traits of a lesion, sized for images whose height is `aspect` times their width."""
    log_ranges, ranges, scaly, patterns = LOOKS[diagnosis]
    amounts = {name: _log_uniform(rng, bounds) for name, bounds in zip(LOG_RANGED, log_ranges, strict=True)}
    amounts |= {name: rng.uniform(*bounds) for name, bounds in zip(RANGED, ranges, strict=True)}
    amounts |= {name: rng.uniform(*bounds) for name, bounds in LESION_RANGES.items()}
    amounts["scales"] = float(rng.random() < scaly) * rng.uniform(0.2, 0.9)
    amounts["cell_px"] = _log_uniform(rng, (5, 11) if diagnosis in ("nv", "mel", "df") else (10, 26))
    fraction = float(np.interp(rng.random(), FRACTION_QUANTILES, FRACTIONS))
    turn, length = _rotation(rng.uniform(0, np.pi)), np.exp(np.abs(rng.normal(0, 0.2)))
    tiles = {name: _noise(rng, exponent) for name, exponent in NOISE_EXPONENTS.items()}
    tiles |= {"cells": _cells(rng), "freckles": _dots(rng, 40, 0.55), "angiomas": _dots(rng, 6, 0.25)}
    skin_type = int(rng.choice(len(SKIN_TYPES), p=SKIN_TYPE_SHARES))
    skin = {name: rng.uniform(low, high) * (rng.random() < share) for name, (share, low, high) in SKIN_RANGES.items()}
    skin["melanin"] = SKIN_TYPE_DENSITIES[skin_type] * rng.uniform(0.85, 1.15)
    radius_px = float(np.sqrt(fraction * aspect / np.pi) * REFERENCE_WIDTH_PX)
    stretch = turn.T @ np.diag([1 / length, length]) @ turn
    outline, pattern = _outline(rng, amounts["irregularity"]), int(rng.choice(3, p=np.array(patterns) / 20))
    lesion = Lesion(diagnosis, radius_px, outline, stretch, pattern, SKIN_TYPES[skin_type], amounts, skin, tiles)
    # The outline and the image border change the area, so the size is set from the visible fraction.
    size = (60, round(60 * aspect))
    shown = np.quantile(_depth(lesion, _view(size), size), fraction)
    return dataclasses.replace(lesion, radius_px=radius_px * float(shown))


def draw_lesion(lesion: Lesion, size: Size, zoom: float, turn: float, shift: Affine) -> tuple[Plane, Mask]:
    """Draw the lesion and its skin, rotated by `turn` and shifted by `shift` (fractions of `size`) from the centre.

    Returns:
        Reflectance, float32 [H, W, 3], 1 for skin without pigment; the exact mask, bool [H, W].
    """
    view = _view(size, zoom, turn, shift)
    sample = functools.partial(_sample, view=view, size=size)
    smooth = functools.partial(_sample_smooth, view=view, size=size)
    tiles, amounts, skin = lesion.tiles, lesion.amounts, lesion.skin
    depth = _depth(lesion, view, size)
    patches, hue = smooth(tiles["patches"], 21 / max(lesion.radius_px, 45)), smooth(tiles["hue"], 0.3)
    blotches, fine, grain = smooth(tiles["skin"], 0.4), sample(tiles["patches"], 0.8), sample(tiles["skin"], 1.3)
    mixed = 0.55 * patches + 0.4 * fine

    # The mask ends exactly where the edge is half way from skin to lesion, however soft the edge is.
    edge_px = min(amounts["edge_px"], 0.3 * lesion.radius_px) * np.exp(0.5 * hue)
    presence = _sigmoid((1 - depth) * lesion.radius_px / edge_px * 2.2)
    # A darker core with a separate shape: the conspicuous part of a lesion is often smaller than its outline.
    core = _sigmoid((amounts["core"] + 0.22 * mixed - depth) / amounts["core_edge"])
    radial = 1 + amounts["centre"] * (0.6 - np.minimum(depth, 1.2))
    body = presence * (amounts["halo"] + (1 - amounts["halo"]) * core)
    body *= np.clip(radial * (1 + amounts["patchiness"] * mixed), 0.25, 2.5)
    inside = presence * _ramp(1.15 - depth, 0.0, 0.5)
    cells = sample(tiles["cells"], CELL_PX / amounts["cell_px"])
    low, high = PATTERNS[lesion.pattern]
    texture = 1 + amounts["contrast"] * np.clip(0.7 + 0.6 * mixed, 0, 1.4) * (low + (high - low) * cells)
    pale = 1 - amounts["regression"] * _ramp(patches + 0.7 * hue, 0.9, 1.9)
    melanin = amounts["melanin"] * body * pale * texture
    blood = amounts["blood"] * body * (1 + 0.35 * hue) * (texture if lesion.diagnosis == "vasc" else 1)
    deep = amounts["deep"] * inside * _ramp(hue - 0.6 * patches + 0.3 * fine, 0.3, 1.8)
    deep += 0.35 * np.maximum(melanin - 0.9, 0)  # dense melanin is black in red light too

    # Freckles fade near the edge of the lesion: on the edge they would make the true mask ambiguous.
    around = _ramp(depth, 1.03, 1.18)
    melanin += smooth(tiles["freckles"], DOT_SCALE) * around + skin["furrows"] * sample(tiles["cells"], 1.2)
    if skin["spots"]:
        melanin += skin["spots"] * _ramp(smooth(tiles["hue"], 1.1) + 0.5 * blotches + 0.3 * fine, 0.7, 2.6)
    if skin["vessels"]:
        veins = np.exp(-((20 * sample(tiles["vessels"], 0.5)) ** 2))
        blood += skin["vessels"] * veins * _ramp(blotches, -0.3, 1.0)
    blood += skin["blood"] + smooth(tiles["angiomas"], DOT_SCALE) * around
    melanin += skin["mottle"] * (0.5 * blotches + 0.6 * grain)
    blood += skin["mottle"] * (0.8 * smooth(tiles["hue"], 0.5) + 0.5 * grain)

    tint = RED_MELANIN + np.float32(amounts["brown"]) * (BROWN_MELANIN - RED_MELANIN)
    to_rgb = np.column_stack([tint, BLOOD, DEEP_MELANIN, skin["melanin"] * SKIN_MELANIN])
    reflectance = np.exp(-np.asarray(cv2.transform(cv2.merge([melanin, blood, deep]), to_rgb), np.float32))
    if amounts["scales"]:
        scales = amounts["scales"] * inside * _ramp(fine + 0.8 * patches + 0.4 * grain, 1.5, 3.0)
        reflectance += scales[..., None] * (SCALE_WHITE - reflectance)
    return reflectance, depth <= 1


def _view(size: Size, zoom: float = 1.0, turn: float = 0.0, shift: Affine | float = 0.0) -> Affine:
    linear = REFERENCE_WIDTH_PX / (size[0] * zoom) * _rotation(turn)
    centre = (0.5 + shift) * np.array(size) - 0.5
    return np.column_stack([linear, -(linear @ centre)])


def _depth(lesion: Lesion, view: Affine, size: Size) -> Plane:
    """Distance from the centre of the lesion relative to the outline, float32 [H, W]; <= 1 in the mask."""
    xs, ys = np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)[:, None]
    planes = []
    rows = (lesion.stretch @ view / lesion.radius_px).astype(np.float32)
    for row, name in zip(rows, ("warp_x", "warp_y"), strict=True):
        warp = lesion.amounts["warp"] * _sample_smooth(lesion.tiles[name], 45 / lesion.radius_px, view, size)
        planes.append(row[0] * xs + (row[1] * ys + row[2]) + warp)
    radius, angle = cv2.cartToPolar(planes[0], planes[1])
    return np.asarray(radius / lesion.outline[(angle * (ANGLES / 2 / np.pi)).astype(int) % ANGLES], np.float32)


def _outline(rng: np.random.Generator, irregularity: float) -> Plane:
    waves, angles = np.arange(2, 60), np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    heights = irregularity * rng.normal(0, 1, waves.size) * (waves / 2.0) ** -1.45
    phases = rng.uniform(0, 2 * np.pi, waves.size)
    return np.exp(heights @ np.cos(waves[:, None] * angles + phases[:, None])).astype(np.float32)


def _noise(rng: np.random.Generator, exponent: float) -> Plane:
    spectrum = np.fft.rfft2(rng.standard_normal((TILE_PX, TILE_PX), dtype=np.float32)) * _falloff(exponent)
    tile = np.fft.irfft2(spectrum)
    return np.asarray(tile / tile.std(), np.float32)


@functools.cache
def _falloff(exponent: float) -> Plane:
    frequency = np.hypot(np.fft.fftfreq(TILE_PX)[:, None], np.fft.rfftfreq(TILE_PX)) * TILE_PX
    # The lowest frequencies are damped: a tile of a single wave would be a slope, not a texture.
    return np.where(frequency > 0, np.maximum(frequency, 3.0) ** -exponent, 0).astype(np.float32)


def _cells(rng: np.random.Generator) -> Plane:
    """Draw a mosaic of cells, CELL_PX wide: 0 in the middle of each, up to 1 where they meet."""
    count = TILE_PX // CELL_PX
    rows, columns = np.indices((count, count)) + rng.uniform(0.1, 0.9, (2, count, count))
    columns[1::2] += 0.5
    seeds, margin = np.ones((TILE_PX, TILE_PX), np.uint8), 2 * CELL_PX
    seeds[tuple((np.stack([rows, columns]) * TILE_PX / count).astype(int) % TILE_PX)] = 0
    distance = cv2.distanceTransform(np.pad(seeds, margin, mode="wrap"), cv2.DIST_L2, 5)
    return np.asarray(np.clip(distance[margin:-margin, margin:-margin] / 9.0, 0, 1) ** 1.5, np.float32)


def _dots(rng: np.random.Generator, most: int, density: float) -> Plane:
    """Draw soft ellipses with densities up to `density`, sometimes one as large as a lesion."""
    tile = np.zeros((TILE_PX, TILE_PX), np.float32)
    typical_px = rng.uniform(2, 7)
    for number in range(int(most * rng.random() ** 2)):
        is_big = number == 0 and rng.random() < 0.15
        radius_px = rng.uniform(15, 40) if is_big else typical_px * np.exp(rng.normal(0, 0.5))
        axes = radius_px * DOT_SCALE * np.array([1, rng.uniform(0.5, 1)])
        place, level = rng.uniform(20, TILE_PX - 20, 2), density * rng.uniform(0.1, 1)
        x, y, a, b = (16 * np.concatenate([place, axes])).astype(int).tolist()  # cv2 takes sixteenths of a pixel
        cv2.ellipse(tile, (x, y), (a, b), rng.uniform(0, 180), 0, 360, level, -1, cv2.LINE_8, 4)
    return np.asarray(cv2.GaussianBlur(tile, (0, 0), rng.uniform(0.5, 1.3)), np.float32)


def _sample(tile: Plane, scale: float, view: Affine, size: Size) -> Plane:
    """Sample a periodic tile on the plane of the lesion, with `scale` tile pixels per reference pixel."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(tile, view * scale, size, flags=flags, borderMode=cv2.BORDER_WRAP), np.float32)


def _sample_smooth(tile: Plane, scale: float, view: Affine, size: Size) -> Plane:
    """Sample at half the size and enlarge: takes a quarter of the time, for tiles without fine detail."""
    half = view @ np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    small = _sample(tile, scale, half, ((size[0] + 1) // 2, (size[1] + 1) // 2))
    return np.asarray(cv2.resize(small, None, fx=2, fy=2)[: size[1], : size[0]], np.float32)


def _rotation(angle: float) -> npt.NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _sigmoid(values: npt.NDArray[np.floating]) -> Plane:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values), np.float32)


def _ramp(values: Plane, low: float, high: float) -> Plane:
    return np.asarray(np.clip((values - low) / (high - low), 0, 1), np.float32)


def _log_uniform(rng: np.random.Generator, bounds: Range) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))
