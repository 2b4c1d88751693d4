"""Summaries of per-image scores."""

from __future__ import annotations

import pytest

from ham_keras.scores.summary import size_group, summarise


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
