"""The tables about MFSNet and hair match the result files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from benchmarking import load

from ham_keras.files import load_json

tables = load("mfsnet_tables")


def test_documented_tables_match_the_results() -> None:
    marked: Counter[str] = Counter()
    for document in tables.DOCUMENTS:
        text = document.read_text()
        assert tables.update(text) == text
        marked.update(found["name"] for found in tables.MARKED.finditer(text))
    assert marked == Counter(tables.TABLES.keys())


@pytest.mark.parametrize(("place", "runs"), [(1, tables.SEEDS[0]), (2, tables.SEEDS[1])])
def test_means_of_full_trainings_are_those_of_their_summaries(place: int, runs: tuple[str, ...]) -> None:
    summaries = [load_json(Path("docs/runs") / run / "scores" / "test" / "summary.json")["native"] for run in runs]
    first, failed, *_ = tables.full(*tables.SEEDS)[1:]
    assert first[place] == ", ".join(f"{summary['jaccard']['mean']:.4f}" for summary in summaries)
    assert failed[place] == ", ".join(f"{100 * summary['below_0.65']:.1f} %" for summary in summaries)


def test_every_network_is_in_the_table_of_the_screening_under_its_name() -> None:
    rows = {row["name"]: row for row in load_json(Path("benchmarks/results/mfsnet.json"))["rows"]}
    table = {line[0]: line[1:] for line in tables.screening("mfsnet")[1:]}
    assert len(table) == len(rows) == len(load("mfsnet").VARIANTS)
    for label, name in (
        ("U-Net", "unet"),
        ("MFSNet without reverse attention, hairs drawn", "mfsnet-without-reverse-hairs"),
    ):
        assert table[label][0].startswith(f"{rows[name]['jaccard']['mean']:.4f} (")
