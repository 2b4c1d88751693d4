"""Draw docs/images/performance.png from benchmarks/results: speed against the peer, and how training scales.

    python benchmarks/plot.py [--results benchmarks/results] [--output docs/images/performance.png]

Panels without results are left out.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from PIL import Image
from side_by_side import RESULTS, Row, load_results

from ham_keras.files import save_bytes
from ham_keras.reports.pictures import save_figure

COMPARED = ("training_step", "epoch", "input_pipeline", "inference")
OURS, PEER, GOAL = "#1b6ca8", "#b0b0b0", "#d1495b"
NAME = "ham_keras"
PEER_NAME = "segmentation_models_pytorch"
MB = 2**20
COLOURS = 64  # palette of the PNG, which reduces it to a third of its size


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the benchmarks' results.")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--output", type=Path, default=Path("docs/images/performance.png"))
    args = parser.parse_args()
    compared = [
        (benchmark, row)
        for benchmark in COMPARED
        for row in load_rows(args.results, benchmark)
        if row["goal"] is not None and row["ratio"] is not None and "instead of" not in row["name"]
    ]
    grown = load_rows(args.results, "growth")
    images = [row for row in grown if "images" in row]
    pixels = [row for row in grown if "size_px" in row]
    right = [(draw, rows) for draw, rows in ((draw_images, images), (draw_pixels, pixels)) if rows]
    if not compared and not right:
        parser.error(f"{args.results}: no results to draw")
    save_picture(args.output, compared, right)
    print(args.output)


def load_rows(folder: Path, benchmark: str) -> list[Row]:
    """The rows of every kind of processor, which their names say if there are several; of growth, of the newest."""
    found = load_results(benchmark, folder)
    if benchmark == "growth":
        found = dict(list(found.items())[:1])
    return [
        row | {"name": f"{row['name']}, {kind}" if len(found) > 1 else row["name"]}
        for kind, content in found.items()
        for row in content["rows"]
    ]


def save_picture(
    path: Path, compared: Sequence[tuple[str, Row]], right: Sequence[tuple[Callable[[Axes, Any], None], Any]]
) -> None:
    """Draw the bars on the left at full height, and the other panels on the right, one below the other."""
    columns = [name for name, there in (("bars", compared), ("right", right)) if there]
    height = max(4.2, 0.27 * len(compared) + 1.4)
    figure = plt.figure(figsize=(13, height), dpi=100, layout="constrained")
    widths = [{"bars": 1.6, "right": 1.0}[name] for name in columns]
    parts = dict(zip(columns, figure.subfigures(1, len(columns), squeeze=False, width_ratios=widths)[0], strict=True))
    if compared:
        draw_ratios(parts["bars"].subplots(), compared)
        parts["bars"].suptitle(f"Times as fast as {PEER_NAME}", fontsize=11)
        parts["bars"].legend(fontsize=8, frameon=False, loc="outside lower center", ncols=2)
    if right:
        for axes, (draw, rows) in zip(parts["right"].subplots(len(right), squeeze=False)[:, 0], right, strict=True):
            draw(axes, rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)
    with Image.open(path) as drawn:
        few_colours = drawn.convert("RGB").quantize(COLOURS)
    small = io.BytesIO()
    few_colours.save(small, "PNG", optimize=True)
    save_bytes(path, small.getvalue())


def draw_ratios(axes: Axes, compared: Sequence[tuple[str, Row]]) -> None:
    places = range(len(compared))
    ratios = [row["ratio"] for _, row in compared]
    axes.set_xscale("log")
    axes.barh(places, [ratio - 1 for ratio in ratios], left=1, color=OURS, height=0.65)
    for place, (_, row) in zip(places, compared, strict=True):
        low, high = row.get("ratio_quartiles", (row["ratio"], row["ratio"]))
        axes.plot([low, high], [place, place], color="black", linewidth=1)
        axes.plot([row["goal"]] * 2, [place - 0.42, place + 0.42], color=GOAL, linewidth=2.5)
        axes.text(max(high, row["ratio"], row["goal"], 1), place, f"  {row['ratio']:.2f}", va="center", fontsize=9)
    axes.plot([], [], color=GOAL, linewidth=2.5, label="goal")
    axes.plot([], [], color="black", linewidth=1, label="quartiles of the rounds")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(
        places, [f"{benchmark.replace('_', ' ')}: {row['name']}" for benchmark, row in compared], fontsize=8.5
    )
    axes.set_ylim(len(compared) - 0.4, -0.6)
    left, right = 0.85 * min(1, *ratios), 1.5 * max(1, *ratios, *(row["goal"] for _, row in compared))
    axes.set_xlim(left, right)
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if left <= tick <= right]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.spines[["top", "right", "left"]].set_visible(False)


def draw_images(axes: Axes, rows: Sequence[Row]) -> None:
    counts = [row["images"] for row in rows]
    axes.plot(counts, [row["ours"] for row in rows], "o-", color=OURS)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.set_ylabel("seconds an epoch", color=OURS)
    axes.set_xlabel("images")
    memory = axes.twinx()
    memory.plot(counts, [row["peak_mb"] * MB / 1e9 for row in rows], "s--", color=GOAL)
    memory.set_ylim(0, 1.3 * max(row["peak_mb"] for row in rows) * MB / 1e9)
    memory.set_ylabel("peak memory in GB", color=GOAL)
    axes.set_title("An epoch over the number of images", fontsize=11, loc="left")
    axes.spines["top"].set_visible(False)
    memory.spines["top"].set_visible(False)


def draw_pixels(axes: Axes, rows: Sequence[Row]) -> None:
    for who, name, color in (("ours", NAME, OURS), ("peer", PEER_NAME, PEER)):
        there = [row for row in rows if row[who] is not None]
        if there:
            axes.plot(
                [row["size_px"] ** 2 for row in there], [row[who] for row in there], "o-", color=color, label=name
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([row["size_px"] ** 2 for row in rows], [f"{row['size_px']}²" for row in rows])
    axes.minorticks_off()
    rates = [row[who] for row in rows for who in ("ours", "peer") if row[who] is not None]
    ticks = [tick * 10**power for power in range(4) for tick in (1, 2, 5) if min(rates) / 2 < tick * 10**power]
    ticks = [tick for tick in ticks if tick < 2 * max(rates)]
    axes.set_yticks(ticks, [f"{tick}" for tick in ticks])
    axes.set_xlabel("pixels of an image")
    axes.set_ylabel("images/s in training")
    axes.set_title("Speed of training over the size of images", fontsize=11, loc="left")
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
