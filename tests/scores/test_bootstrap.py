"""Bootstrap intervals of means over lesions."""

from __future__ import annotations

import numpy as np
import pytest

from ham_keras.scores.bootstrap import bootstrap_interval, interval_over, show_interval


def test_interval_of_constant_and_of_one_group() -> None:
    assert bootstrap_interval([0.5] * 9, list("aabbccdde")) == (0.5, 0.5)
    assert bootstrap_interval([0.0, 1.0], ["a", "a"]) == (0.5, 0.5)


def test_interval_has_the_width_of_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.1, 900)
    low, high = bootstrap_interval(values, [str(i) for i in range(900)], resamples=4000)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=1e-3)
    assert high - low == pytest.approx(2 * 1.96 * 0.1 / 30, rel=0.08)


def test_images_of_one_lesion_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).normal(0.8, 0.1, 100), 4)
    alone = bootstrap_interval(values, [str(i) for i in range(400)])
    grouped = bootstrap_interval(values, [str(i // 4) for i in range(400)])
    assert (grouped[1] - grouped[0]) / (alone[1] - alone[0]) == pytest.approx(2, rel=0.15)


def test_interval_of_one_lesion_is_none_and_of_few_is_marked() -> None:
    assert interval_over([0.25, 0.75], ["a", "a"]) is None
    assert interval_over([0.5, 0.5], ["a", "b"]) == [0.5, 0.5]
    assert show_interval(None) == "one lesion only"
    assert show_interval([0.5, 0.75], 9) == "0.5000 to 0.7500, too few lesions (9)"
    assert show_interval([0.5, 0.75], 10) == show_interval([0.5, 0.75]) == "0.5000 to 0.7500"
    assert show_interval([-0.5, 0.75], 10, signed=True) == "-0.5000 to +0.7500"
