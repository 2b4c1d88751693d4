"""Colours, borders, texture and doubt of drawn lesions."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ham_keras.diagnosis.colour import COLOURS, measure_border, measure_colours
from ham_keras.diagnosis.config import Features
from ham_keras.diagnosis.measures import measure_lesion, measure_names
from ham_keras.diagnosis.texture import measure_doubt, measure_texture
from ham_keras.diagnosis.view import LONGEST_PX, View, make_view

SKIN, BROWN, BLACK = (230, 190, 170), (153, 102, 0), (0, 0, 0)
SIDE, RADIUS = 120, 40
YS, XS = np.indices((SIDE, SIDE)) - SIDE // 2
DISC = (XS**2 + YS**2 <= RADIUS**2).astype(np.uint8)
Pixels = npt.NDArray[np.uint8]


def paint(left: tuple[int, int, int], right: tuple[int, int, int], skin: tuple[int, int, int] = SKIN) -> Pixels:
    image = np.full((SIDE, SIDE, 3), skin, np.uint8)
    image[(DISC > 0) & (XS < 0)] = left
    image[(DISC > 0) & (XS >= 0)] = right
    return image


def lab(colour: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(np.float32([[colour]]) / 255, cv2.COLOR_RGB2LAB)[0, 0])


def test_one_colour_has_no_variegation() -> None:
    measured = measure_colours(View(paint(BROWN, BROWN), DISC))
    assert measured["variegation"] == pytest.approx(0, abs=0.01)
    assert measured["colours"] == 1 and measured["share_light_brown"] == 1
    assert measured["colour_asymmetry_major"] == pytest.approx(0, abs=0.01)
    assert measured["lesion_lightness_mean"] == pytest.approx(lab(BROWN)[0], abs=0.01)
    assert measured["difference_redness"] == pytest.approx(lab(BROWN)[1] - lab(SKIN)[1], abs=0.01)


def test_two_colours_are_counted_and_vary_by_half_their_distance() -> None:
    measured = measure_colours(View(paint(BROWN, BLACK), DISC))
    distance = float(np.linalg.norm(lab(BROWN) - lab(BLACK)))
    assert measured["colours"] == 2
    assert measured["share_light_brown"] == pytest.approx(0.5, abs=0.01)
    assert measured["share_black"] == pytest.approx(0.5, abs=0.01)
    assert measured["variegation"] == pytest.approx(distance / 2, rel=0.01)
    # Mirrored left to right, nearly every pixel gets the other colour; top to bottom none does.
    one, other = sorted((measured["colour_asymmetry_major"], measured["colour_asymmetry_minor"]))
    assert other == pytest.approx(distance, rel=0.1) and one == pytest.approx(0, abs=1)


@pytest.mark.parametrize("name", COLOURS)
def test_each_reference_colour_is_itself(name: str) -> None:
    colour = tuple(round(255 * value) for value in COLOURS[name])
    assert measure_colours(View(paint(colour, colour), DISC))[f"share_{name}"] == 1  # type: ignore[arg-type]


def test_dark_centre_is_darker_than_the_rim() -> None:
    image = paint(BROWN, BROWN)
    image[(RADIUS / np.sqrt(2)) ** 2 >= XS**2 + YS**2] = BLACK
    assert measure_colours(View(image, DISC))["centre_rim_lightness"] == pytest.approx(-lab(BROWN)[0], abs=2)


def test_border_contrast_and_abruptness() -> None:
    sharp = measure_border(View(paint(BROWN, BROWN), DISC))
    distance = float(np.linalg.norm(lab(BROWN) - lab(SKIN)))
    assert sharp["border_contrast"] == pytest.approx(distance, rel=0.01)
    assert sharp["border_abruptness"] == pytest.approx(1, abs=0.02)
    assert sharp["border_contrast_spread"] == pytest.approx(0, abs=0.1)
    soft = measure_border(View(np.asarray(cv2.GaussianBlur(paint(BROWN, BROWN), (0, 0), 6)), DISC))
    assert soft["border_abruptness"] < 0.6
    half = measure_border(View(paint(SKIN, BROWN), DISC))  # one side is as light as the skin
    assert half["border_contrast_lowest"] == pytest.approx(0, abs=0.1)
    assert half["border_contrast_highest"] == pytest.approx(distance, rel=0.02)


def test_doubt_is_along_the_border_of_an_undecided_network() -> None:
    distance = np.sqrt(XS**2 + YS**2)
    probability = np.clip(0.5 + (RADIUS - distance) / 40, 0, 1).astype(np.float32)
    image = paint(BROWN, BROWN)
    vague = measure_doubt(View(image, DISC, probability))
    sure = measure_doubt(View(image, DISC, DISC.astype(np.float32)))
    assert sure == {name: 0 for name in sure}
    assert vague["doubt_border_mean"] > 0.8 > vague["doubt_inside"]
    # Probabilities of 0.25 to 0.75 are within 10 pixels of the outline: (50^2 - 30^2) / 40^2.
    assert vague["doubt_area"] == pytest.approx(1.0, abs=0.05)
    assert all(np.isnan(value) for value in measure_doubt(View(image, DISC)).values())


def test_texture_of_stripes_is_stronger_than_of_one_colour_and_skin_does_not_count() -> None:
    plain = paint(BROWN, BROWN)
    striped = plain.copy()
    striped[(DISC > 0) & (XS % 2 == 0)] = BLACK
    smooth, rough = measure_texture(View(plain, DISC)), measure_texture(View(striped, DISC))
    assert smooth["texture_contrast_1px"] == 0 and smooth["texture_homogeneity_1px"] == 1
    assert rough["texture_contrast_1px"] > 50
    assert sum(value for name, value in rough.items() if name.startswith("pattern")) == pytest.approx(1)
    other_skin = striped.copy()
    other_skin[DISC == 0] = (40, 90, 200)
    again = measure_texture(View(other_skin, DISC))
    assert {name: again[name] for name in again if name.startswith("texture")} == pytest.approx(
        {name: rough[name] for name in rough if name.startswith("texture")}
    )


def test_measures_do_not_depend_on_the_size_of_the_photograph() -> None:
    image, features = paint(BROWN, BLACK), Features()
    large = np.asarray(cv2.resize(image, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST))
    mask = np.asarray(cv2.resize(DISC, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST))
    view = make_view(large, mask)
    assert view is not None and max(view.mask.shape) == LONGEST_PX
    few, many = measure_lesion(image, DISC, None, features), measure_lesion(large, mask, None, features)
    for name in ("diameter_fraction", "axis_ratio", "solidity", "variegation", "colours", "border_contrast"):
        assert many[name] == pytest.approx(few[name], rel=0.05), name


def test_empty_mask_has_the_same_names_and_unknown_values() -> None:
    found = measure_lesion(paint(BROWN, BROWN), np.zeros_like(DISC), None, Features())
    assert [*found] == measure_names(Features()) and found["area_fraction"] == 0
    assert np.isnan(found["solidity"]) and np.isnan(found["variegation"])


def test_lesion_that_fills_the_frame_has_no_border() -> None:
    probability = np.full(DISC.shape, 0.75, np.float32)
    measured = measure_lesion(paint(BROWN, BROWN), np.ones_like(DISC), probability, Features())
    assert np.isnan(measured["border_contrast"]) and np.isnan(measured["skin_lightness"])
    assert np.isnan(measured["doubt_border_mean"]) and np.isnan(measured["doubt_border_high"])
    assert measured["doubt_inside"] == pytest.approx(0.5)
    assert measured["touches_frame"] == 1 and measured["solidity"] == pytest.approx(1)
