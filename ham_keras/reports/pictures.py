"""Pictures of a run: its curves, and its best, median and worst predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import ImageColor

from ham_keras.data.masks import resize_mask
from ham_keras.data.overlay import draw_outline
from ham_keras.files import replacing
from ham_keras.runs.history import best_row

TRUTH, PREDICTION, WHITE = "#00a087", "#e64b35", (255, 255, 255)
OUTLINE_FRACTION = 1 / 150  # of the image's longer side
Pixels = npt.NDArray[np.uint8]


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure as a PNG, atomically."""
    with replacing(path) as part:
        figure.savefig(part, dpi=110, bbox_inches="tight", facecolor="white")
    figure.clear()  # figure and canvas reference each other, so megabytes would wait for the garbage collector


def save_curves(history: Sequence[Mapping[str, Any]], monitor: str, path: Path) -> None:
    """Plot training and validation loss and Jaccard by epoch; the best epoch is that of `train.monitor`.

    The loss is that of the lesion, also if there are further outputs, which validation leaves out.
    """
    figure = Figure(figsize=(5.6, 6.4), layout="constrained")
    loss, jaccard = figure.subplots(2, 1, sharex=True)
    epochs = [row["epoch"] for row in history]
    lesion_loss = "lesion_loss" if "lesion_loss" in history[0] else "loss"
    for axes, training, name, title in (
        (loss, lesion_loss, "loss", "Loss"),
        (jaccard, "jaccard", "jaccard", "Mean Jaccard at the network's size"),
    ):
        axes.plot(epochs, [row[training] for row in history], "o--", ms=3, color="#8491b4", label="training")
        axes.plot(epochs, [row[f"val_{name}"] for row in history], "o-", ms=3, color=PREDICTION, label="validation")
        axes.set(title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    best = best_row(history, monitor)
    jaccard.axvline(
        best["epoch"], color="grey", ls=":", label=f"best: {best['val_jaccard']:.4f}, epoch {best['epoch']:.0f}"
    )
    jaccard.set_xlabel("epoch")
    jaccard.legend()
    save_figure(figure, path)


def best_median_worst(rows: Sequence[Mapping[str, Any]], each: int = 3) -> dict[str, list[Mapping[str, Any]]]:
    """Return the `each` best, median and worst rows by Jaccard at the masks' size, without overlap."""
    ordered = sorted(rows, key=lambda row: (-float(row["jaccard_native"]), str(row["image_id"])))
    each = max(1, min(each, len(ordered) // 3))
    middle = max(each, (len(ordered) - each) // 2)
    groups = {"best": ordered[:each], "median": ordered[middle : middle + each], "worst": ordered[-each:]}
    return groups if len(ordered) >= 3 else {"best": ordered}


Mask = npt.NDArray[np.uint8]
Case = tuple[str, Pixels, Mask, Mask, float | None]


def save_cases(cases: Sequence[Case], path: Path, titles: tuple[str, str] = ("truth", "prediction")) -> None:
    """Draw each case as a row: the image with the outlines of two masks, then the masks.

    A case is a caption, an image, uint8 RGB [H, W, 3], two masks, uint8 [H, W] in {0, 1}, and their Jaccard index or
    None.
    """
    figure = Figure(figsize=(9, 2.35 * len(cases)))
    grid = np.atleast_2d(figure.subplots(len(cases), 3))
    for axes, (caption, image, first, second, jaccard) in zip(grid, cases, strict=True):
        axes[0].imshow(outlined(outlined(image, first, TRUTH), second, PREDICTION))
        axes[0].set_title(caption, fontsize=9, loc="left")
        score = "" if jaccard is None else f", Jaccard {jaccard:.4f}"
        for ax, mask, title, colour in (
            (axes[1], first, titles[0], TRUTH),
            (axes[2], second, titles[1] + score, PREDICTION),
        ):
            ax.imshow(mask, cmap="gray", vmin=0, vmax=1)
            ax.set_title(title, fontsize=9, color=colour)
        for ax in axes:
            ax.set_axis_off()
    figure.tight_layout()
    save_figure(figure, path)


def outlined(image: Pixels, mask: Mask, colour: str) -> Pixels:
    """Draw the outline of a mask, uint8 {0, 1} of any size, with a white halo on an image, uint8 RGB [H, W, 3]."""
    red, green, blue = ImageColor.getrgb(colour)[:3]
    thickness_px = max(1, round(max(image.shape[:2]) * OUTLINE_FRACTION))
    return draw_outline(image, resize_mask(mask, *image.shape[:2]), thickness_px, (red, green, blue), WHITE)
