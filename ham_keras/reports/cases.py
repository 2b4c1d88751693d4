"""Pictures of single cases: the image, the outlines of truth and prediction, and where the two differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont

from ham_keras.data.images import read_image
from ham_keras.data.truth import read_truth
from ham_keras.reports.pictures import PREDICTION, TRUTH, outlined
from ham_keras.reports.scored_set import ScoredSet

Pixels = npt.NDArray[np.uint8]
Panel = tuple[str, Pixels]

CASES_PER_KIND = 3
PANEL_WIDTH_PX, TALLEST_PX = 300, 400
LABEL_PX, FONT_PX, GAP_PX = 28, 20, 6
INK = "#22252b"
# Distinguishable for the colour-blind by hue and in greyscale print by lightness, in this order from light to dark.
NEITHER, BOTH, TOO_MUCH, MISSED = "#ffffff", "#ccd2d8", "#f08a4b", "#203a8f"
LEGEND = {"lesion in both": BOTH, "predicted only": TOO_MUCH, "missed": MISSED}


def fit_to_panel(image: Pixels) -> Pixels:
    """Resize an image, uint8 RGB [H, W, 3], to fit a panel."""
    scale = min(PANEL_WIDTH_PX / image.shape[1], TALLEST_PX / image.shape[0])
    width, height = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation))


def draw_difference(truth: Pixels, mask: Pixels, size: tuple[int, int]) -> Pixels:
    """Draw where two masks, uint8 {0, 1} [H, W], agree and differ, in the colours of `LEGEND`, at (height, width)."""
    palette = np.array([ImageColor.getrgb(colour) for colour in (NEITHER, TOO_MUCH, MISSED, BOTH)], np.uint8)
    colours = palette[2 * truth + mask]
    shrinks = size[0] <= truth.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(colours, size[::-1], interpolation=interpolation))


def case_panels(image: Pixels, truth: Pixels, mask: Pixels) -> list[Panel]:
    """Return the four panels for one prediction."""
    small = fit_to_panel(image)
    return [
        ("image", small),
        ("truth", outlined(small, truth, TRUTH)),
        ("prediction" if mask.any() else "prediction: no lesion", outlined(small, mask, PREDICTION)),
        ("difference", draw_difference(truth, mask, small.shape[:2])),
    ]


def pair_panels(image: Pixels, truth: Pixels, first: Pixels, second: Pixels) -> list[Panel]:
    """Return the four panels for two predictions of one image."""
    small = fit_to_panel(image)
    panels = [("image", small), ("truth", outlined(small, truth, TRUTH))]
    for name, mask in (("A", first), ("B", second)):
        panels.append((f"{name}: difference", draw_difference(truth, mask, small.shape[:2])))
    return panels


def save_panels(panels: Sequence[Panel], path: Path) -> None:
    """Save labelled panels of equal size as a PNG, in rows of two."""
    height, width = panels[0][1].shape[:2]
    rows = (len(panels) + 1) // 2
    sheet = Image.new("RGB", (2 * width + GAP_PX, rows * (height + LABEL_PX)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PX)
    for number, (name, pixels) in enumerate(panels):
        left, top = (number % 2) * (width + GAP_PX), (number // 2) * (height + LABEL_PX)
        draw.text((left + 2, top + LABEL_PX - 7), name, INK, font, "ls")
        sheet.paste(Image.fromarray(pixels), (left, top + LABEL_PX))
        draw.rectangle((left, top + LABEL_PX, left + width - 1, top + LABEL_PX + height - 1), outline="#b9bdc4")
    sheet.save(path)


def draw_cases(
    scored: ScoredSet, chosen: Mapping[str, Iterable[str]], folder: Path, other: ScoredSet | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Save the chosen cases of each kind as <kind>-<number>.png; returns the content of their cards, by kind."""
    image_ids = [image_id for ids in chosen.values() for image_id in ids]
    first = scored.predict_masks(image_ids)
    second = other.predict_masks(image_ids) if other is not None else None
    cards: dict[str, list[dict[str, Any]]] = {}
    for kind, ids in chosen.items():
        cards[kind] = []
        for number, image_id in enumerate(ids, 1):
            record, row = scored.records[image_id], scored.rows[image_id]
            image, truth = read_image(record.image_path), read_truth(record).lesion
            if second is None:
                panels = case_panels(image, truth, first[image_id])
            else:
                panels = pair_panels(image, truth, first[image_id], second[image_id])
            picture = f"{kind.replace('_', '-')}-{number}.png"
            save_panels(panels, folder / picture)
            jaccard = [each.jaccard(image_id) for each in (scored, other) if each is not None]
            cards[kind].append({"picture": picture, "row": row, "jaccard": jaccard})
    return cards
