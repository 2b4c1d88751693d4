"""One image's case as a picture: the photograph, truth and prediction outlined on it, and where the two differ."""

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
from ham_keras.reports.scorings import Scoring

Pixels = npt.NDArray[np.uint8]
Panel = tuple[str, Pixels]

EACH = 3  # cases of a kind
PANEL_WIDTH_PX, TALLEST_PX = 300, 400
LABEL_PX, FONT_PX, GAP_PX = 28, 20, 6
INK = "#22252b"
# Apart in hue for the colour-blind, and in lightness for a grey printer: from light to dark in this order.
NEITHER, BOTH, TOO_MUCH, MISSED = "#ffffff", "#ccd2d8", "#f08a4b", "#203a8f"
LEGEND = {"lesion in both": BOTH, "predicted only": TOO_MUCH, "missed": MISSED}


def photograph(image: Pixels) -> Pixels:
    """An image, uint8 RGB [H, W, 3], at a panel's size."""
    scale = min(PANEL_WIDTH_PX / image.shape[1], TALLEST_PX / image.shape[0])
    width, height = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how))


def difference(truth: Pixels, lesion: Pixels, size: tuple[int, int]) -> Pixels:
    """Where two masks, uint8 {0, 1} [H, W], agree and differ, in the colours of `LEGEND`, at (height, width)."""
    palette = np.array([ImageColor.getrgb(colour) for colour in (NEITHER, TOO_MUCH, MISSED, BOTH)], np.uint8)
    colours = palette[2 * truth + lesion]
    shrinks = size[0] <= truth.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(colours, size[::-1], interpolation=how))


def case_panels(image: Pixels, truth: Pixels, lesion: Pixels) -> list[Panel]:
    """The four panels of one prediction."""
    small = photograph(image)
    return [
        ("image", small),
        ("truth", outlined(small, truth, TRUTH)),
        ("prediction" if lesion.any() else "prediction: no lesion", outlined(small, lesion, PREDICTION)),
        ("difference", difference(truth, lesion, small.shape[:2])),
    ]


def pair_panels(image: Pixels, truth: Pixels, first: Pixels, second: Pixels) -> list[Panel]:
    """The four panels of two predictions of one image."""
    small = photograph(image)
    panels = [("image", small), ("truth", outlined(small, truth, TRUTH))]
    for name, lesion in (("A", first), ("B", second)):
        panels.append((f"{name}: difference", difference(truth, lesion, small.shape[:2])))
    return panels


def save_panels(panels: Sequence[Panel], path: Path) -> None:
    """Write four panels of one size, each under its name, two to a row, as a PNG."""
    height, width = panels[0][1].shape[:2]
    sheet = Image.new("RGB", (2 * width + GAP_PX, 2 * (height + LABEL_PX)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PX)
    for number, (name, pixels) in enumerate(panels):
        left, top = (number % 2) * (width + GAP_PX), (number // 2) * (height + LABEL_PX)
        draw.text((left + 2, top + LABEL_PX - 7), name, INK, font, "ls")
        sheet.paste(Image.fromarray(pixels), (left, top + LABEL_PX))
        draw.rectangle((left, top + LABEL_PX, left + width - 1, top + LABEL_PX + height - 1), outline="#b9bdc4")
    sheet.save(path, optimize=True)


def draw_cases(
    scoring: Scoring, chosen: Mapping[str, Iterable[str]], folder: Path, other: Scoring | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Draw the chosen cases of each kind as <kind>-<number>.png; returns what the page says of each."""
    wanted = [image_id for ids in chosen.values() for image_id in ids]
    first = scoring.lesions(wanted)
    second = other.lesions(wanted) if other is not None else None
    cards: dict[str, list[dict[str, Any]]] = {}
    for kind, ids in chosen.items():
        cards[kind] = []
        for number, image_id in enumerate(ids, 1):
            record, row = scoring.records[image_id], scoring.rows[image_id]
            image, truth = read_image(record.image_path), read_truth(record).lesion
            if second is None:
                panels = case_panels(image, truth, first[image_id])
            else:
                panels = pair_panels(image, truth, first[image_id], second[image_id])
            picture = f"{kind.replace('_', '-')}-{number}.png"
            save_panels(panels, folder / picture)
            jaccard = [each.jaccard(image_id) for each in (scoring, other) if each is not None]
            cards[kind].append({"picture": picture, "row": row, "jaccard": jaccard})
    return cards
