"""Artefacts of a dermoscopy photograph: uneven light, gel, reflections, a ruler, ink, stickers, the camera."""

from __future__ import annotations

import cv2
import numpy as np

from ham_keras.data.phantoms.hairs import add_line
from ham_keras.data.phantoms.tiles import REFERENCE_WIDTH_PX, Plane, Size

INKS = ((70, 60, 150), (90, 50, 130), (60, 80, 170), (40, 40, 60))
STICKERS = ((250, 200, 40), (40, 160, 90), (60, 110, 210), (230, 120, 150), (250, 250, 250))
UNEVENNESS = (0.018, 0.024, 0.036)  # of the light in red, green and blue
SHARPNESS = (0.5, 2.4)  # reference pixels of blur


def draw_light(rng: np.random.Generator, size: Size) -> Plane:
    """Uneven illumination, float32 [H, W, 3], to multiply an image with; sometimes the round field of a dermatoscope.

    Its colour is uneven too: real skin varies more in blue than in red across an image.
    """
    xs = np.linspace(-1, 1, size[0], dtype=np.float32)
    ys = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None] * np.float32(size[1] / size[0])
    middle = rng.normal(0, 0.25, 2)
    squared = (xs - middle[0]) ** 2 + (ys - middle[1]) ** 2 - np.float32(0.35)
    bowl = rng.uniform(0.0, 0.14) * rng.choice((1, 2))
    planes = []
    for unevenness in UNEVENNESS:
        slope, curve = rng.normal(0, unevenness, 2), bowl + rng.normal(0, unevenness)
        planes.append(1 + slope[0] * xs + slope[1] * ys - curve * squared)
    light = cv2.merge(planes)
    if rng.random() < 0.2:  # a round field, black outside
        radius, softness = rng.uniform(0.85, 1.25), rng.uniform(0.005, 0.06)
        off = np.hypot(xs - rng.normal(0, 0.04), ys - rng.normal(0, 0.04))
        light *= ((1 - np.clip(0.12 * off**4, 0, 0.4)) * (0.5 + 0.5 * np.tanh((radius - off) / (2 * softness))))[
            ..., None
        ]
    return np.asarray(np.clip(light, 0, 1.3), np.float32)


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


def add_reflections(rng: np.random.Generator, image: Plane) -> None:
    """Draw small bright spots of reflected light on an image in place, near one place."""
    spots = np.zeros(image.shape[:2], np.uint8)
    unit, middle = image.shape[1] / REFERENCE_WIDTH_PX, rng.uniform(0.15, 0.85, 2)
    for _ in range(rng.integers(3, 60)):
        x, y = ((middle + rng.normal(0, 0.16, 2)) * image.shape[1::-1] * 16).astype(int).tolist()
        axes = (16 * unit * rng.uniform(0.8, 4, 2)).astype(int) + 4
        cv2.ellipse(spots, (x, y), axes.tolist(), rng.uniform(0, 180), 0, 360, int(rng.integers(60, 255)), -1,
                    cv2.LINE_AA, 4)  # fmt: skip
    image += spots[..., None] * np.float32(rng.uniform(0.2, 0.6))


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


def add_ink(rng: np.random.Generator, image: Plane) -> None:
    """Draw strokes of a marker pen near the border of an image, in place."""
    size, unit = np.array(image.shape[1::-1]), image.shape[1] / REFERENCE_WIDTH_PX
    coverage = np.zeros(image.shape[:2], np.uint8)
    for _ in range(rng.integers(1, 4)):
        angle = rng.uniform(0, 2 * np.pi)
        place = size * (0.5 + 0.45 * np.array([np.cos(angle), np.sin(angle)]))
        bend = rng.uniform(0, 2 * np.pi) + rng.normal(0, 1.5) * np.linspace(0, 1, 12)
        path = place + np.cumsum(np.stack([np.cos(bend), np.sin(bend)], 1), 0) * rng.uniform(4, 16) * unit
        add_line(coverage, path, rng.uniform(6, 22) * unit)
    soft = cv2.GaussianBlur(coverage, (0, 0), max(2 * unit, 0.5)).astype(np.float32) / 255
    ink = np.array(INKS[rng.integers(len(INKS))], np.float32) / 255
    image *= 1 - soft[..., None] * np.float32(rng.uniform(0.35, 0.9)) * (1 - ink)


def add_sticker(rng: np.random.Generator, image: Plane) -> None:
    """Draw a coloured sticker that reaches into a corner or an edge of an image, in place."""
    size = np.array(image.shape[1::-1])
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.4) * size[0]
    reach = np.abs([np.cos(angle), np.sin(angle)]) @ size / 2
    middle = size / 2 + (reach + radius * rng.uniform(0.2, 0.8)) * np.array([np.cos(angle), np.sin(angle)])
    coverage = np.zeros(image.shape[:2], np.uint8)
    place = np.round(16 * middle).astype(int).tolist()
    cv2.circle(coverage, place, int(16 * radius), 255, -1, cv2.LINE_AA, 4)
    colour = np.array(STICKERS[rng.integers(len(STICKERS))], np.float32) * np.float32(rng.uniform(0.6, 1))
    image += (coverage[..., None] / np.float32(255)) * (colour - image)


def develop(rng: np.random.Generator, image: Plane) -> Plane:
    """What a camera does to an image, float32 [H, W, 3] in 0..255: focus, sharpening, colour, contrast, noise."""
    unit = image.shape[1] / REFERENCE_WIDTH_PX
    blur = SHARPNESS[0] * (SHARPNESS[1] / SHARPNESS[0]) ** rng.random() * unit
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), max(blur, 0.2)))
    sharper = rng.uniform(0, 0.6) * (rng.random() < 0.4)
    if sharper:
        image += np.float32(sharper) * (image - cv2.GaussianBlur(image, (0, 0), max(2.5 * unit, 0.5)))
    grey = image.mean(2, keepdims=True)
    image = grey + np.float32(np.exp(rng.normal(0, 0.08))) * (image - grey)
    gamma = float(np.exp(rng.normal(0, 0.05)))
    image = cv2.pow(np.clip(image, 1, 255), gamma) * np.float32(255 ** (1 - gamma))
    height, width = image.shape[:2]
    blotches = rng.standard_normal(((height + 1) // 2, (width + 1) // 2, 3), dtype=np.float32)
    image += cv2.resize(blotches, (width, height)) * np.float32(rng.uniform(0.4, 1.6))  # as JPEG leaves in the colours
    grain = rng.standard_normal((height, width, 1), dtype=np.float32)
    return np.asarray(image + grain * np.float32(rng.uniform(0.2, 1.4)), np.float32)
