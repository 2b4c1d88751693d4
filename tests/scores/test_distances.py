"""The distance of the true outline from ours: discs, and masks without an outline."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ham_keras.scores.distances import find_outline, hausdorff95, outline_distance


def disc(x: float, y: float, radius: float, shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    rows, columns = np.indices(shape)
    return (np.hypot(rows - y, columns - x) <= radius).astype(np.uint8)


@pytest.mark.parametrize("shift", [0, 3, 10, 25])
def test_shifted_disc_is_as_far_as_its_shift(shift: int) -> None:
    assert outline_distance(disc(60 + shift, 60, 30), disc(60, 60, 30)) == pytest.approx(shift, abs=0.5)


def test_distance_is_from_the_true_outline_to_ours() -> None:
    small, with_speck = disc(60, 60, 20), disc(60, 60, 20) | disc(140, 60, 3)
    assert outline_distance(disc(60, 60, 35), small) == pytest.approx(15, abs=1)
    assert outline_distance(small, with_speck) == 0  # the true outline is on ours
    assert outline_distance(with_speck, small) == pytest.approx(63, abs=1)


def test_masks_without_an_outline() -> None:
    empty, whole = np.zeros((30, 40), np.uint8), np.ones((30, 40), np.uint8)
    assert outline_distance(empty, disc(20, 15, 5, (30, 40))) == 0
    assert outline_distance(whole, disc(20, 15, 5, (30, 40))) == 0
    assert outline_distance(disc(20, 15, 5, (30, 40)), empty) == math.hypot(30, 40)


def test_frame_is_not_an_outline() -> None:
    half = np.zeros((30, 40), np.uint8)
    half[:, :20] = 1
    shifted = np.zeros((30, 40), np.uint8)
    shifted[:, :24] = 1
    assert outline_distance(shifted, half) == 4


def test_hausdorff95_of_shifted_half_planes_is_their_shift() -> None:
    first, second = np.zeros((2, 40, 60), np.uint8)
    first[:, :20] = 1
    second[:, :27] = 1
    assert hausdorff95(first, second) == hausdorff95(second, first) == 7


def test_hausdorff95_ignores_a_twentieth_of_an_outline() -> None:
    large = disc(60, 60, 40)
    speck = large.copy()
    speck[110, 150] = 1
    assert hausdorff95(large, speck) == 0
    assert outline_distance(speck, large) > 50


def test_hausdorff95_equals_that_of_nearest_neighbours() -> None:
    first, second = disc(50, 70, 30), disc(66, 61, 22) | disc(130, 30, 9)
    points = [np.argwhere(find_outline(mask)) for mask in (first, second)]
    there, back = (cKDTree(b).query(a)[0] for a, b in (points, points[::-1]))
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert hausdorff95(first, second) == pytest.approx(expected, abs=1e-3)
    assert hausdorff95(second, first) == pytest.approx(expected, abs=1e-3)


def test_hausdorff95_without_outlines() -> None:
    empty, whole = np.zeros((30, 40), np.uint8), np.ones((30, 40), np.uint8)
    assert hausdorff95(empty, empty) == hausdorff95(whole, empty) == 0
    assert hausdorff95(disc(20, 15, 5, (30, 40)), empty) == hausdorff95(whole, disc(20, 15, 5, (30, 40))) == 50
