"""Scores of hand-drawn masks, and their summary."""

from __future__ import annotations

import numpy as np
import pytest

from ham_keras.scores.bootstrap import bootstrap_interval
from ham_keras.scores.scores import count, score
from ham_keras.scores.summary import size_group, summarise

TRUTH = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
LESION = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_counts_and_scores_worked_out_by_hand() -> None:
    assert count(TRUTH, LESION) == (2, 3, 2, 9)
    scores = score(2, 3, 2, 9)
    assert scores == {
        "jaccard": 2 / 7,
        "dice": 4 / 9,
        "sensitivity": 1 / 2,
        "specificity": 3 / 4,
        "accuracy": 11 / 16,
        "threshold_jaccard": 0.0,
    }
    assert scores["dice"] == pytest.approx(2 * scores["jaccard"] / (1 + scores["jaccard"]))


def test_threshold_keeps_the_edge_itself() -> None:
    assert score(13, 7, 0, 0)["threshold_jaccard"] == 0.65
    assert score(12, 8, 0, 0)["threshold_jaccard"] == 0.0


def test_nothing_against_nothing_scores_one_and_all_lesion_has_no_specificity_to_lose() -> None:
    assert set(score(*count(0 * TRUTH, 0 * TRUTH)).values()) == {1.0}
    everything = score(*count(0 * TRUTH + 1, 0 * TRUTH + 1))
    assert (everything["jaccard"], everything["specificity"]) == (1.0, 1.0)
    assert score(*count(0 * TRUTH, LESION))["jaccard"] == 0.0


def test_counts_match_the_official_scorer() -> None:
    metrics = pytest.importorskip("isic_challenge_scoring.metrics")
    confusion = pytest.importorskip("isic_challenge_scoring.confusion")
    rng = np.random.default_rng(3)
    for share in (0.0, 0.1, 0.5, 0.97, 1.0):
        truth, lesion = rng.random((2, 31, 17)) < share
        theirs = confusion.create_binary_confusion_matrix(truth, lesion, name="image")
        ours = score(*count(truth, lesion))
        for name in ("jaccard", "dice", "sensitivity", "specificity", "accuracy", "threshold_jaccard"):
            assert ours[name] == pytest.approx(getattr(metrics, f"binary_{name}")(theirs), abs=1e-12), name


def test_shapes_must_match() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        count(TRUTH, LESION[:2])


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


@pytest.mark.parametrize(
    ("fraction", "name"), [(0.0, "0% to 5%"), (0.05, "5% to 10%"), (0.39, "20% to 40%"), (1.0, "40% to 100%")]
)
def test_size_groups(fraction: float, name: str) -> None:
    assert size_group(fraction) == name


def row(lesion: str, diagnosis: str, fraction: float, native: float, network: float) -> dict[str, object]:
    names = ("jaccard", "dice", "sensitivity", "specificity", "accuracy", "threshold_jaccard")
    scores = {f"{name}_{size}": value for name in names for size, value in (("native", native), ("network", network))}
    return {"lesion_id": lesion, "diagnosis": diagnosis, "lesion_fraction": fraction, **scores}


def test_summary_worked_out_by_hand() -> None:
    rows = [row("a", "nv", 0.02, 0.9, 0.8), row("a", "nv", 0.3, 0.6, 0.5), row("b", "mel", 0.3, 0.9, 0.8)]
    summary = summarise(rows, resamples=100)
    assert (summary["images"], summary["lesions"]) == (3, 2)
    assert summary["native"]["jaccard"]["mean"] == pytest.approx(0.8)
    assert summary["native"]["jaccard"]["median"] == 0.9
    assert summary["native"]["jaccard"]["interval"] == pytest.approx([0.75, 0.9])
    assert summary["native"]["below_0.65"] == pytest.approx(1 / 3)
    assert summary["network"]["jaccard"]["mean"] == pytest.approx(0.7)
    assert summary["by_diagnosis"]["nv"]["jaccard"]["mean"] == pytest.approx(0.75)
    assert summary["by_diagnosis"]["mel"]["images"] == 1
    assert summary["by_diagnosis"]["mel"]["jaccard"]["interval"] is None  # of one lesion nothing can be told
    assert list(summary["by_diagnosis"]) == ["mel", "nv"]
    assert list(summary["by_size"]) == ["0% to 5%", "20% to 40%"]
    assert summary["by_size"]["20% to 40%"]["below_0.65"] == 0.5
