"""Draw MFSNet as docs/images/mfsnet.png; the channels are those of the network as it is built.

python benchmarks/draw_mfsnet.py [--backbone mobilenet] [--output docs/images/mfsnet.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import matplotlib

matplotlib.use("Agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ham_keras.models.build import build_network
from ham_keras.reports.pictures import save_figure
from ham_keras.settings import Model

WIDTH, HEIGHT = 1080, 560
BOX_WIDTH, BOX_HEIGHT = 156, 66
COLUMNS = {"encoder": 10, "block": 230, "decoder": 440, "reverse": 670, "output": 910}
ROWS = {4: 70, 8: 200, 16: 330, 32: 460}  # by downsampling factor
PLAIN, DECODER, EDGE, REVERSE, OUTPUT = "#e9edf2", "#cfe3f5", "#fbe3c0", "#d9ecd3", "#ffffff"
INK, EDGE_INK, SIDE_INK = "#22252b", "#b5701a", "#8a9099"
Point = tuple[float, float]


def count_channels(backbone: str) -> dict[str, int]:
    """The channels of each box, from the network."""
    settings = Model(architecture="mfsnet", backbone=backbone, encoder_weights=None, deep_supervision=True)
    network = build_network(settings)
    model = keras.Model(network.image, network.outputs)

    def entering(layer: str) -> int:
        return int(model.get_layer(layer).input.shape[-1])

    def leaving(layer: str) -> int:
        return int(model.get_layer(layer).output.shape[-1])

    found = {f"encoder_{factor}": entering(f"rfb_{factor}x_1_conv") for factor in (8, 16, 32)}
    found |= {f"block_{factor}": leaving(f"rfb_{factor}x_relu") for factor in (8, 16, 32)}
    found |= {f"reverse_{factor}": leaving(f"reverse_{factor}x_a_conv") for factor in (8, 16, 32)}
    ends = {"encoder_4": entering("edge_a_conv"), "edge": leaving("edge_c_relu"), "decoder": leaving("ppd_h_relu")}
    return found | ends


def box(axes: Axes, place: Point, fill: str, title: str, *lines: str, height: float = BOX_HEIGHT) -> None:
    x, y = place
    shape = {"boxstyle": "round,pad=0,rounding_size=6", "facecolor": fill, "edgecolor": INK}
    axes.add_patch(FancyBboxPatch(place, BOX_WIDTH, height, zorder=3, **shape))
    for number, text in enumerate((title, *lines)):
        middle = y + height / 2 + 17 * (number - len(lines) / 2)
        weight = "normal" if number else "bold"
        axes.text(x + BOX_WIDTH / 2, middle, text, ha="center", va="center", fontsize=8, weight=weight, zorder=4)


def arrow(axes: Axes, *points: Point, ink: str = INK, above: bool = False) -> None:
    """A line through the points, with a head at the last one; `above` boxes, or behind them."""
    order = 5 if above else 2
    if above:
        axes.plot(*zip(*points[1:-1], strict=True), color="white", lw=5, zorder=order)
    axes.plot(*zip(*points[:-1], strict=True), color=ink, lw=1.3, zorder=order)
    style = {"arrowstyle": "-|>", "color": ink, "lw": 1.3, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", points[-1], points[-2], arrowprops=style, zorder=order)


def draw(channels: dict[str, int]) -> Figure:
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.set_axis_off()
    half = BOX_HEIGHT / 2
    encoder, block, decoder, reverse, output = COLUMNS.values()
    for factor, y in ROWS.items():
        box(axes, (encoder, y), PLAIN, f"encoder, 1/{factor}", f"{channels[f'encoder_{factor}']} channels")
        if factor < 32:
            arrow(axes, (encoder + BOX_WIDTH / 2, y + BOX_HEIGHT), (encoder + BOX_WIDTH / 2, y + 130))
        if factor == 4:
            continue
        box(axes, (block, y), DECODER, "receptive-field block", f"{channels[f'block_{factor}']} channels")
        for left, right in ((encoder, block), (block, decoder)):
            arrow(axes, (left + BOX_WIDTH, y + half - 12), (right, y + half - 12))
        leave, below, enter = encoder + BOX_WIDTH + 20, y + BOX_HEIGHT + 14, reverse - 30  # around block and decoder
        start, end = (encoder + BOX_WIDTH, y + half + 14), (reverse, y + half + 14)
        corners = ((leave, start[1]), (leave, below), (enter, below), (enter, end[1]))
        arrow(axes, start, *corners, end, ink=SIDE_INK, above=True)
        words = ("x (1 - coarser map)", f"convolutions, {channels[f'reverse_{factor}']}")
        box(axes, (reverse, y), REVERSE, "reverse attention", *words)
        box(axes, (output, y), OUTPUT, "lesion" if factor == 8 else f"deep_{factor}", f"map, enlarged {factor} times")
        arrow(axes, (reverse + BOX_WIDTH, y + half + 14), (output, y + half + 14))
        if factor > 8:
            middle = reverse + BOX_WIDTH / 2
            arrow(axes, (middle, y), (middle, y - 130 + BOX_HEIGHT))
            axes.text(middle + 8, y - 32, "+ coarser map", fontsize=7.5, color=INK, va="center")
    top, bottom = ROWS[8] - 10, ROWS[32] + BOX_HEIGHT
    words = ("of the three blocks", f"{channels['decoder']} channels", "to a map at 1/8")
    box(axes, (decoder, top), DECODER, "parallel partial decoder", *words, height=bottom - top)
    map_y = ROWS[32] + half - 10
    arrow(axes, (decoder + BOX_WIDTH, map_y), (reverse, map_y))
    axes.text(decoder + BOX_WIDTH + 6, map_y - 10, "global map", fontsize=7.5, color=INK)
    box(axes, (decoder, 8), OUTPUT, "global", "map, enlarged 8 times", height=44)
    arrow(axes, (decoder + BOX_WIDTH / 2, top), (decoder + BOX_WIDTH / 2, 52))
    y, down = ROWS[4], reverse + BOX_WIDTH + 34
    box(axes, (block, y), EDGE, "boundary attention", "1x1, 3x3, 3x3", f"{channels['edge']} channels")
    box(axes, (output, y), OUTPUT, "edge", "map, enlarged 4 times")
    arrow(axes, (encoder + BOX_WIDTH, y + half), (block, y + half))
    arrow(axes, (block + BOX_WIDTH, y + half), (output, y + half), ink=EDGE_INK)
    for factor in (8, 16, 32):
        arrow(axes, (down, y + half), (down, ROWS[factor] + 16), (reverse + BOX_WIDTH, ROWS[factor] + 16), ink=EDGE_INK)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw MFSNet.")
    parser.add_argument("--backbone", default="mobilenet")
    parser.add_argument("--output", type=Path, default=Path("docs/images/mfsnet.png"))
    args = parser.parse_args()
    save_figure(draw(count_channels(args.backbone)), args.output)
    print(args.output)


if __name__ == "__main__":
    main()
