"""Phantoms follow what was measured on real images: colour by diagnosis, the place of the outline, artefacts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ham_keras.data.phantoms import artefacts
from ham_keras.data.phantoms.drawing import draw_lesion, make_lesion
from ham_keras.data.phantoms.hairs import add_hairs, add_line
from ham_keras.data.phantoms.looks import LOOKS, SKIN_COLOURS, draw_amounts, draw_skin_colour
from ham_keras.data.phantoms.photograph import DIAGNOSIS_SHARES, draw_phantom

SIZE = (120, 90)


def test_shares_add_up() -> None:
    assert sum(DIAGNOSIS_SHARES) == pytest.approx(1) and len(DIAGNOSIS_SHARES) == len(LOOKS)
    assert sum(share for share, _, _ in SKIN_COLOURS) == pytest.approx(1)
    assert {sum(look.patterns) for look in LOOKS.values()} == {20}


@pytest.mark.parametrize("diagnosis", LOOKS)
def test_median_densities_follow_the_quantiles(diagnosis: str) -> None:
    rng, look = np.random.default_rng(1), LOOKS[diagnosis]
    densities = [draw_amounts(rng, diagnosis)["green"] for _ in range(2000)]
    np.testing.assert_allclose(np.quantile(densities, (0.1, 0.5, 0.9)), look.density, rtol=0.12)


def test_drawn_lesion_has_the_density_of_its_traits() -> None:
    found, drawn = [], []
    for seed in range(30):
        lesion = make_lesion(np.random.default_rng(seed), "nv", 0.75)
        reflectance, mask = draw_lesion(lesion, SIZE, 1.0, 0.0, np.zeros(2))
        if not lesion.amounts["second"] and mask.mean() < 0.4:
            green = -np.log(reflectance[..., 1])
            found.append(
                np.median(green[mask]) - np.median(green[cv2.dilate(mask.astype(np.uint8), np.ones((15, 15))) == 0])
            )
            drawn.append(lesion.amounts["green"])
    assert len(found) > 10
    assert np.median(np.array(found) / drawn) == pytest.approx(1, abs=0.15)


def test_outline_encloses_the_faint_rim() -> None:
    """On real masks of naevi, 0.18 of the contrast is reached at the outline, 0.72 at 1/25 of the width inside it."""
    at_outline, within = [], []
    for number in range(36):
        image, mask, _, facts = draw_phantom(5, number, number, (150, 112))
        lightness = np.log(cv2.GaussianBlur(image, (0, 0), 0.5)[..., 1] + 1.0)
        inside = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
        outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
        skin = outside > 10
        if facts["dx"] not in ("nv", "mel") or skin.sum() < 2000 or mask.sum() < 800:
            continue
        middle, bare = np.median(lightness[mask]), np.median(lightness[skin])
        if bare - middle > 0.2:
            bands = [(outside > 0) & (outside <= 1.5), (inside >= 5) & (inside <= 7)]
            first, second = ((np.median(lightness[band]) - bare) / (middle - bare) for band in bands)
            at_outline.append(first)
            within.append(second)
    assert len(at_outline) > 8
    assert 0.05 < np.median(at_outline) < 0.3
    assert 0.6 < np.median(within) < 1.05


def test_skin_colours_are_those_of_the_list() -> None:
    rng = np.random.default_rng(2)
    colours = np.array([draw_skin_colour(rng) for _ in range(3000)])
    assert colours.shape == (3000, 3) and colours.min() > 0 and colours.max() <= 252
    # The mean over 900 real images, and 5 % for what mottle, furrows and folds will take.
    np.testing.assert_allclose(np.exp(np.log(colours).mean(0)), 1.05 * np.array((206, 157, 166)), rtol=0.03)


@pytest.mark.parametrize("name", ["add_bubbles", "add_reflections", "add_ruler", "add_ink", "add_sticker"])
def test_artefact_changes_a_part_of_the_image(name: str) -> None:
    changed = []
    for seed in range(10):
        image = np.full((90, 120, 3), 150, np.float32)
        getattr(artefacts, name)(np.random.default_rng(seed), image)
        assert image.dtype == np.float32 and np.isfinite(image).all()
        changed.append((np.abs(image - 150).max(2) > 2).mean())
    assert max(changed) > 0.003 and max(changed) < 0.6


def test_camera_keeps_the_mean_colour_nearly() -> None:
    image = np.full((90, 120, 3), (200, 150, 160), np.float32)
    means = [artefacts.develop(np.random.default_rng(seed), image.copy()).mean((0, 1)) for seed in range(40)]
    np.testing.assert_allclose(np.mean(means, 0), (200, 150, 160), atol=4)
    assert np.std(means, 0).min() > 1


def test_thin_line_covers_in_part_and_crossings_keep_the_stronger() -> None:
    coverage = np.zeros((20, 20), np.uint8)
    add_line(coverage, np.array([[2.0, 10.0], [17.0, 10.0]]), 0.5)
    assert coverage[10, 10] == pytest.approx(128, abs=16) and coverage[3, 10] == 0
    add_line(coverage, np.array([[10.0, 2.0], [10.0, 17.0]]), 0.25)
    assert coverage[10, 10] == pytest.approx(128, abs=16)
    add_line(coverage, np.array([[-30.0, -30.0], [-20.0, -25.0]]), 0.5)  # outside: nothing to draw
    add_line(coverage, np.array([[2.0, 4.0], [17.0, 4.0]]), 1.2)
    assert coverage[4, 10] > 230


def test_hairs_are_thinner_at_smaller_sizes() -> None:
    """A hair of a 20th of a pixel in a small image must not become a bar of one pixel."""
    darkened = []
    for width in (600, 150):
        image = np.full((width * 3 // 4, width, 3), 200, np.float32)
        for seed in range(12):
            add_hairs(np.random.default_rng(seed), image)
        darkened.append(200 - image.mean())
    assert darkened[1] == pytest.approx(darkened[0], rel=0.5)
