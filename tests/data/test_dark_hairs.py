"""Hair detection on drawn lines, on structures that are not hairs, and on the known hairs of phantoms."""

from __future__ import annotations

from unittest import mock

import cv2
import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from ham_keras.data.dark_hairs import find_hairs
from ham_keras.data.phantoms import hairs as phantom_hairs
from ham_keras.data.phantoms.photograph import draw_phantom


def skin() -> np.ndarray:
    return np.full((450, 600, 3), (200, 150, 140), np.uint8)


@pytest.mark.parametrize(("ends", "thickness"), [((500, 100), 3), ((100, 400), 3), ((500, 390), 2), ((400, 350), 5)])
def test_dark_line_is_found_in_place(ends: tuple[int, int], thickness: int) -> None:
    line = np.zeros((450, 600), np.uint8)
    cv2.line(line, (100, 100), ends, 1, thickness)
    image = skin()
    image[line == 1] = 60
    found = find_hairs(image)
    assert (found & (line == 1)).sum() > 0.9 * line.sum()
    assert (found & (line == 0)).sum() < 0.05 * line.sum()


def test_light_broad_short_and_edge_structures_are_not_hairs() -> None:
    image = skin()
    cv2.line(image, (50, 60), (550, 60), (250, 240, 235), 2)  # a light hair
    cv2.line(image, (50, 120), (550, 120), (60, 50, 50), 20)  # a band
    cv2.circle(image, (150, 260), 50, (90, 50, 40), -1)  # a lesion
    for x in range(50, 550, 25):  # a ruler
        cv2.line(image, (x, 400), (x, 416), (40, 40, 40), 2)
    for x in range(300, 560, 12):  # a mosaic of globules
        for y in range(180, 340, 12):
            cv2.circle(image, (x + 6 * (y // 12 % 2), y), 5, (120, 60, 50), -1)
    image[:, :2] = 20
    assert find_hairs(image).mean() < 1e-4


@pytest.mark.slow
def test_hair_fraction_of_phantoms_follows_their_true_dark_hairs() -> None:
    seed, size = 6, (600, 450)
    drawn = [draw_phantom(seed, number, number, size)[0] for number in range(48)]
    # Fine brown hairs and light ones are drawn last, so omitting them leaves the dark ones unchanged.
    with mock.patch.object(phantom_hairs, "HAIRS", phantom_hairs.HAIRS[:3]):
        true = np.array([draw_phantom(seed, number, number, size)[2].mean() for number in range(48)])
    measured = np.array([find_hairs(image).mean() for image in drawn])
    assert 5 <= (true > 0.01).sum() <= 30
    assert roc_auc_score(true > 0.01, measured) > 0.9
    assert spearmanr(true[true > 0], measured[true > 0])[0] > 0.6
    assert measured[true == 0].max() < 0.01
