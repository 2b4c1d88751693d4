"""What is around a lesion: spots that its mask leaves out, and reddened skin."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ham_keras.data.phantoms import surroundings
from ham_keras.data.phantoms.drawing import Lesion, draw_lesion, make_lesion
from ham_keras.data.phantoms.surroundings import Spot, draw_spots

SIZE = (120, 90)


@pytest.fixture(scope="module")
def lesion() -> Lesion:
    made = make_lesion(np.random.default_rng(3), "nv", 0.75)
    return dataclasses.replace(made, spots=[], redness=(0.0, 1.0), radius_px=90.0)


def draw(lesion: Lesion) -> tuple[np.ndarray, np.ndarray]:
    return draw_lesion(lesion, SIZE, 1.0, 0.0, np.zeros(2))


def test_spot_darkens_the_skin_where_it_is_and_not_the_lesion(lesion: Lesion) -> None:
    spot = Spot(np.array((-200.0, -150.0)), np.eye(2) / 40, 0.1, 0.8, 0.0)
    (clean, mask), (spotted, same_mask) = draw(lesion), draw(dataclasses.replace(lesion, spots=[spot]))
    assert (mask == same_mask).all()
    assert (spotted[mask] == clean[mask]).all()
    ratio = (spotted / clean).mean(axis=-1)
    # 600 reference pixels are 120 of the image: the spot's centre is 40 left of the middle and 30 above it.
    assert ratio[14:17, 19:22].mean() < 0.7
    assert ratio[:, 60:].min() > 0.99


def test_large_spot_ends_before_the_lesion(lesion: Lesion) -> None:
    spot = Spot(np.array((0.0, 0.0)), np.eye(2) / 200, 0.1, 0.8, 0.3)
    (clean, mask), (spotted, _) = draw(lesion), draw(dataclasses.replace(lesion, spots=[spot]))
    assert (spotted[mask] == clean[mask]).all()
    assert (spotted < 0.9 * clean).any()


def test_redness_lowers_green_more_than_red(lesion: Lesion) -> None:
    (clean, mask), (red, same_mask) = draw(lesion), draw(dataclasses.replace(lesion, redness=(0.3, 3.0)))
    assert (mask == same_mask).all()
    ratio = (red / clean)[~mask].mean(axis=0)
    assert ratio[1] < ratio[2] < ratio[0] < 1


def test_spots_are_no_larger_than_their_lesion_and_in_its_image_or_cut_by_the_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(surroundings, "SHARE", 1.0)
    drawn = [spot for seed in range(50) for spot in draw_spots(np.random.default_rng(seed), 50.0, 0.75)]
    assert len(drawn) >= 50
    radii = [1 / np.sqrt(abs(np.linalg.det(spot.axes))) for spot in drawn]
    assert max(radii) <= 50 + 1e-3
    assert all(abs(spot.place[0]) <= 360 and abs(spot.place[1]) <= 270 for spot in drawn)
