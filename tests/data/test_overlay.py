"""The outline is drawn on the border of the mask, and other pixels are unchanged."""

from __future__ import annotations

import numpy as np

from ham_keras.data.overlay import HALO, OUTLINE, draw_outline


def test_only_pixels_near_the_border_change() -> None:
    image = np.full((40, 60, 3), 150, np.uint8)
    lesion = np.zeros((40, 60), np.uint8)
    lesion[10:30, 20:40] = 1
    drawn = draw_outline(image, lesion, 1)
    np.testing.assert_allclose(drawn[20, [20, 39]], [OUTLINE, OUTLINE], atol=50)  # antialiased, so not exact
    np.testing.assert_allclose(drawn[[9, 30], 30], [HALO, HALO], atol=50)
    changed = (drawn != image).any(axis=-1)
    assert not changed[14:26, 24:36].any() and not changed[:6].any() and not changed[:, :16].any()
    assert (image == 150).all()


def test_empty_mask_draws_nothing() -> None:
    image = np.full((40, 60, 3), 150, np.uint8)
    np.testing.assert_array_equal(draw_outline(image, np.zeros((40, 60), np.uint8), 1), image)
