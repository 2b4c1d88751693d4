"""A sheet that shows the changes on one image: a row per change, a column per strength."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ham_keras.data.changes.catalogue import CHANGES, STRENGTHS
from ham_keras.data.changes.condition import Condition
from ham_keras.data.masks import resize_mask
from ham_keras.reports.pictures import TRUTH, outlined

Pixels = npt.NDArray[np.uint8]

TILE_PX = 190  # the longer side of an image
LABEL_PX, CAPTION_PX, GAP_PX = 150, 20, 6
FONT_PX, SMALL_PX = 16, 13
TEXT, MUTED = "#22252b", "#5d626b"


def save_changes(image_id: str, image: Pixels, mask: Pixels | None, changes: Iterable[str], path: Path) -> None:
    """Save the sheet of an image, uint8 RGB [H, W, 3], as a JPEG or PNG, by the suffix.

    With a mask, uint8 [h, w] in {0, 1}, the outline is drawn as the changes move it. What is random depends on
    `image_id`, so in a run's folder the sheet shows what was scored.
    """
    names = list(changes)
    scale = TILE_PX / max(image.shape[:2])
    width, height = (max(1, round(side * scale)) for side in image.shape[1::-1])
    row_px = height + CAPTION_PX + GAP_PX
    sheet = Image.new("RGB", (LABEL_PX + (STRENGTHS + 1) * (width + GAP_PX), len(names) * row_px + GAP_PX), "white")
    draw = ImageDraw.Draw(sheet)
    font, small = (ImageFont.load_default(size) for size in (FONT_PX, SMALL_PX))
    for row, name in enumerate(names):
        top = GAP_PX + row * row_px
        draw.text((8, top + height // 2), CHANGES[name].title, TEXT, font, "lm")
        draw.text((8, top + height // 2 + 20), _wrapped(CHANGES[name].unit), MUTED, small)
        for strength in range(STRENGTHS + 1):
            left = LABEL_PX + strength * (width + GAP_PX)
            condition = Condition(name, strength)
            changed = condition.image(image_id, image)
            tile = np.asarray(Image.fromarray(changed).resize((width, height), Image.Resampling.BOX))
            if mask is not None:
                moved = condition.mask(image_id, resize_mask(mask, *image.shape[:2]))
                tile = outlined(tile, moved, TRUTH)
            sheet.paste(Image.fromarray(tile), (left, top))
            words = f"{strength}: {CHANGES[name].amounts[strength - 1]:g}" if strength else "unchanged"
            direction = condition.direction(image_id)
            draw.text((left + 2, top + height + 3), f"{words} {direction}".strip(), MUTED, small)
    sheet.save(path, quality=88)


def _wrapped(text: str, width: int = 20) -> str:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
