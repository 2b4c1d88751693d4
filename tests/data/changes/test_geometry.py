"""Changes of the view: pixels and masks move together, by exactly what is asked."""

from __future__ import annotations

import numpy as np
import pytest

from ham_keras.data.changes import geometry

RNG = np.random.default_rng
SIZE = (121, 81)


def disc(centre: tuple[float, float] = (60, 40), radius: float = 15) -> np.ndarray:
    """A mask, uint8 [81, 121] in {0, 1}."""
    ys, xs = np.indices(SIZE[::-1])
    return ((xs - centre[0]) ** 2 + (ys - centre[1]) ** 2 <= radius**2).astype(np.uint8)


def painted(mask: np.ndarray) -> np.ndarray:
    """An image that is dark where the mask is 1."""
    return np.repeat(np.where(mask, 40, 200)[..., None], 3, 2).astype(np.uint8)


@pytest.mark.parametrize(
    ("view", "neutral"), [(geometry.rotate, 0), (geometry.zoom, 1), (geometry.stretch, 1), (geometry.shift, 0)]
)
def test_neutral_amount_changes_nothing(view: object, neutral: float) -> None:
    image = RNG(0).integers(0, 256, (81, 121, 3)).astype(np.uint8)
    affine = view(SIZE, neutral, RNG(3))  # type: ignore[operator]
    assert np.array_equal(geometry.move(image, affine), image)
    assert np.array_equal(geometry.move(disc(), affine), disc())


@pytest.mark.parametrize(
    ("view", "amount"),
    [
        (geometry.rotate, 35), (geometry.zoom, 1.4), (geometry.zoom, 0.6), (geometry.stretch, 1.5),
        (geometry.stretch, 0.6), (geometry.shift, 0.1),
    ],
)  # fmt: skip
def test_mask_moves_with_the_image(view: object, amount: float) -> None:
    mask = disc((50, 35), 12)
    affine = view(SIZE, amount, RNG(3))  # type: ignore[operator]
    dark = geometry.move(painted(mask), affine)[..., 0] < 120
    moved = geometry.move(mask, affine)
    assert np.mean(dark != moved) < 0.006 and not np.array_equal(moved, mask)


def test_shift_is_by_whole_pixels_in_the_drawn_direction() -> None:
    affine = geometry.shift(SIZE, 0.1, RNG(5))
    angle = RNG(5).uniform(0, 2 * np.pi)
    x, y = round(12.1 * np.cos(angle)), round(12.1 * np.sin(angle))
    assert np.array_equal(affine, [[1, 0, x], [0, 1, y]]) and (x, y) != (0, 0)
    image = RNG(0).integers(0, 256, (81, 121, 3)).astype(np.uint8)
    rows, columns = (slice(max(-step, 0), side - max(step, 0)) for step, side in ((y, 81), (x, 121)))
    moved_rows, moved_columns = (slice(max(step, 0), side + min(step, 0)) for step, side in ((y, 81), (x, 121)))
    assert np.array_equal(geometry.move(image, affine)[moved_rows, moved_columns], image[rows, columns])
    mask = disc()
    assert np.array_equal(geometry.move(mask, affine), np.roll(mask, (y, x), (0, 1)))


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.3, 2.0])
def test_zoom_multiplies_the_area_by_its_square_and_stretch_keeps_it(factor: float) -> None:
    mask = disc()
    zoomed, stretched = (geometry.move(mask, view(SIZE, factor, RNG(0))) for view in (geometry.zoom, geometry.stretch))
    assert zoomed.sum() / mask.sum() == pytest.approx(factor**2, rel=0.04)
    assert stretched.sum() / mask.sum() == pytest.approx(1, rel=0.03)
    width, height = stretched.any(0).sum(), stretched.any(1).sum()
    assert width / height == pytest.approx(factor, rel=0.08)


def test_rotation_is_counter_clockwise_about_the_centre() -> None:
    right = disc((90, 40), 6)
    assert np.array_equal(geometry.move(right, geometry.rotate(SIZE, 90, RNG(0))), disc((60, 10), 6))
    half = geometry.move(right, geometry.rotate(SIZE, 180, RNG(0)))
    assert np.array_equal(half, disc((30, 40), 6))


def test_outside_the_frame_the_edge_continues_and_a_lesion_is_not_repeated() -> None:
    image = painted(disc())
    shrunk = geometry.move(image, geometry.zoom(SIZE, 0.5, RNG(0)))
    corner = shrunk[:15, :20]
    assert (corner == 200).all()
    cut = disc((0, 40), 10)  # a lesion that the left edge cuts is continued, in image and mask
    affine = geometry.zoom(SIZE, 0.5, RNG(0))
    assert geometry.move(cut, affine)[40, :30].all()
    assert (geometry.move(painted(cut), affine)[40, :30] < 120).all()
