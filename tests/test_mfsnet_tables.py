"""The tables about MFSNet and hairs match the result files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ham_keras.files import load_json
from ham_keras.scores.bootstrap import show_interval

RESULTS = Path("benchmarks/results")


def shown(score: dict[str, Any], decimals: int = 4, *, signed: bool = False) -> str:
    interval = show_interval(score["interval"], signed=signed, decimals=decimals)
    return f"{score['mean']:{'+' if signed else ''}.{decimals}f} ({interval})"


@pytest.mark.parametrize("name", ["mfsnet", "mfsnet_resnet34", "mfsnet_256"])
def test_screenings_match(name: str) -> None:
    lines = Path("docs/explanation/mfsnet.md").read_text().splitlines()
    for row in load_json(RESULTS / f"{name}.json")["rows"]:
        (line,) = (line for line in lines if line.startswith("|") and shown(row["jaccard"]) in line)
        assert f"{100 * row['below_065']:.1f} %" in line
        if "jaccard_difference" in row:
            assert shown(row["jaccard_difference"], signed=True) in line
            assert shown(row["hausdorff95_px_difference"], 1, signed=True) in line


def test_costs_of_hairs_match() -> None:
    page = Path("docs/how-to/hair.md").read_text()
    for row in load_json(RESULTS / "mfsnet.json")["rows"]:
        if row["name"] not in {
            f"{network}{how}" for network in ("unet", "mfsnet") for how in ("", "-inpaint", "-hairs")
        }:
            continue
        by_amount = {each["amount"]: each["loss"] for each in row["drawn_hairs"]}
        losses = [f"{by_amount[amount]['mean']:.4f}" for amount in (4, 10, 20)]
        losses += [shown(by_amount[40]), f"{by_amount[80]['mean']:.4f}"]
        assert f"| {row['jaccard']['mean']:.4f} | {' | '.join(losses)} |" in page
        heavy, none = row["heavy_hair"], row["no_hair"]
        difference = shown(row["heavy_minus_none"], signed=True)
        gains = [
            shown(part["gain_by_handling"], signed=True) if "gain_by_handling" in part else "" for part in (heavy, none)
        ]
        assert f"| {heavy['jaccard']:.4f} | {none['jaccard']:.4f} | {difference} | {' | '.join(gains)} |" in page
