"""Failure groups: measurements of hand-drawn images, thresholds of the groups, and their scores."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ham_keras.data.records import find_records
from ham_keras.files import load_json
from ham_keras.reports.failures import (
    GROUPS,
    HAIRY_FRACTION,
    ImageMeasurements,
    group_members,
    measure_image,
    measure_records,
    measurement_rows,
    score_groups,
)

GREY_50 = 119  # sRGB of CIE lightness 50.0


def square(side: int, at: tuple[int, int] = (150, 200), size: tuple[int, int] = (450, 600)) -> np.ndarray:
    lesion = np.zeros(size, np.uint8)
    lesion[at[0] : at[0] + side, at[1] : at[1] + side] = 1
    return lesion


def paint(lesion: np.ndarray, inside: int, outside: int) -> np.ndarray:
    return np.repeat(np.where(lesion == 1, inside, outside).astype(np.uint8)[..., None], 3, axis=2)


def test_measurements_of_a_square() -> None:
    lesion = square(90)
    measured = measure_image(paint(lesion, GREY_50, 255), lesion)
    assert measured.lesion_fraction == pytest.approx(90 * 90 / (450 * 600))
    assert (measured.sides_touched, measured.hair_fraction) == (0, 0.0)
    assert measured.contrast == pytest.approx(50, abs=0.2)  # white has lightness 100


def test_contrast_compares_lesion_with_the_ring_around_it() -> None:
    lesion = square(90)
    image = paint(lesion, GREY_50, GREY_50)
    image[cv2.dilate(lesion, np.ones((201, 201))) == 0] = 0  # far from the lesion
    assert measure_image(image, lesion).contrast == pytest.approx(0, abs=0.01)
    image[cv2.dilate(lesion, np.ones((73, 73))) > lesion] = 255  # 36 pixels wide
    assert measure_image(image, lesion).contrast == pytest.approx(50, abs=0.2)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_measurements_do_not_depend_on_the_image_size(scale: float) -> None:
    lesion = square(150, (0, 100))
    image = paint(lesion, 90, 200)
    cv2.line(image, (320, 380), (580, 120), (30, 30, 30), 4, cv2.LINE_AA)
    whole = measure_image(image, lesion)
    other = measure_image(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), lesion)
    assert other.lesion_fraction == whole.lesion_fraction and other.sides_touched == whole.sides_touched == 1
    assert whole.contrast is not None and other.contrast == pytest.approx(whole.contrast, abs=1)
    assert whole.hair_fraction > 0.003 and other.hair_fraction == pytest.approx(whole.hair_fraction, rel=0.25)


@pytest.mark.parametrize(
    ("rows", "columns", "sides"),
    [
        (slice(100, 200), slice(100, 200), 0),
        (slice(0, 200), slice(100, 200), 1),
        (slice(3, 200), slice(100, 597), 2),
        (slice(0, 450), slice(0, 300), 3),
        (slice(0, 450), slice(0, 600), 4),
        (slice(0, 200), slice(100, 125), 0),  # 25 of 600 pixels of the upper side, less than 5 %
    ],
)
def test_sides_touched(rows: slice, columns: slice, sides: int) -> None:
    lesion = np.zeros((450, 600), np.uint8)
    lesion[rows, columns] = 1
    assert measure_image(paint(lesion, 90, 200), lesion).sides_touched == sides


@pytest.mark.parametrize("value", [0, 1])
def test_no_contrast_without_skin_or_without_lesion(value: int) -> None:
    lesion = np.full((60, 80), value, np.uint8)
    measured = measure_image(paint(lesion, 90, 90), lesion)
    assert measured.contrast is None and measured.lesion_fraction == value
    assert not GROUPS["low_contrast"].contains(measured)


@pytest.mark.parametrize(
    ("measurements", "expected"),
    [
        (ImageMeasurements(0.2, 1, 0.01, 10.0), set()),
        (ImageMeasurements(0.51, 0, 0.0, 30.0), {"fills_frame"}),
        (ImageMeasurements(0.2, 2, 0.0, 30.0), {"fills_frame"}),
        (ImageMeasurements(0.0249, 0, 0.0, 30.0), {"tiny"}),
        (ImageMeasurements(0.2, 0, 0.0101, 9.9), {"hairy", "low_contrast"}),
    ],
)
def test_thresholds_of_the_groups(measurements: ImageMeasurements, expected: set[str]) -> None:
    assert {name for name, ids in group_members({"a": measurements}).items() if "a" in ids} == expected
    row = measurement_rows({"a": measurements})[0]
    assert {name for name in GROUPS if row[name]} == expected


def test_group_scores_against_all_other_images() -> None:
    rows = [
        {"image_id": str(i), "lesion_id": f"L{i // 2}", "jaccard_native": str(value)}
        for i, value in enumerate((0.2, 0.4, 0.9, 0.7, 0.8, 0.6))
    ]
    scored = score_groups(rows, {"some": {"0", "1", "2"}, "one lesion": {"0", "1"}, "none": set()}, resamples=200)
    assert scored["some"]["images"] == 3
    assert scored["some"]["inside"]["mean"] == pytest.approx(0.5)
    assert scored["some"]["outside"]["mean"] == pytest.approx(0.7)
    low, high = scored["some"]["inside"]["interval"]
    assert low <= 0.5 <= high
    assert scored["one lesion"]["inside"]["interval"] is None
    assert scored["none"]["inside"] is None and scored["none"]["outside"]["mean"] == pytest.approx(0.6)


def test_records_are_measured_with_repaired_masks(phantoms: Path) -> None:
    records = find_records(phantoms).records
    measured = measure_records(records, visible=False)
    assert list(measured) == [record.image_id for record in records]
    assert all(measurements.lesion_fraction < 1 for measurements in measured.values())
    assert max(measurements.sides_touched for measurements in measured.values()) > 0


def test_explanation_of_hairy_matches_the_benchmark() -> None:
    result = load_json(Path("benchmarks/results/hair.json"))["reported"]
    assert result["threshold"] == HAIRY_FRACTION
    called, bare = result["bare_called_hairy"].split(" of ")
    found, hairy = result["hairy_found"].split(" of ")
    expected = (
        f"Of {bare} phantoms without dark hair, {called} measure as much; of {hairy} with more than that, {found} do"
    )
    assert expected in GROUPS["hairy"].reason
