"""Artefacts of a dermoscopy photograph: uneven light, hairs, bubbles in the contact gel, a ruler."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.data.phantoms.drawing import REFERENCE_WIDTH_PX, Mask, Plane, Size

HairKind = tuple[float, int, tuple[float, float], tuple[float, float], tuple[float, float], float]
# Frequency, maximum number of hairs, their lengths and widths in reference pixels, brightness, opacity.
HAIRS: tuple[HairKind, ...] = (
    (0.28, 12, (120, 520), (1.0, 2.2), (20, 120), 0.85),
    (0.07, 34, (150, 700), (1.2, 3.0), (10, 90), 0.9),
    (0.12, 45, (8, 35), (1.0, 2.2), (30, 110), 0.7),  # stubble
    (0.45, 26, (40, 200), (1.0, 1.5), (225, 255), 0.4),  # vellus
)


def draw_light(rng: np.random.Generator, size: Size) -> Plane:
    """Uneven illumination, float32 [H, W], to multiply an image with; sometimes the round field of a dermatoscope."""
    xs = np.linspace(-1, 1, size[0], dtype=np.float32)
    ys = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None] * np.float32(size[1] / size[0])
    slope, middle = rng.normal(0, 0.05, 2), rng.normal(0, 0.25, 2)
    squared = (xs - middle[0]) ** 2 + (ys - middle[1]) ** 2
    light = 1 + slope[0] * xs + slope[1] * ys + rng.uniform(0.0, 0.22) * (0.35 - squared)
    if rng.random() < 0.2:  # a round field, black outside
        radius, softness = rng.uniform(0.85, 1.2), rng.uniform(0.005, 0.04)
        off = np.hypot(xs - rng.normal(0, 0.04), ys - rng.normal(0, 0.04))
        light *= (1 - np.clip(0.12 * off**4, 0, 0.4)) * (0.5 + 0.5 * np.tanh((radius - off) / (2 * softness)))
    return np.asarray(np.clip(light, 0, 1.25), np.float32)


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
    size, unit = np.array(image.shape[1::-1]), image.shape[1] / REFERENCE_WIDTH_PX
    steps = np.linspace(0, 1, 24)
    coverage = np.zeros(image.shape[:2], np.uint8)
    direction, spread = rng.uniform(0, np.pi), rng.uniform(0.15, 1.2)
    for _ in range(int(1 + most * rng.random() ** 2) if count is None else count):
        bend = rng.normal(0, 0.5, 2)
        angles = direction + rng.normal(0, spread) + bend[0] * steps + bend[1] * steps**2
        way = np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1), 0) * rng.uniform(*lengths) * unit / 24
        path, width = rng.uniform(-0.1, 1.1, 2) * size + way, rng.uniform(*widths) * unit
        for part, taper in ((path[:15], 1.0), (path[14:20], 0.7), (path[19:], 0.4)):
            add_line(coverage, part, width * taper)
    tone = np.array((1.0, 0.88, 0.8), np.float32) * np.float32(rng.uniform(*levels))
    touched = coverage > 0
    image[touched] += coverage[touched, None] * np.float32(opacity / 255) * (tone - image[touched])
    return coverage > 63


def add_line(coverage: npt.NDArray[np.uint8], path: npt.NDArray[np.float64], width: float) -> None:
    """Draw a path [n, 2] of (x, y) in pixels on a plane, with 255 where the line covers a pixel."""
    sixteenths = np.round(path * 16).astype(np.int32)
    cv2.polylines(coverage, [sixteenths], False, 255, max(round(width), 1), cv2.LINE_AA, 4)


def add_bubbles(rng: np.random.Generator, image: Plane, count: int | None = None) -> None:
    """Draw bubbles of contact gel on an image in place: thin rings, brighter on one side, with a highlight.

    `count` is by default a random number.
    """
    light = np.zeros(image.shape[:2], np.uint8)
    cluster, side = rng.uniform(0, 1, 2), rng.uniform(0, 360)
    for _ in range(rng.integers(1, 14) if count is None else count):
        radius = int(16 * np.exp(rng.normal(np.log(7), 0.6)) * image.shape[1] / REFERENCE_WIDTH_PX)  # in sixteenths
        x, y = ((cluster + rng.normal(0, 0.2, 2)) * image.shape[1::-1] * 16).astype(int).tolist()
        for end, level in ((360, rng.integers(10, 40)), (150, rng.integers(30, 90))):
            cv2.ellipse(light, (x, y), (radius, radius), side, 0, end, int(level), 1, cv2.LINE_AA, 4)
        cv2.circle(light, (x - radius // 3, y - radius // 3), radius // 7, 70, -1, cv2.LINE_AA, 4)
    image += light[..., None]


def add_ruler(rng: np.random.Generator, image: Plane, place: float | None = None) -> None:
    """Draw the ruler of a dermatoscope along an edge or across a corner of an image, in place.

    `place` is its distance from the image's centre, 1 at the edge; by default a random one near it.
    """
    size, unit = np.array(image.shape[1::-1]), image.shape[1] / REFERENCE_WIDTH_PX
    turn = rng.integers(4) * np.pi / 2 + rng.choice([0.0, 0.0, 0.6]) * rng.uniform(-1, 1)
    along, inward = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    start = size / 2 - inward * (np.abs(inward) @ size / 2) * (rng.uniform(0.8, 0.98) if place is None else place)
    gap, tick = rng.uniform(14, 45) * unit * along, rng.uniform(8, 20) * unit * inward
    coverage = np.zeros(image.shape[:2], np.uint8)
    for number in range(-30, 31):
        foot = start + gap * number
        add_line(coverage, np.array([foot, foot + tick * (1.7 if number % 5 == 0 else 1)]), 1.6 * unit)
    image *= 1 - coverage[..., None] * np.float32(rng.uniform(0.6, 0.95) / 255)
