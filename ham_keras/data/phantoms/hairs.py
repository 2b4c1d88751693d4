"""Draw hairs: dark, light, short and dense, curved and tapered, some with a shadow."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.data.phantoms.tiles import REFERENCE_WIDTH_PX, Mask, Plane

HairKind = tuple[float, int, tuple[float, float], tuple[float, float], tuple[float, float], float]
# Frequency, maximum number of hairs, their lengths and widths in reference pixels, brightness, opacity.
HAIRS: tuple[HairKind, ...] = (
    (0.3, 14, (120, 520), (1.2, 3.2), (20, 120), 0.8),
    (0.07, 60, (150, 700), (1.2, 3.8), (10, 90), 0.85),
    (0.12, 45, (8, 35), (1.2, 3.0), (30, 110), 0.7),  # stubble
    (0.3, 40, (60, 300), (0.8, 1.8), (70, 160), 0.35),  # fine and brown
    (0.14, 26, (40, 200), (1.0, 1.8), (225, 255), 0.35),  # vellus
)
STEPS = 24
SHADOW = (0.3, 0.25)  # frequency, the most it darkens


def add_hairs(rng: np.random.Generator, image: Plane) -> Mask:
    """Draw hairs on an image [H, W, 3] in place; returns their mask [H, W], the pixels covered by at least 1/4."""
    covered = np.zeros(image.shape[:2], bool)
    for kind in HAIRS:
        if rng.random() < kind[0]:
            covered |= add_hairs_of_kind(rng, image, kind)
    return covered


def add_hairs_of_kind(rng: np.random.Generator, image: Plane, kind: HairKind, count: int | None = None) -> Mask:
    """Draw `count` hairs of an entry of `HAIRS`, by default a random number; as `add_hairs`."""
    _, most, lengths, widths, levels, opacity = kind
    unit = image.shape[1] / REFERENCE_WIDTH_PX
    coverage = np.zeros(image.shape[:2], np.uint8)
    direction, spread = rng.uniform(0, np.pi), rng.uniform(0.15, 1.2)
    for _ in range(int(1 + most * rng.random() ** 2) if count is None else count):
        angle = direction + rng.normal(0, spread)
        _draw_hair(rng, coverage, angle, rng.uniform(*lengths) * unit, rng.uniform(*widths) * unit)
    tone = np.array((1.0, 0.88, 0.8), np.float32) * np.float32(rng.uniform(*levels))
    if levels[1] < 200 and rng.random() < SHADOW[0]:
        _add_shadow(rng, image, coverage, unit)
    touched = coverage > 0
    image[touched] += coverage[touched, None] * np.float32(opacity / 255) * (tone - image[touched])
    return coverage > 63


def _draw_hair(
    rng: np.random.Generator, coverage: npt.NDArray[np.uint8], angle: float, length: float, width: float
) -> None:
    bend = rng.normal(0, 0.9, 3)
    steps = np.linspace(0, 1, STEPS)
    angles = angle + bend[0] * steps + bend[1] * steps**2 + 0.3 * bend[2] * np.sin(2 * np.pi * steps)
    way = np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1), 0) * length / STEPS
    path = rng.uniform(-0.1, 1.1, 2) * np.array(coverage.shape[::-1]) + way
    for part, taper in ((path[:15], 1.0), (path[14:20], 0.7), (path[19:], 0.4)):
        add_line(coverage, part, width * taper)


def _add_shadow(rng: np.random.Generator, image: Plane, coverage: npt.NDArray[np.uint8], unit: float) -> None:
    move = np.column_stack([np.eye(2), rng.uniform(-6, 6, 2) * unit])
    shadow = cv2.warpAffine(coverage, move, coverage.shape[::-1])
    shadow = cv2.GaussianBlur(shadow, (0, 0), max(2.5 * unit, 0.4))
    image *= 1 - shadow[..., None] * np.float32(rng.uniform(0.05, SHADOW[1]) / 255)


def add_line(coverage: npt.NDArray[np.uint8], path: npt.NDArray[np.float64], width: float) -> None:
    """Draw a line with smooth edges; one thinner than a pixel covers its pixels in part."""
    sixteenths = np.round(path * 16).astype(np.int32)
    level = round(255 * min(max(width, 0.15), 1))
    if level == 255:
        cv2.polylines(coverage, [sixteenths], False, 255, max(round(width), 1), cv2.LINE_AA, 4)
        return
    x, y, w, h = cv2.boundingRect(np.round(path).astype(np.int32))
    x, y, right, bottom = max(x - 2, 0), max(y - 2, 0), max(x + w + 2, 0), max(y + h + 2, 0)
    view = coverage[y:bottom, x:right]
    if view.size:  # drawn apart: where hairs cross, the stronger one counts
        thin = np.zeros_like(view)
        cv2.polylines(thin, [sixteenths - 16 * np.array([x, y], np.int32)], False, level, 1, cv2.LINE_AA, 4)
        np.maximum(view, thin, out=view)
