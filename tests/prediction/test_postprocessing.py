"""Post-processing of probabilities, against masks drawn by hand."""

from __future__ import annotations

import numpy as np
from drawn_masks import TWO_PARTS, mask

from ham_keras.prediction.postprocessing import fill_holes, keep_largest, postprocess
from ham_keras.settings import Outline


def test_fill_holes_fills_enclosed_skin_but_not_skin_at_the_edge() -> None:
    expected = TWO_PARTS.copy()
    expected[2, 2:4] = 1
    np.testing.assert_array_equal(fill_holes(TWO_PARTS), expected)
    bay = mask("####", "#..#", "#..#")
    np.testing.assert_array_equal(fill_holes(bay), bay)


def test_keep_largest_is_8_connected() -> None:
    expected = TWO_PARTS.copy()
    expected[4:] = 0
    np.testing.assert_array_equal(keep_largest(TWO_PARTS), expected)
    diagonal = mask("#..", ".#.", "..#")
    np.testing.assert_array_equal(keep_largest(diagonal), diagonal)
    np.testing.assert_array_equal(keep_largest(np.zeros((3, 3), np.uint8)), 0)


def test_postprocess_thresholds_then_fills_holes_then_keeps_the_largest() -> None:
    ring = mask("#####......", "#...#..####", "#...#..####", "#...#..####", "#####..####")  # 16 each; 25 filled
    probability = np.where(ring, 0.7, 0.2).astype(np.float32)
    np.testing.assert_array_equal(postprocess(probability, Outline(threshold=0.5)), ring)
    assert postprocess(probability, Outline(threshold=float(probability.max()))).sum() == 0
    both = postprocess(probability, Outline(threshold=0.5, keep_largest=True, fill_holes=True))
    assert both.sum() == 25 and both[:, :5].all()
