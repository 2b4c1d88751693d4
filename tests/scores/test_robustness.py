"""Losses under changes, worked out on a few images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ham_keras.data.properties import order_of
from ham_keras.scores.bootstrap import bootstrap_interval
from ham_keras.scores.robustness import compare_changes, summarise_changes, summarise_groups


def rows(jaccard: list[float], **columns: list[Any]) -> dict[str, dict[str, str]]:
    """Rows of images a, b, c, ... of lesions that have two images each."""
    found = {}
    for i, value in enumerate(jaccard):
        row = {"image_id": "abcdefgh"[i], "lesion_id": f"lesion {i // 2}", "lesion_fraction": "0.2", "direction": ""}
        row |= {"jaccard_native": str(value)} | {name: str(cells[i]) for name, cells in columns.items()}
        found[row["image_id"]] = row
    return found


CLEAN = rows([0.9, 0.8, 0.7, 0.6])


def test_loss_is_paired_with_the_unchanged_image() -> None:
    changed = {1: rows([0.9, 0.8, 0.7, 0.6]), 2: rows([0.5, 0.6, 0.7, 0.2])}
    summary = summarise_changes(CLEAN, {"blur": changed}, 200)
    assert (summary["images"], summary["lesions"]) == (4, 2)
    assert summary["clean"]["jaccard"]["mean"] == pytest.approx(0.75) and summary["clean"]["below_0.65"] == 0.25
    blur = summary["changes"]["blur"]
    first, second = blur["strengths"]
    assert first["loss"]["mean"] == 0 and first["loss"]["interval"] == [0, 0]
    assert second["jaccard"]["mean"] == pytest.approx(0.5) and second["loss"]["mean"] == pytest.approx(0.25)
    losses = [0.4, 0.2, 0.0, 0.4]
    lesions = [row["lesion_id"] for row in CLEAN.values()]
    assert second["loss"]["interval"] == pytest.approx(bootstrap_interval(losses, lesions, resamples=200))
    assert second["below_0.65"] == 0.75 and "trust" not in second and "directions" not in second
    assert blur["loss"]["mean"] == pytest.approx(0.125) and blur["jaccard"]["mean"] == pytest.approx(0.625)
    assert summary["mean"]["loss"]["mean"] == pytest.approx(0.125)


def test_images_whose_lesion_has_left_the_frame_are_left_out() -> None:
    gone = rows([0.8, 0.0, 0.6, 0.0], lesion_fraction=[0.1, 0, 0.1, 0])
    nothing = rows([0.0] * 4, lesion_fraction=[0] * 4)
    summary = summarise_changes(CLEAN, {"shift": {1: gone, 2: nothing}}, 50)
    (part,) = summary["changes"]["shift"]["strengths"]
    assert (part["images"], part["without_lesion"], part["loss"]["mean"]) == (2, 2, pytest.approx(0.1))
    assert summary["mean"]["jaccard"]["mean"] == pytest.approx(0.7)
    # An image that never had a lesion stays.
    empty = rows([1.0] * 4, lesion_fraction=[0, 0.2, 0.2, 0.2])
    part = summarise_changes(empty, {"shift": {1: empty}}, 50)["changes"]["shift"]["strengths"][0]
    assert part["images"] == 4


def test_each_direction_is_compared_with_its_own_images() -> None:
    changed = rows([0.8, 0.8, 0.3, 0.4], direction=["larger", "larger", "smaller", "smaller"])
    part = summarise_changes(CLEAN, {"zoom": {1: changed}}, 50)["changes"]["zoom"]["strengths"][0]
    assert {name: each["loss"]["mean"] for name, each in part["directions"].items()} == {
        "larger": pytest.approx(0.05), "smaller": pytest.approx(0.3),
    }  # fmt: skip


def test_expected_jaccard_is_summarised_per_condition_and_over_all() -> None:
    def assessed(jaccard: list[float], expected: list[float], review: list[int]) -> dict[str, dict[str, str]]:
        bounds = {"jaccard_at_least": [0.5] * 4, "margin_px": [9] * 4, "outline_distance_px": [3] * 4}
        return rows(jaccard, expected_jaccard=expected, review=review, **bounds)

    clean = assessed([0.9, 0.8, 0.7, 0.6], [0.8, 0.8, 0.8, 0.6], [0, 0, 0, 1])
    worse = assessed([0.6, 0.5, 0.4, 0.3], [0.6, 0.6, 0.5, 0.3], [1, 1, 1, 1])
    summary = summarise_changes(clean, {"blur": {1: clean, 2: worse}}, 50)
    assert summary["clean"]["expected_jaccard"] == pytest.approx(0.75) and summary["clean"]["review"] == 0.25
    last = summary["changes"]["blur"]["strengths"][1]
    assert last["expected_jaccard"] == pytest.approx(0.5) and last["trust"]["at_least_coverage"] == 0.5
    assert summary["trust"]["pearson_of_means"] == pytest.approx(1)  # it falls where Jaccard falls
    assert summary["trust"]["images"] == 8 and (summary["trust"]["failures"], summary["trust"]["caught"]) == (5, 5)
    everything = np.array([[0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.4, 0.3], [0.8, 0.8, 0.8, 0.6, 0.6, 0.6, 0.5, 0.3]])
    assert summary["trust"]["pearson"] == pytest.approx(np.corrcoef(everything)[0, 1])


def test_two_runs_are_compared_image_by_image() -> None:
    ours = CLEAN, {"blur": {1: rows([0.8, 0.8, 0.6, 0.6])}, "ink": {1: CLEAN}}
    theirs = CLEAN, {"blur": {1: rows([0.7, 0.6, 0.6, 0.5])}}
    found = compare_changes(ours, theirs, 100)
    assert list(found) == ["clean", "blur"] and found["clean"]["difference"]["mean"] == 0
    assert found["blur"]["ours"] == pytest.approx(0.7) and found["blur"]["theirs"] == pytest.approx(0.6)
    assert found["blur"]["difference"]["mean"] == pytest.approx(0.1)
    low, high = found["blur"]["difference"]["interval"]
    assert 0.05 - 1e-9 <= low < high <= 0.15 + 1e-9  # the two lesions' means


def test_groups_of_a_property() -> None:
    found = summarise_groups(CLEAN, {"hair": {"a": "2", "b": "0", "c": "0", "elsewhere": "1"}}, order_of, 50)
    assert list(found["hair"]) == ["0", "2"]
    assert found["hair"]["0"]["jaccard"]["mean"] == pytest.approx(0.75) and found["hair"]["0"]["images"] == 2
    assert found["hair"]["2"]["jaccard"]["interval"] is None  # one lesion
