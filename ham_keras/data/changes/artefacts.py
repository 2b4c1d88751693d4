"""Changes that cover parts of a photograph: hairs, bubbles, ruler, dark corners, ink. Drawn as on phantoms.

Each takes an image, uint8 RGB [H, W, 3], an amount in the unit of its entry in `catalogue.CHANGES`, and a random
generator, and returns the changed image.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.data.changes.quality import Pixels, reference_unit
from ham_keras.data.phantoms.artefacts import add_bubbles, add_ruler
from ham_keras.data.phantoms.hairs import HAIRS, add_hairs_of_kind, add_line
from ham_keras.data.phantoms.tiles import Plane

DARK_HAIRS = HAIRS[1]  # the longest and thickest
SOFTNESS = 0.02  # of the edge of the round field, relative to half the longer side
# RGB of surgical markers, the share of light that they let through, and their width in reference pixels.
INKS = ((0.25, 0.2, 0.6), (0.35, 0.2, 0.5), (0.15, 0.15, 0.2), (0.15, 0.4, 0.35))
PEN_PX = (5.0, 10.0)


def draw_hairs(image: Pixels, count: float, rng: np.random.Generator) -> Pixels:
    """Draw dark hairs."""
    return _drawn(image, lambda plane: add_hairs_of_kind(rng, plane, DARK_HAIRS, round(count)))


def draw_bubbles(image: Pixels, count: float, rng: np.random.Generator) -> Pixels:
    """Draw bubbles of contact gel."""
    return _drawn(image, lambda plane: add_bubbles(rng, plane, round(count)))


def draw_ruler(image: Pixels, place: float, rng: np.random.Generator) -> Pixels:
    """Draw a ruler; `place` is its distance from the image's centre, 1 at the edge."""
    return _drawn(image, lambda plane: add_ruler(rng, plane, place))


def darken_corners(image: Pixels, radius: float, rng: np.random.Generator) -> Pixels:
    """Blacken the image outside a round field."""
    distance = _from_centre(image, rng)
    light = 0.5 + 0.5 * np.tanh((radius - distance) / (2 * SOFTNESS))
    return np.rint(image * light[..., None]).astype(np.uint8)


def within_field(mask: Pixels, radius: float, rng: np.random.Generator) -> Pixels:
    """The part of a mask [H, W] that the round field of `darken_corners` shows."""
    return mask * (_from_centre(mask, rng) <= radius)


def draw_ink(image: Pixels, count: float, rng: np.random.Generator) -> Pixels:
    """Draw strokes of a surgical marker, bent and at random places; ink absorbs, so the skin shows through."""
    size, unit = np.array(image.shape[1::-1]), reference_unit(image)
    absorbed, pen = np.log(INKS[rng.integers(len(INKS))]), rng.uniform(*PEN_PX) * unit
    coverage = np.zeros(image.shape[:2], np.uint8)
    for _ in range(round(count)):
        bend, length = rng.uniform(-2.5, 2.5), rng.uniform(80, 260) * unit
        angles = rng.uniform(0, 2 * np.pi) + bend * np.linspace(0, 1, 24)
        way = np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1), 0) * length / 24
        add_line(coverage, rng.uniform(0, 1, 2) * size + way - way[12], pen)
    density = coverage[..., None] / np.float32(255)
    return np.rint(image * np.exp(density * absorbed.astype(np.float32))).astype(np.uint8)


def _drawn(image: Pixels, draw: Callable[[Plane], object]) -> Pixels:
    plane = image.astype(np.float32)
    draw(plane)
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def _from_centre(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> Plane:
    """Distance from a point near the centre, relative to half the longer side, float32 [H, W]."""
    height_px, width_px = image.shape[:2]
    half = max(height_px, width_px) / 2
    x, y = rng.normal(0, 0.04, 2)
    xs = (np.arange(width_px, dtype=np.float32) + 0.5 - width_px / 2) / half - np.float32(x)
    ys = (np.arange(height_px, dtype=np.float32) + 0.5 - height_px / 2) / half - np.float32(y)
    return np.asarray(cv2.magnitude(*np.meshgrid(xs, ys)), np.float32)
