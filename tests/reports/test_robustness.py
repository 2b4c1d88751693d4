"""Plots and tables of robustness scores, and the table of changes in the documentation."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from ham_keras.data.changes.catalogue import CHANGES
from ham_keras.reports.robustness import format_robustness, rank_changes, save_expected, save_panels
from ham_keras.scores.robustness import summarise_changes


def rows(jaccard: float, expected: float, direction: str = "") -> dict[str, dict[str, str]]:
    """Rows of four images of two lesions."""
    row = {
        "lesion_fraction": "0.2",
        "direction": direction,
        "jaccard_at_least": "0.2",
        "review": str(int(expected < 0.65)),
    }
    row |= {
        "margin_px": "9",
        "outline_distance_px": "3",
        "jaccard_native": str(jaccard),
        "expected_jaccard": str(expected),
    }
    return {name: {"image_id": name, "lesion_id": name[0], **row} for name in ("a1", "a2", "b1", "b2")}


@pytest.fixture
def summary() -> dict[str, Any]:
    """Ink is worse than zoom, and zoom's directions differ."""
    ink = {strength: rows(0.9 - 0.1 * strength, 0.88 - 0.1 * strength) for strength in range(1, 6)}
    zoom: dict[int, Any] = {}
    for strength in range(1, 6):
        larger, smaller = rows(0.9, 0.88, "enlarged"), rows(0.9 - 0.06 * strength, 0.88, "shrunk")
        zoom[strength] = {name: (larger if name[0] == "a" else smaller)[name] for name in larger}
    found = summarise_changes(rows(0.9, 0.88), {"ink": ink, "zoom": zoom}, 50)
    return {"run": "a_$run", "properties": {"hair": {"2": found["clean"]}}, **found}


def test_worst_change_is_first(summary: dict[str, Any]) -> None:
    ranked = rank_changes(summary)
    assert [entry["name"] for entry in ranked] == ["ink", "zoom"]
    assert ranked[0]["loss"]["mean"] == pytest.approx(0.3) and ranked[1]["loss"]["mean"] == pytest.approx(0.09)
    lines = format_robustness(summary).splitlines()
    assert lines[0].split() == [
        "Jaccard",
        "loss",
        "95",
        "%",
        "interval",
        "strongest",
        "<",
        "0.65",
        "expected",
        "review",
    ]
    assert lines[1].split() == ["unchanged", "0.9000", "0.9000", "0.0%", "0.8800", "0.0%"]
    assert lines[2].split()[:3] == ["ink", "0.6000", "+0.3000"]
    assert lines[2].split()[-4:] == ["0.4000", "100.0%", "0.3800", "100.0%"]
    assert (
        lines[4].startswith("all changes")
        and lines[5].strip() == "intervals over 2 lesions: too few lesions"
        and "unchanged, by hair" in lines
    )
    assert "  2                   0.9000  0.9000 to 0.9000, too few lesions (2)    4 images, expected 0.8800" in lines


def test_panels_show_the_means_of_one_run_or_two(summary: dict[str, Any], tmp_path: Path, plotted: Any) -> None:
    save_panels([summary], tmp_path / "one.png")
    ink, zoom = plotted["one"]
    assert (ink["title"], zoom["title"]) == ("ink", "zoom")
    assert ink["lines"][r"a_\$run"].tolist() == [[0, 1, 2, 3, 4, 5], pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])]
    assert ink["lines"][r"a_\$run: expected Jaccard"][1].tolist() == pytest.approx([0.88, 0.78, 0.68, 0.58, 0.48, 0.38])
    assert ink["texts"] == [] and sorted(zoom["texts"]) == ["enlarged", "shrunk"]
    other = {**copy.deepcopy(summary), "run": "other"}
    del other["changes"]["ink"]
    save_panels([summary, other], tmp_path / "two.png")
    (zoom,) = plotted["two"]
    assert zoom["title"] == "zoom" and {r"a_\$run", "other"} <= zoom["lines"].keys() and zoom["texts"] == []
    assert (tmp_path / "two.png").stat().st_size > 1000


def test_expected_plot_has_a_point_per_condition(summary: dict[str, Any], tmp_path: Path, plotted: Any) -> None:
    assert save_expected(summary, tmp_path / "expected.png")
    axes = plotted["expected"][0]
    (points,) = axes["points"]
    assert len(points) == 10 and points[:5].tolist() == [
        pytest.approx([0.88 - 0.1 * strength, 0.9 - 0.1 * strength]) for strength in range(1, 6)
    ]
    assert set(axes["texts"]) == {"ink", "zoom"}
    del summary["trust"]
    assert not save_expected(summary, tmp_path / "none.png") and not (tmp_path / "none.png").exists()


def test_documentation_has_the_table_of_changes() -> None:
    page = Path("docs/reference/robustness.md").read_text()
    reverse = {"sign": "or negative", "reciprocal": "or the reciprocal"}
    for name, change in CHANGES.items():
        amounts = ", ".join(f"{amount:g}" for amount in change.amounts)
        first, second = change.directions or ("", "")
        directions = f"{first}; {reverse[change.reverse]}: {second}" if first else ""
        assert f"| `{name}` | {amounts} | {change.unit} | {directions} | {change.source} |\n" in page
    assert page.count("\n| `") == len(CHANGES) + page.partition("## summary.json")[2].count("\n| `")
