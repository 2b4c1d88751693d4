"""Answers of a synthetic network whose error is known: coverage, order, ranges."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import binom
from sklearn.covariance import LedoitWolf

from ham_keras.errors import HamError
from ham_keras.trust import assess
from ham_keras.trust.feature_names import FEATURES
from ham_keras.trust.fitting import Answers, Quality, conformal_quantile, fit_input_check, fit_quality, input_limit

SOFT_FRACTION = 0.2


def draw_answers(count: int, seed: int, *, bias: float = 0.0, images_of_a_lesion: int = 1) -> Answers:
    """A network with Jaccard = `soft_jaccard` minus noise that grows towards 0; the distance grows with the error."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(size=(count, len(FEATURES))).astype(np.float32)
    certainty = features[:, FEATURES.index("soft_jaccard")] = rng.beta(5, 1, count)
    features[:, FEATURES.index("soft_fraction")] = SOFT_FRACTION
    lesions = np.array([f"lesion_{i // images_of_a_lesion}" for i in range(count)])
    noise = np.repeat(rng.exponential(1, count)[::images_of_a_lesion], images_of_a_lesion)[:count]
    jaccard = np.clip(certainty - bias - 0.3 * (1.05 - certainty) * noise, 0, 1)
    return Answers(features, jaccard, 0.4 * (1 - jaccard) * rng.uniform(0.5, 1, count), lesions)


def assess_answers(quality: Quality, answers: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expected Jaccard, its lower bound and the margin, as `assess.Assessor` computes them."""
    clipped = tf.clip_by_value(answers.features, quality.lowest, quality.highest)
    mean, squared, distance = tf.unstack(quality.trees.predict(clipped), axis=-1)
    at_least = mean - quality.jaccard_factor * assess.deviation(mean, squared)
    return (
        mean.numpy(),
        at_least.numpy(),
        quality.margin_factor * assess.distance_scale(distance, SOFT_FRACTION).numpy(),
    )


@pytest.fixture(scope="module")
def fitted() -> tuple[Answers, Quality]:
    answers = draw_answers(300, 1)
    return answers, fit_quality(answers)


def test_bounds_hold_for_nine_of_ten_images_and_are_not_wasteful(fitted: tuple[Answers, Quality]) -> None:
    fresh = draw_answers(1000, 2)
    _, at_least, margin = assess_answers(fitted[1], fresh)
    # Binomial in the fresh images, and the beta distribution of the coverage of 300 calibration images: +-1.7 % each.
    low, high = (binom.ppf(share, 1000, rate) / 1000 for share, rate in ((0.005, 0.865), (0.995, 0.935)))
    assert low <= np.mean(fresh.jaccard >= at_least) <= high
    assert low <= np.mean(fresh.distance <= margin) <= high


def test_expected_jaccard_follows_the_true_one_and_tightens_where_it_is_good(fitted: tuple[Answers, Quality]) -> None:
    grid = draw_answers(50, 3)
    grid.features[:] = grid.features.mean(axis=0)
    certainty = np.linspace(0.3, 1, 50)
    grid.features[:, FEATURES.index("soft_jaccard")] = certainty
    expected, at_least, margin = assess_answers(fitted[1], grid)
    smooth = np.convolve(expected, np.full(5, 0.2), "valid")
    assert np.all(np.diff(smooth) >= -0.02) and expected[-1] - expected[0] > 0.3
    assert (expected - at_least)[-1] < (expected - at_least)[25] and margin[-1] < margin[0]


def test_features_beyond_the_calibration_do_not_extrapolate(fitted: tuple[Answers, Quality]) -> None:
    answers, quality = fitted
    beyond = draw_answers(2, 0)
    beyond.features[0], beyond.features[1] = 1e6, -1e6
    expected, _, _ = assess_answers(quality, beyond)
    assert expected.min() >= answers.jaccard.min() and expected.max() <= answers.jaccard.max()


def test_recalibration_with_fifty_images_restores_coverage_elsewhere(fitted: tuple[Answers, Quality]) -> None:
    elsewhere = draw_answers(1000, 5, bias=0.15)
    _, before, _ = assess_answers(fitted[1], elsewhere)
    assert np.mean(elsewhere.jaccard >= before) < 0.8
    _, after, _ = assess_answers(fit_quality(draw_answers(50, 6, bias=0.15), fitted[0]), elsewhere)
    assert 0.8 <= np.mean(elsewhere.jaccard >= after) <= 0.99


def test_out_of_fold_numbers_are_of_trees_without_the_lesion() -> None:
    answers = draw_answers(200, 7, images_of_a_lesion=2)
    out_of_fold = fit_quality(answers).out_of_fold
    covered = (answers.jaccard >= out_of_fold["jaccard_at_least"]).mean()
    assert 0.9 <= covered + 0.01 <= 0.93
    in_sample, _, _ = assess_answers(fit_quality(answers), answers)
    error, seen_error = (np.abs(each - answers.jaccard).mean() for each in (out_of_fold["expected_jaccard"], in_sample))
    assert error > 1.2 * seen_error


def test_too_few_lesions_are_refused() -> None:
    with pytest.raises(HamError, match=r"^19 lesions with masks; expected at least 20"):
        fit_quality(draw_answers(38, 0, images_of_a_lesion=2))


def test_conformal_quantile_worked_out() -> None:
    scores = np.arange(1.0, 20.0)  # 19 lesions: 0.9 * 20 = 18 of them
    assert conformal_quantile(scores, list(map(str, scores)), 0.9) == 18
    assert conformal_quantile(scores[:5], list("abcde"), 0.9) == 5  # too few: the largest
    # Lesion a has three images of a third each: 1/3 + 1/3 + 1/3 + 1 (b) reaches 0.5 * 3 at b's score.
    assert conformal_quantile(np.array([1.0, 2, 3, 4]), ["a", "a", "a", "b"], 0.5) == 4


def test_input_check_is_the_mahalanobis_distance_and_rejects_one_percent() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6))
    training, unseen = ((rng.normal(size=(count, 6)) @ mixing + 3).astype(np.float32) for count in (500, 400))
    lesions = np.arange(400).astype(str)
    check = fit_input_check(training, unseen, lesions)
    distances = assess.measure_distance(tf.constant(unseen), check).numpy()
    mean, scale = training.mean(axis=0), training.std(axis=0)
    gaussian = LedoitWolf().fit((training - mean) / scale)
    expected = np.sqrt(gaussian.mahalanobis((unseen - mean) / scale) / 6)
    np.testing.assert_allclose(distances, expected, rtol=2e-3)
    assert (distances > check.limit).sum() == 3  # of 400, 99 % of 401 lesions are 397
    assert assess.measure_distance(tf.constant(unseen + 30), check).numpy().min() > check.limit
    assert input_limit(check, unseen + 30, lesions) > check.limit


def test_input_check_sees_what_lies_outside_the_main_axes() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(32, 40))

    def draw(count: int) -> np.ndarray:
        return (rng.normal(size=(count, 32)) @ mixing + 0.1 * rng.normal(size=(count, 40))).astype(np.float32)

    training, unseen = draw(300), draw(100)
    check = fit_input_check(training, unseen, np.arange(100).astype(str))
    direction = np.linalg.svd(mixing)[2][-1]  # that no mixture has
    outside = (unseen + 8 * direction).astype(np.float32)
    assert assess.measure_distance(tf.constant(outside), check).numpy().min() > check.limit
