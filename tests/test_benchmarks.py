"""The benchmark harness with values worked out by hand, and benchmarks at a small scale."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from benchmarking import load, run_benchmark

from ham_keras.data.records import find_records


@pytest.fixture(scope="module")
def harness() -> ModuleType:
    return load("side_by_side")


def test_show_formats_the_median_in_its_unit_to_four_digits(harness: ModuleType) -> None:
    seconds = np.array([[0.1, 0.123456], [0.3, 0.2]])  # median 0.161728
    assert harness.show(seconds, "ms") == 161.7
    assert harness.show(seconds, "s") == 0.1617
    assert harness.show(seconds, "images/s", 16) == 98.93  # 16 / 0.161728


def test_compare_returns_ratio_of_medians_and_quartiles_over_rounds(harness: ModuleType) -> None:
    ours = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    peer = np.array([[0.2, 0.2], [0.2, 0.2], [0.9, 0.9]])
    row = harness.compare("a step", ours, peer, goal=1.5, unit="images/s", images=6, threads=2)
    assert row == {
        "name": "a step", "ours": 30.0, "peer": 30.0, "ratio": 1.0, "goal": 1.5, "unit": "images/s",
        "ratio_quartiles": [1.5, 2.5],  # of 1, 2, 3
        "ours_quartiles": [24.0, 40.0],  # 6 / 0.25 and 6 / 0.15
        "peer_quartiles": [10.91, 30.0],  # 6 / 0.55 and 6 / 0.2
        "threads": 2,
    }  # fmt: skip


def test_compare_takes_a_percentile_over_all_calls(harness: ModuleType) -> None:
    ours = np.array([[0.1, 0.2], [0.3, 0.4]])
    row = harness.compare("latency", ours, 2 * ours, goal=None, unit="ms", percentile=100)
    assert (row["ours"], row["peer"], row["ratio"]) == (400.0, 800.0, 2.0)
    assert row["ours_quartiles"] == [250.0, 350.0]  # of the rounds' slowest calls, 200 and 400


def test_measured_has_the_same_keys_without_a_peer(harness: ModuleType) -> None:
    row = harness.measured("memory", 5, goal=9, unit="MB", images=3)
    assert row == {"name": "memory", "ours": 5, "peer": None, "ratio": None, "goal": 9, "unit": "MB", "images": 3}


def test_spread_selects_evenly_spaced_items(harness: ModuleType) -> None:
    assert harness.spread(range(10), 4) == [0, 2, 5, 7]
    assert harness.spread("abc", 5) == ["a", "b", "c"]


def test_loss_under_hair_compares_images_of_one_stratum() -> None:
    jaccard = np.array([0.7, 0.6, 0.9, 0.8, 0.5])
    heavy = np.array([True, True, False, False, True])
    strata = np.array(["nv", "nv", "nv", "nv", "bcc"])  # no hairless bcc: its image counts for nothing
    assert load("mfsnet").loss_under_hair(jaccard, heavy, strata) == pytest.approx(0.65 - 0.85)
    assert np.isnan(load("mfsnet").loss_under_hair(jaccard[4:], heavy[4:], strata[4:]))


def test_fewer_masks_are_part_of_more() -> None:
    ids = [str(number) for number in range(300)]
    split = {"train": ids[:200], "val": ids[200:260], "test": ids[260:]}
    few, more = (load("few_masks").subset(split, count) for count in (50, 150))
    assert set(few["train"]) < set(more["train"]) and set(few["val"]) < set(more["val"])
    assert [len(each["train"]) for each in (few, more)] == [50, 150]
    assert [len(each["val"]) for each in (few, more)] == [10, 30]
    assert few["test"] == more["test"] == split["test"]


def run_positive(name: str, folder: Path, *arguments: object) -> list[dict[str, Any]]:
    """The rows of a benchmark, in which all figures are positive."""
    rows = run_benchmark(name, folder, *arguments)
    for row in rows:
        assert all(row[key] > 0 for key in ("ours", "peer", "ratio") if row[key] is not None), row
    return rows


@pytest.mark.benchmark
def test_input_pipeline(phantoms: Path, tmp_path: Path) -> None:
    rows = run_positive("input_pipeline", tmp_path, phantoms, "--images", 16, "--rounds", 1, "--without-peer")
    kinds = ("first epoch", "uncached", "cached")
    engines = ("none", "native", "albumentations")
    expected = [f"augmentation {engine}: {kind}" for engine in engines for kind in kinds]
    assert [row["name"] for row in rows] == [*expected, "augmentation native: cached, images/s"]


def test_needs_of_a_million_images_scale_from_one_image() -> None:
    workers = load("workers")
    one = {"cpu_seconds": 0.144, "row_bytes": 1500, "bytes": 20_000}
    needs = {row["name"]: (row["ours"], row["unit"]) for row in workers.needs(1_000_000, one, worker_mb=1000)}
    assert needs == {
        "on paper, 1 million images: processor time": (40.0, "core-hours"),
        "on paper, 1 million images: workers of a core that do it in a day": (2, "workers"),  # 1.67
        "on paper, 1 million images: memory of these workers": (2.097, "GB"),
        "on paper, 1 million images: memory for the rows of one table": (1.5, "GB"),
        "on paper, 1 million images: disk for masks, overlays, table": (20.0, "GB"),
    }


def test_contents_of_rows_are_not_held_in_memory() -> None:
    held_bytes = load("workers").held_bytes
    short, long = ([{"image_id": f"{number:04}", "note": note} for number in range(500)] for note in ("", "x" * 1000))
    assert 50 < held_bytes(short) < 500
    assert held_bytes(long) - held_bytes(short) == pytest.approx(0, abs=50)


def test_table_is_rendered_below_its_marker(tmp_path: Path) -> None:
    rows = [
        {
            "name": "a: first", "ours": 1234.5, "peer": 20, "ratio": 1.5, "ratio_quartiles": [1.4, 1.6], "goal": 1.0,
            "unit": "ms",
        },
        {"name": "a: second", "ours": 0.25, "peer": None, "ratio": None, "goal": None, "unit": "s"},
        {"name": "b: third", "ours": 1.0, "peer": None, "ratio": None, "goal": None, "unit": "s"},
    ]  # fmt: skip
    (tmp_path / "steps").mkdir()
    for kind, date, kept in (("intel-amx", "2026-01-02T00:00", rows), ("amd-avx2", "2026-01-01T00:00", rows[:1])):
        content = {"columns": ["ours", "peer"], "rows": kept, "environment": {"cpu": kind[:5], "date": date}}
        (tmp_path / "steps" / f"{kind}.json").write_text(json.dumps(content))
    old = "\n*Z80 (zilog-sse), 1976-07-01:*\n\n| old |\n"
    text = load("tables").update(f"<!-- steps: a: -->\n{old}{old}\nwords\n\n<!-- steps: b: -->\n\nend\n", tmp_path)
    assert text == (
        "<!-- steps: a: -->\n\n*a; intel (intel-amx), 2026-01-02:*\n\n"
        "|  | ours | peer | unit | ratio (quartiles) | goal |\n| --- | --- | --- | --- | --- | --- |\n"
        "| first | 1,234 | 20 | ms | **1.50** (1.40 to 1.60) | 1 |\n| second | 0.25 |  | s |  |  |\n\n"
        "*a; amd-a (amd-avx2), 2026-01-01:*\n\n"
        "|  | ours | peer | unit | ratio (quartiles) | goal |\n| --- | --- | --- | --- | --- | --- |\n"
        "| first | 1,234 | 20 | ms | **1.50** (1.40 to 1.60) | 1 |\n\nwords\n\n"
        "<!-- steps: b: -->\n\n*b; intel (intel-amx), 2026-01-02:*\n\n"
        "|  | ours | unit |\n| --- | --- | --- |\n| third | 1 | s |\n\nend\n"
    )


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ("vendor_id\t: GenuineIntel\nflags\t\t: avx2 avx512f avx512_bf16 amx_bf16\n", "intel-amx"),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: avx2 avx512f avx512_bf16\n", "amd-avx512-bf16"),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: sse2 avx2\n", "amd-avx2"),
        ("", platform.machine()),
    ],
)
def test_kind_of_processor_is_the_vendor_and_its_widest_instructions(facts: str, kind: str) -> None:
    assert load("side_by_side").cpu_kind(facts) == kind


def test_documented_tables_match_the_results() -> None:
    document = Path("docs/performance.md").read_text(encoding="utf-8")
    assert load("tables").update(document) == document and document.count("<!-- ") >= 10


def test_each_step_of_reading_gets_the_output_of_the_previous_step(phantoms: Path) -> None:
    reading = load("reading")
    records = find_records(phantoms).records[:2]
    seen: list[object] = []
    functions = [lambda path: f"read {Path(path).parent.name}", seen.append, lambda path: f"mask {path}", seen.append]
    reading.prepared("resize the image", functions, records)()
    reading.prepared("resize the mask", functions, records)()
    assert seen == ["read images"] * 2 + [f"mask {record.mask_path}" for record in records]


@pytest.mark.benchmark
def test_augment_threads(tmp_path: Path) -> None:
    rows = run_positive("augment_threads", tmp_path, "--images", 16, "--rounds", 1, "--steps")
    assert len(rows) == 4 and all(row["ratio"] for row in rows)


@pytest.mark.benchmark
def test_inference(tmp_path: Path) -> None:
    rows = run_positive("inference", tmp_path, "--rounds", 1, "--batches", 1, "--size", 32, "--without-peer")
    assert len(rows) == 2 * (6 + 2)  # six variants and two comparisons of two
    by_name = {row["name"]: row["ours"] for row in rows}
    assert by_name["SavedModel: batch 1, p50"] <= by_name["SavedModel: batch 1, p99"]
    assert sum("largest_difference" in row for row in rows) == 2 * 2


@pytest.mark.benchmark
def test_epoch(phantoms: Path, tmp_path: Path) -> None:
    ids = [record.image_id for record in find_records(phantoms).records]
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ids[:16], "val": ids[16:20], "test": ids[20:]}))
    rows = run_positive("epoch", tmp_path, phantoms, split, "--epochs", 2, "--size", 32, "--without-peer")
    for first, later, whole in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        assert whole["ours"] == pytest.approx(first["ours"] + 19 * later["ours"], rel=1e-3)


@pytest.mark.benchmark
def test_training_step(tmp_path: Path) -> None:
    rows = run_positive("training_step", tmp_path, "--precision", "float32", "--rounds", 1, "--without-peer")
    names = [f"{backbone}, float32" for backbone in ("resnet34", "mobilenet")]
    assert [(row["name"], row["unit"]) for row in rows] == [(name, "ms") for name in names]
