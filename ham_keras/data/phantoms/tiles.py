"""Periodic tiles of noise, cells and dots, and sampling them on the plane of a lesion.

Lengths are in reference pixels; an image is 600 of them wide. A view is the affine map from image pixels to the plane
of the lesion; several photographs of one lesion are several views of this plane.
"""

from __future__ import annotations

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
NOISE_EXPONENTS = {"warp_x": 2.4, "warp_y": 2.4, "patches": 1.6, "hue": 1.8, "skin": 1.3, "vessels": 2.0}


def draw_tiles(rng: np.random.Generator) -> dict[str, Plane]:
    """Draw the tiles of a lesion: noise of mean 0 and deviation 1, cells in 0..1, densities of dots."""
    tiles = {name: _noise(rng, exponent) for name, exponent in NOISE_EXPONENTS.items()}
    tiles |= {"cells": _cells(rng), "freckles": _dots(rng, 40, 0.55), "angiomas": _dots(rng, 6, 0.25)}
    return tiles | {"globules": _dots(rng, 90, 1.0)}


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


def make_view(size: Size, zoom: float = 1.0, turn: float = 0.0, shift: Affine | float = 0.0) -> Affine:
    """The view of a photograph: zoomed, rotated by `turn` and shifted by a fraction of its size."""
    linear = REFERENCE_WIDTH_PX / (size[0] * zoom) * rotation(turn)
    centre = (0.5 + shift) * np.array(size) - 0.5
    return np.column_stack([linear, -(linear @ centre)])


def sample(tile: Plane, scale: float, view: Affine, size: Size) -> Plane:
    """Sample a periodic tile on the plane of the lesion, with `scale` tile pixels per reference pixel."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(tile, view * scale, size, flags=flags, borderMode=cv2.BORDER_WRAP), np.float32)


def sample_smooth(tile: Plane, scale: float, view: Affine, size: Size) -> Plane:
    """Sample at half the size and enlarge: takes a quarter of the time, for tiles without fine detail."""
    half = view @ np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    small = sample(tile, scale, half, ((size[0] + 1) // 2, (size[1] + 1) // 2))
    return np.asarray(cv2.resize(small, None, fx=2, fy=2)[: size[1], : size[0]], np.float32)


def rotation(angle: float) -> npt.NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def sigmoid(values: npt.NDArray[np.floating]) -> Plane:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values), np.float32)


def ramp(values: Plane, low: float, high: float) -> Plane:
    return np.asarray(np.clip((values - low) / (high - low), 0, 1), np.float32)


def log_uniform(rng: np.random.Generator, bounds: Range) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))
