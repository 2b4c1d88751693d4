"""Draw a lesion on skin from optical densities.

Pigment darkens skin by exp(-density). A lesion's median density in red, green and blue is drawn for its diagnosis, and
spread over it with patches, a core, patterns, streaks, pale and crusted parts. Lengths are in reference pixels, see
`phantoms.tiles`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.data.phantoms.looks import (
    BLOOD,
    BLUE_GREY,
    FRACTION_QUANTILES,
    FRACTIONS,
    LOOKS,
    PATTERNS,
    SKIN_MELANIN,
    draw_amounts,
    draw_skin,
)
from ham_keras.data.phantoms.surroundings import Spot, draw_redness, draw_spots, spot_densities
from ham_keras.data.phantoms.tiles import (
    CELL_PX,
    DOT_SCALE,
    REFERENCE_WIDTH_PX,
    Affine,
    Mask,
    Plane,
    Size,
    draw_tiles,
    make_view,
    ramp,
    rotation,
    sample,
    sample_smooth,
    sigmoid,
)

ANGLES = 2048
SCALE_WHITE = np.array((0.95, 1.15, 1.15), np.float32)  # scales reflect more than skin without pigment
CRUST = np.array((0.25, 0.75, 1.1), np.float32)  # dried blood and serum, yellow to dark red
# Density of the skin's mottling, and of what varies in yellow and blue alone, in red, green and blue.
MOTTLE, TINT = np.array((0.4, 0.72, 0.85), np.float32), np.array((0.0, 0.2, 1.0), np.float32)
STREAKS = 24  # the most around a lesion
Sampler = Callable[[Plane, float], Plane]


@dataclasses.dataclass(frozen=True)
class Lesion:
    """A lesion and the skin around it, independent of any photograph."""

    diagnosis: str
    radius_px: float
    outline: Plane  # [ANGLES], the radius in each direction over radius_px
    streaks: Plane  # [ANGLES], 0..1
    stretch: npt.NDArray[np.float64]  # [2, 2], elongation
    pattern: int  # index into PATTERNS
    skin_type: str
    amounts: dict[str, float]  # of the lesion, see `looks.draw_amounts`
    skin: dict[str, float]
    tiles: dict[str, Plane]
    spots: list[Spot]  # beside it
    redness: tuple[float, float]  # of the skin around it, and how far it reaches


def make_lesion(rng: np.random.Generator, diagnosis: str, aspect: float) -> Lesion:
    """Draw random traits of a lesion, sized for images whose height is `aspect` times their width."""
    amounts = draw_amounts(rng, diagnosis)
    fraction = float(np.interp(rng.random(), FRACTION_QUANTILES, FRACTIONS))
    turn, length = rotation(rng.uniform(0, np.pi)), np.exp(np.abs(rng.normal(0, 0.2)))
    tiles = draw_tiles(rng)
    skin_type, skin = draw_skin(rng)
    radius_px = float(np.sqrt(fraction * aspect / np.pi) * REFERENCE_WIDTH_PX)
    stretch = turn.T @ np.diag([1 / length, length]) @ turn
    outline, pattern = (
        _outline(rng, amounts["irregularity"]),
        int(rng.choice(3, p=np.array(LOOKS[diagnosis].patterns) / 20)),
    )
    waves = np.arange(ANGLES) / ANGLES * 2 * np.pi * rng.integers(STREAKS // 3, STREAKS)
    streaks = ramp(np.asarray(np.cos(waves + 2 * np.log(outline)), np.float32), -0.2, 1)
    spots, redness = draw_spots(rng, radius_px, aspect), draw_redness(rng)
    lesion = Lesion(
        diagnosis, radius_px, outline, streaks, stretch, pattern, skin_type, amounts, skin, tiles, spots, redness
    )
    # The outline and the image border change the area, so the size is set from the visible fraction.
    size = (60, round(60 * aspect))
    shown = np.quantile(_depth(lesion, make_view(size), size)[0], fraction)
    return dataclasses.replace(lesion, radius_px=radius_px * float(shown))


def draw_lesion(lesion: Lesion, size: Size, zoom: float, turn: float, shift: Affine) -> tuple[Plane, Mask]:
    """Draw the lesion and its skin, rotated by `turn` and shifted by `shift` (fractions of `size`) from the centre.

    Returns:
        Reflectance, float32 [H, W, 3], 1 for skin without pigment; the exact mask, bool [H, W].
    """
    view = make_view(size, zoom, turn, shift)
    whole = functools.partial(sample, view=view, size=size)
    smooth = functools.partial(sample_smooth, view=view, size=size)
    tiles, amounts = lesion.tiles, lesion.amounts
    depth, streaks = _depth(lesion, view, size)
    patches, hue = smooth(tiles["patches"], 21 / max(lesion.radius_px, 45)), smooth(tiles["hue"], 0.3)
    fine, grain = whole(tiles["patches"], 0.8), whole(tiles["skin"], 1.3)
    mixed = 0.55 * patches + 0.4 * fine

    # The edge is ragged and soft; the outline runs smoothly around what is seen of it, see `looks.OUTSIDE`.
    edge_px = min(amounts["edge_px"], 0.3 * lesion.radius_px) * np.exp(0.3 * hue)
    seen = depth + amounts["ragged"] * (fine + 0.5 * patches) - 0.12 * amounts["streaks"] * streaks
    presence = sigmoid((1 - seen) * lesion.radius_px / edge_px * 2.2 - amounts["outside"])
    # A darker core with a separate shape: the conspicuous part of a lesion is often smaller than its outline.
    core = sigmoid((amounts["core"] + 0.22 * mixed - depth) / amounts["core_edge"])
    radial = 1 + amounts["centre"] * (0.6 - np.minimum(depth, 1.2))
    body = presence * (amounts["halo"] + (1 - amounts["halo"]) * core)
    body *= np.clip(radial * (1 + amounts["patchiness"] * (mixed + 0.22 * grain)), 0.3, 2.2)
    inside = presence * ramp(1.15 - depth, 0.0, 0.5)
    cells = whole(tiles["cells"], CELL_PX / amounts["cell_px"])
    low, high = PATTERNS[lesion.pattern]
    body *= 1 + amounts["contrast"] * np.clip(0.7 + 0.6 * mixed, 0, 1.4) * (low + (high - low) * cells)
    if amounts["dots"]:
        body *= 1 + amounts["dots"] * whole(tiles["globules"], 0.9)
    body *= 1 - amounts["regression"] * ramp(patches + 0.7 * hue, 0.9, 1.9)
    mask = depth <= 1
    body /= max(float(np.median(body[mask])) if mask.any() else 1.0, 0.15)

    first, second = (
        np.array([amounts[prefix + name] for name in ("red", "green", "blue")]) for prefix in ("", "second_")
    )
    share = sigmoid((patches - 0.3) / 0.25) * amounts["second"]
    tone = amounts["hue"] * (hue + 0.5 * mixed)
    deep = amounts["deep"] * inside * ramp(hue - 0.6 * patches + 0.3 * fine, 0.3, 1.8)
    blood = np.zeros_like(deep)
    if amounts["veins"]:
        blood += amounts["veins"] * inside * np.exp(-((14 * whole(tiles["vessels"], 0.9)) ** 2))
    crusts = (
        amounts["crusts"] * inside * ramp(smooth(tiles["hue"], 0.9) + 0.5 * fine, 1.2, 1.7)
        if amounts["crusts"]
        else None
    )
    planes = [body * (1 - share), body * share, body * tone, deep, blood]
    brown = first * np.array([0.6, 0.0, -0.4])  # towards grey and red, or towards yellow
    to_rgb = [first, second, brown, BLUE_GREY, BLOOD]
    planes += [crusts] if crusts is not None else []
    to_rgb += [CRUST] if crusts is not None else []
    skin_planes, skin_rgb = _skin_densities(lesion, view, depth, fine, grain, smooth, whole)
    density = _mix([*planes, *skin_planes], [*to_rgb, *skin_rgb]) + lesion.skin["melanin"] * SKIN_MELANIN
    reflectance = np.exp(-np.maximum(density, -0.25))
    if amounts["scales"]:
        scales = amounts["scales"] * inside * ramp(fine + 0.8 * patches + 0.4 * grain, 1.5, 3.0)
        reflectance += scales[..., None] * (SCALE_WHITE - reflectance)
    return np.asarray(reflectance, np.float32), mask


def _skin_densities(
    lesion: Lesion, view: Affine, depth: Plane, fine: Plane, grain: Plane, smooth: Sampler, whole: Sampler
) -> tuple[list[Plane], list[Plane]]:
    """Melanin and blood of the skin around a lesion: mottled, furrowed, folded, with pores, freckles and vessels."""
    tiles, skin = lesion.tiles, lesion.skin
    # Freckles fade near the edge of the lesion: on the edge they would make the true mask ambiguous.
    around = ramp(depth, 1.03, 1.18)
    blotches = smooth(tiles["skin"], 0.4)
    melanin = smooth(tiles["freckles"], DOT_SCALE) * around + skin["furrows"] * whole(tiles["cells"], 1.2)
    melanin += skin["mottle"] * (0.7 * blotches + 0.7 * grain)
    blood = skin["blood"] + smooth(tiles["angiomas"], DOT_SCALE) * around
    blood += skin["mottle"] * (0.4 * smooth(tiles["hue"], 0.5) + 0.25 * grain)
    if skin["spots"]:
        melanin += skin["spots"] * ramp(smooth(tiles["hue"], 1.1) + 0.5 * blotches + 0.3 * fine, 0.7, 2.6) * around
    if skin["vessels"]:
        blood += skin["vessels"] * np.exp(-((20 * whole(tiles["vessels"], 0.5)) ** 2)) * ramp(blotches, -0.3, 1.0)
    if skin["folds"]:
        melanin += skin["folds"] * _fold(lesion, view, smooth(tiles["warp_x"], 0.15), blotches)
    if skin["pores"]:
        melanin -= skin["pores"] * whole(tiles["globules"], 0.6)
    brown, red = spot_densities(lesion.spots, view, depth, fine)
    amount, reach = lesion.redness
    if amount:
        red += amount * ramp(1 + reach - depth + 0.5 * blotches, 0.0, 1.0) * ramp(blotches, -2.5, 1.5)
    melanin += brown
    blood += red
    tint = skin["tint"] * smooth(tiles["warp_y"], 0.4)
    return [melanin, blood, tint], [MOTTLE, BLOOD, TINT]


def _fold(lesion: Lesion, view: Affine, warp: Plane, blotches: Plane) -> Plane:
    """Fine lines, 0..1, parallel but for the warp; none where they are too fine for the size of the image."""
    height, width = warp.shape
    along = np.array([np.cos(lesion.skin["fold_turn"]), np.sin(lesion.skin["fold_turn"])]) @ view
    xs, ys = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    place = (along[0] * xs + along[1] * ys + along[2]) / lesion.skin["fold_px"] + warp
    visible = np.clip(lesion.skin["fold_px"] / np.linalg.norm(along[:2]) / 3 - 0.5, 0, 1)
    return np.asarray(
        visible * np.square(np.square(np.square(np.cos(np.pi * place)))) * ramp(blotches, -1.5, 1.0), np.float32
    )


def _mix(planes: list[Plane], to_rgb: list[Plane]) -> Plane:
    """Sum of planes [H, W], each times its density in red, green and blue; float32 [H, W, 3]."""
    total = np.zeros((*planes[0].shape, 3), np.float32)
    for start in range(0, len(planes), 4):  # cv2.transform takes up to four channels
        some, columns = planes[start : start + 4], to_rgb[start : start + 4]
        merged = cv2.merge([np.asarray(plane, np.float32) for plane in some])
        total += cv2.transform(merged, np.column_stack(columns).astype(np.float32))
    return total


def _depth(lesion: Lesion, view: Affine, size: Size) -> tuple[Plane, Plane]:
    """Distance from the centre of the lesion relative to the outline, <= 1 in the mask, and its streaks, 0..1.

    Both are float32 [H, W].
    """
    xs, ys = np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)[:, None]
    planes = []
    rows = (lesion.stretch @ view / lesion.radius_px).astype(np.float32)
    for row, name in zip(rows, ("warp_x", "warp_y"), strict=True):
        warp = lesion.amounts["warp"] * sample_smooth(lesion.tiles[name], 45 / lesion.radius_px, view, size)
        planes.append(row[0] * xs + (row[1] * ys + row[2]) + warp)
    radius, angle = cv2.cartToPolar(planes[0], planes[1])
    place = (angle * (ANGLES / 2 / np.pi)).astype(int) % ANGLES
    return np.asarray(radius / lesion.outline[place], np.float32), lesion.streaks[place]


def _outline(rng: np.random.Generator, irregularity: float) -> Plane:
    waves, angles = np.arange(2, 60), np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    heights = irregularity * rng.normal(0, 1, waves.size) * (waves / 2.0) ** -1.45
    phases = rng.uniform(0, 2 * np.pi, waves.size)
    return np.exp(heights @ np.cos(waves[:, None] * angles + phases[:, None])).astype(np.float32)
