"""Summaries of per-image scores."""

from __future__ import annotations

import pytest

from ham_keras.config import parse_config
from ham_keras.scores.summary import (
    describe_scoring,
    format_summary,
    outline_in_words,
    scored_outline,
    size_group,
    summarise,
)
from ham_keras.settings import Outline


@pytest.mark.parametrize(
    ("fraction", "name"), [(0.0, "0% to 5%"), (0.05, "5% to 10%"), (0.39, "20% to 40%"), (1.0, "40% to 100%")]
)
def test_size_groups(fraction: float, name: str) -> None:
    assert size_group(fraction) == name


def row(lesion: str, diagnosis: str, fraction: float, native: float, network: float) -> dict[str, object]:
    names = ("jaccard", "dice", "sensitivity", "specificity", "accuracy", "threshold_jaccard")
    scores = {f"{name}_{size}": value for name in names for size, value in (("native", native), ("network", network))}
    distance = {"hausdorff95_px": 100 * (1 - native)}
    return {"lesion_id": lesion, "diagnosis": diagnosis, "lesion_fraction": fraction, **distance, **scores}


def test_summary_worked_out_by_hand() -> None:
    rows = [row("a", "nv", 0.02, 0.9, 0.8), row("a", "nv", 0.3, 0.6, 0.5), row("b", "mel", 0.3, 0.9, 0.8)]
    summary = summarise(rows, resamples=100)
    assert (summary["images"], summary["lesions"]) == (3, 2)
    assert summary["native"]["jaccard"]["mean"] == pytest.approx(0.8)
    assert summary["native"]["jaccard"]["median"] == 0.9
    assert summary["native"]["jaccard"]["interval"] == pytest.approx([0.75, 0.9])
    assert summary["native"]["below_0.65"] == pytest.approx(1 / 3)
    assert summary["network"]["jaccard"]["mean"] == pytest.approx(0.7)
    assert summary["hausdorff95_px"]["mean"] == pytest.approx(20)
    assert "Hausdorff 95 (px)       20.0    10.0  10.0 to 25.0" in format_summary(summary, "run")
    assert summary["by_diagnosis"]["nv"]["jaccard"]["mean"] == pytest.approx(0.75)
    assert summary["by_diagnosis"]["mel"]["images"] == 1
    assert summary["by_diagnosis"]["mel"]["jaccard"]["interval"] is None  # there is no interval for a single lesion
    assert list(summary["by_diagnosis"]) == ["mel", "nv"]
    assert list(summary["by_size"]) == ["0% to 5%", "20% to 40%"]
    assert summary["by_size"]["20% to 40%"]["below_0.65"] == 0.5


def test_summary_contains_the_post_processing() -> None:
    outline = Outline(threshold=0.4, tta=True, fill_holes=True)
    config = parse_config({"outline": outline.model_dump()}, "test")
    described = describe_scoring("data", "test", config)
    assert described == {
        "data": "data", "split": "test", "threshold": 0.4, "tta": True, "keep_largest": False, "fill_holes": True,
        "masks": None,
    }  # fmt: skip
    assert scored_outline(described) == outline
    assert scored_outline({"data": "data", "threshold": 0.3}) == Outline(threshold=0.3)  # of an earlier version
    assert outline_in_words(outline) == "probability > 0.4, mirror images averaged, holes filled"
    rows = [row("a", "nv", 0.02, 0.9, 0.8), row("b", "nv", 0.3, 0.6, 0.5)]
    printed = format_summary({**described, **summarise(rows, resamples=100)}, "run")
    assert printed.splitlines()[1] == "lesion: probability > 0.4, mirror images averaged, holes filled"
