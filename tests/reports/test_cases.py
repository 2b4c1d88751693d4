"""Pictures of cases: layout and colours."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from ham_keras.reports.cases import (
    BOTH,
    GAP_PX,
    LABEL_PX,
    MISSED,
    NEITHER,
    TOO_MUCH,
    case_panels,
    draw_difference,
    fit_to_panel,
    pair_panels,
    save_panels,
)


def test_differences_use_the_legends_colours_which_differ_in_greyscale() -> None:
    truth, mask = np.array([[0, 0], [1, 1]], np.uint8), np.array([[0, 1], [0, 1]], np.uint8)
    drawn = draw_difference(truth, mask, (2, 2)).tolist()
    expected = [[NEITHER, TOO_MUCH], [MISSED, BOTH]]
    assert drawn == [[list(ImageColor.getrgb(colour)) for colour in row] for row in expected]
    greys = sorted(ImageColor.getcolor(colour, "L") for colour in (NEITHER, BOTH, TOO_MUCH, MISSED))
    assert min(b - a for a, b in itertools.pairwise(greys)) > 40


def test_four_panels_form_a_grid(tmp_path: Path) -> None:
    image = np.full((450, 600, 3), 180, np.uint8)
    truth = np.zeros((450, 600), np.uint8)
    truth[100:200, 100:300] = 1
    panels = case_panels(image, truth, 0 * truth)
    assert [name for name, _ in panels] == ["image", "truth", "prediction: no lesion", "difference"]
    assert [name for name, _ in pair_panels(image, truth, truth, truth)][2:] == ["A: difference", "B: difference"]
    save_panels(panels, tmp_path / "case.png")
    with Image.open(tmp_path / "case.png") as picture:
        assert picture.size == (2 * 300 + GAP_PX, 2 * (225 + LABEL_PX))
        # The middle of the missed lesion: (200, 150) in the image is (100, 75) of its panel.
        assert picture.getpixel((300 + GAP_PX + 100, 2 * LABEL_PX + 225 + 75)) == ImageColor.getrgb(MISSED)


def test_tall_image_is_limited_to_the_panels_height() -> None:
    assert fit_to_panel(np.zeros((2000, 500, 3), np.uint8)).shape == (400, 100, 3)
