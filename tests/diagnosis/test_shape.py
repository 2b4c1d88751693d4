"""Outlines drawn by hand, with values from geometry."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ham_keras.diagnosis.measures import measure_size
from ham_keras.diagnosis.shape import measure_shape, mirrored, principal_axes

Mask = npt.NDArray[np.uint8]
SIDE = 160


def points(side: int = SIDE) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    ys, xs = np.indices((side, side)) - (side - 1) / 2
    return xs, ys


def ellipse(a: float, b: float, degrees: float = 0) -> Mask:
    xs, ys = points()
    turn = np.deg2rad(degrees)
    along, across = xs * np.cos(turn) + ys * np.sin(turn), ys * np.cos(turn) - xs * np.sin(turn)
    return ((along / a) ** 2 + (across / b) ** 2 <= 1).astype(np.uint8)


def star(outer: float, inner: float) -> Mask:
    angles = np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2, inner, outer)
    corners = SIDE / 2 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    return np.asarray(cv2.fillPoly(np.zeros((SIDE, SIDE), np.uint8), [np.round(corners).astype(np.int32)], 1), np.uint8)


def test_disc_is_symmetric_round_and_smooth() -> None:
    measured = measure_shape(ellipse(50, 50))
    for name in ("asymmetry_major", "asymmetry_minor", "radial_deviation"):
        assert measured[name] == pytest.approx(0, abs=0.02), name
    for name in ("axis_ratio", "compactness", "solidity"):
        assert measured[name] == pytest.approx(1, abs=0.03), name
    assert measured["fractal_dimension"] == pytest.approx(1, abs=0.15) and measured["parts"] == 1


@pytest.mark.parametrize("degrees", [0, 30, 77])
def test_ellipse_has_its_axes_in_any_direction(degrees: float) -> None:
    measured = measure_shape(ellipse(60, 30, degrees))
    assert measured["axis_ratio"] == pytest.approx(0.5, abs=0.01)
    assert measured["asymmetry_major"] == pytest.approx(0, abs=0.03)
    assert measured["asymmetry_minor"] == pytest.approx(0, abs=0.03)
    # Ramanujan's perimeter of an ellipse with half axes 60 and 30 is 290.7.
    assert measured["compactness"] == pytest.approx(4 * np.pi * np.pi * 1800 / 290.7**2, abs=0.03)
    _, axes, _ = principal_axes(ellipse(60, 30, degrees))
    assert abs(axes[0] @ [np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))]) == pytest.approx(1, abs=0.001)


def test_half_disc_is_symmetric_about_one_axis() -> None:
    xs, ys = points()
    measured = measure_shape(((xs**2 + ys**2 <= 60**2) & (ys > 0)).astype(np.uint8))
    # Its centroid is 4 r / (3 pi) from the straight side. Mirrored about the line through it, the share
    # 1 - (4 / pi) * integral of 2 sqrt(1 - y^2) from c to 2 c is outside, with c = 4 / (3 pi).
    c = 4 / (3 * np.pi)
    area = (lambda y: y * np.sqrt(1 - y**2) + np.arcsin(y))(np.array([c, 2 * c]))
    assert measured["asymmetry_major"] == pytest.approx(1 - (area[1] - area[0]) * 4 / np.pi, abs=0.02)
    assert measured["asymmetry_minor"] == pytest.approx(0, abs=0.02)
    assert measured["solidity"] == pytest.approx(1, abs=0.02)
    # A straight side of 2 r and half a circle.
    assert measured["compactness"] == pytest.approx(4 * np.pi * (np.pi / 2) / (np.pi + 2) ** 2, abs=0.05)


def test_star_is_irregular() -> None:
    measured, disc = measure_shape(star(70, 28)), measure_shape(ellipse(50, 50))
    # Its area is 5 R r sin 36; that of the pentagon around it is 5/2 R^2 sin 72.
    assert measured["solidity"] == pytest.approx(0.4 / np.cos(np.deg2rad(36)), abs=0.02)
    assert measured["compactness"] < 0.45 and measured["radial_deviation"] > 0.2
    assert measured["fractal_dimension"] > disc["fractal_dimension"]


def test_mirroring_twice_gives_the_mask_back() -> None:
    mask = ellipse(50, 20, 30)
    mask[:60] = 0
    axis = np.array([np.cos(0.4), np.sin(0.4)])
    centre = np.array([SIDE / 2, SIDE / 2])
    twice = mirrored(np.asarray(mirrored(mask, centre, axis)), centre, axis)
    assert (twice != mask).mean() < 0.005


def test_size_of_a_disc_is_that_of_its_radius() -> None:
    measured = measure_size(ellipse(40, 40))
    assert measured["diameter_fraction"] == pytest.approx(80 / SIDE, abs=0.005)
    assert measured["area_fraction"] == pytest.approx(np.pi * 1600 / SIDE**2, abs=0.002)
    assert measured["touches_frame"] == 0 and measure_size(ellipse(90, 20))["touches_frame"] == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_thinnest_masks_have_finite_values(shape: tuple[int, int]) -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[3 : 3 + shape[0], 4 : 4 + shape[1]] = 1
    assert all(np.isfinite(value) for value in measure_shape(mask).values())
