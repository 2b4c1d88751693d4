"""Drawn artefacts: more at higher amounts, nothing at 0, and what a dark corner hides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ham_keras.data.changes import artefacts

RNG = np.random.default_rng
SKIN = np.full((150, 200, 3), 190, np.uint8)


@pytest.mark.parametrize("draw", [artefacts.draw_hairs, artefacts.draw_bubbles, artefacts.draw_ink])
def test_amount_is_how_many_are_drawn(draw: Any) -> None:
    assert np.array_equal(draw(SKIN, 0, RNG(2)), SKIN)
    changed = [np.any(draw(SKIN, count, RNG(2)) != SKIN, axis=2) for count in (3, 12, 40)]
    assert 0 < changed[0].mean() < changed[1].mean() < changed[2].mean() < 0.6
    # Those of a lower amount are also in a higher one.
    assert not np.any(changed[0] & ~changed[1]) or draw is artefacts.draw_bubbles


def test_hairs_are_dark_and_bubbles_bright() -> None:
    hairs, bubbles = artefacts.draw_hairs(SKIN, 20, RNG(0)), artefacts.draw_bubbles(SKIN, 20, RNG(0))
    assert hairs.min() < 100 and hairs.max() == 190
    assert bubbles.max() > 200 and bubbles.min() == 190


def test_ink_absorbs_as_its_colour_says() -> None:
    changed = artefacts.draw_ink(SKIN, 6, RNG(0))
    shares = changed.reshape(-1, 3).min(0) / 190
    assert min(np.abs(shares - ink).max() for ink in artefacts.INKS) < 0.01


def test_ruler_stands_at_its_distance_from_the_centre() -> None:
    for seed in range(8):
        far, near = (np.argwhere(artefacts.draw_ruler(SKIN, place, RNG(seed))[..., 0] < 150) for place in (0.95, 0.2))
        middle = np.array([75, 100])
        assert np.abs(far - middle).max() > 0.8 * 75
        assert np.linalg.norm(near - middle, axis=1).min() < 45


def test_dark_corners_hide_image_and_mask_outside_the_field() -> None:
    mask = np.ones((150, 200), np.uint8)
    image, shown = artefacts.darken_corners(SKIN, 0.75, RNG(1)), artefacts.within_field(mask, 0.75, RNG(1))
    lit = image[..., 0] / 190  # half of the light at the edge of the field
    assert lit[shown == 1].min() >= 0.49 and lit[shown == 0].max() <= 0.51
    assert shown.sum() == pytest.approx(np.pi * 75**2, rel=0.06)
    assert image[75, 100].tolist() == [190] * 3 and image[0, 0].max() == 0
    assert artefacts.within_field(mask, 2.0, RNG(1)).all()
