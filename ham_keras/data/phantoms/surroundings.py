"""What else is on the skin around a lesion: other spots, which its mask leaves out, and reddened skin."""

from __future__ import annotations

import dataclasses

import numpy as np

from ham_keras.data.phantoms.tiles import REFERENCE_WIDTH_PX, Affine, Plane, log_uniform, ramp, rotation, sigmoid

SHARE, MOST = 0.7, 5  # of the lesions with other spots near by, and the most of them
RADIUS_PX, LARGEST = (10, 110), 1.0  # of a spot, and its largest radius relative to the lesion's
DENSITY = (0.06, 1.0)
REDNESS_SHARE, REDNESS = 0.35, (0.03, 0.35)  # of the skin around the lesion


@dataclasses.dataclass(frozen=True)
class Spot:
    """A naevus or blemish beside the lesion; lengths in reference pixels, `place` from the lesion's centre."""

    place: Plane  # [2]
    axes: Plane  # [2, 2], from the plane to units of its radius
    edge: float  # width of its soft edge in units of its radius
    melanin: float
    blood: float


def draw_spots(rng: np.random.Generator, radius_px: float, aspect: float) -> list[Spot]:
    """Draw the spots near a lesion of this radius, anywhere in an image whose height is `aspect` times its width."""
    if rng.random() > SHARE:
        return []
    frame = REFERENCE_WIDTH_PX * np.array([1, aspect])
    return [_draw_spot(rng, radius_px, frame) for _ in range(rng.integers(1, MOST + 1))]


def _draw_spot(rng: np.random.Generator, radius_px: float, frame: Plane) -> Spot:
    radius = min(log_uniform(rng, RADIUS_PX), LARGEST * radius_px)
    length = np.exp(abs(rng.normal(0, 0.25)))
    turn = rotation(rng.uniform(0, np.pi))
    density, red = log_uniform(rng, DENSITY), float(rng.random() < 0.2)
    return Spot(
        place=np.asarray(rng.uniform(-0.6, 0.6, 2) * frame, np.float32),
        axes=np.asarray(turn.T @ np.diag([1 / length, length]) @ turn / radius, np.float32),
        edge=log_uniform(rng, (0.08, 0.5)),
        melanin=density * (1 - 0.8 * red),
        blood=density * red,
    )


def draw_redness(rng: np.random.Generator) -> tuple[float, float]:
    """Draw how red the skin around the lesion is, and how far that reaches in units of the lesion's radius."""
    return float(rng.random() < REDNESS_SHARE) * rng.uniform(*REDNESS), rng.uniform(0.3, 2.5)


def spot_densities(spots: list[Spot], view: Affine, depth: Plane, texture: Plane) -> tuple[Plane, Plane]:
    """Melanin and blood of the spots, float32 [H, W] each; `depth` is that of the lesion, `texture` has deviation 1.

    Spots end before the lesion: on its edge they would make the true mask ambiguous.
    """
    melanin, blood = np.zeros_like(depth), np.zeros_like(depth)
    height, width = depth.shape
    xs, ys = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    around = ramp(depth, 1.05, 1.25)
    for spot in spots:
        rows = (spot.axes @ view).astype(np.float32)
        middle = spot.axes @ spot.place
        across, along = (row[0] * xs + (row[1] * ys + row[2] - part) for row, part in zip(rows, middle, strict=True))
        presence = sigmoid((1 - np.hypot(across, along) + 0.12 * texture) / spot.edge * 2.2)
        presence *= np.clip(1 + 0.3 * texture, 0.3, 2) * around
        melanin += spot.melanin * presence
        blood += spot.blood * presence
    return melanin, blood
