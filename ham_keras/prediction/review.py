"""List predictions with the least trusted first, with a contact sheet of the worst."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ham_keras.errors import HamError, warn
from ham_keras.files import save_bytes, save_csv
from ham_keras.prediction.ensemble import Ensemble
from ham_keras.prediction.folder import PredictionFolder
from ham_keras.prediction.pictures import encode
from ham_keras.prediction.rows import Row
from ham_keras.settings import Outline
from ham_keras.trust.columns import COLUMNS

SHOWN = 24  # on the sheet
COLUMNS_OF_SHEET, TILE_PX, GAP_PX = 4, (300, 225), 8
LINE_PX, LINE_CHARACTERS, TEXT_LINES = 17, 40, 3
PAGE, INK, ADVISED, TRUSTED = "#ffffff", "#22252b", "#e0a100", "#1f8a5b"


def check_trust(ensemble: Ensemble, outline: Outline, *, needed: bool) -> None:
    """Read trust.json before the network is loaded, and warn if it was made with other post-processing.

    Raises:
        HamError: it is `needed`, but missing; or see `Ensemble.load_trust`.
    """
    trust = ensemble.load_trust()
    if trust is None:
        if needed:
            name = ensemble.trust or "trust.json"
            single = "" if ensemble.trust else ", of a single run or cross-validation"
            raise HamError(
                f"{name}: missing{single}; --margin and --review-first need it: `python -m ham_keras.calibrate RUN`"
            )
        return
    calibrated = ensemble.config.outline
    changed = [name for name, value in outline.model_dump().items() if value != getattr(calibrated, name)]
    if changed:
        warn(
            f"{ensemble.trust}: describes masks made with the run's own outline.{', outline.'.join(changed)}, not these"
        )


def order_for_review(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with those to review first, each part by expected Jaccard index, lowest first."""
    return sorted(rows, key=lambda row: (1 - int(row["review"]), float(row["expected_jaccard"]), row["image_id"]))


def save_review(predictions: PredictionFolder) -> list[Row]:
    """Write review.csv, with all rows in the order of `order_for_review`, and review.jpg; returns the rows.

    Raises:
        HamError: the predictions were made without a trust.json.
    """
    rows = list(predictions.rows.values())
    if rows and "expected_jaccard" not in rows[0]:
        raise HamError(
            f"{predictions.table}: has no expected_jaccard; write the run's trust.json with "
            f"`python -m ham_keras.calibrate RUN` and predict again"
        )
    ordered = order_for_review(rows)
    if ordered:
        save_csv(predictions.review_table, [_columns(row) for row in ordered])
        save_bytes(predictions.review_sheet, _draw_sheet(predictions, ordered[:SHOWN]))
    return ordered


def _columns(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("image_id", *COLUMNS, "image")}


def _draw_sheet(predictions: PredictionFolder, rows: Sequence[Row]) -> bytes:
    across = min(COLUMNS_OF_SHEET, len(rows))
    down = -(-len(rows) // across)
    width, height = TILE_PX[0] + GAP_PX, TILE_PX[1] + LINE_PX * TEXT_LINES + 2 * GAP_PX
    sheet = Image.new("RGB", (across * width + GAP_PX, down * height + GAP_PX), PAGE)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, row in enumerate(rows):
        left, top = GAP_PX + number % across * width, GAP_PX + number // across * height
        with Image.open(predictions.overlay(row["image_id"])) as overlay:
            sheet.paste(ImageOps.pad(overlay.convert("RGB"), TILE_PX, color=PAGE), (left, top))
        review = int(row["review"])
        draw.rectangle(
            (left, top + TILE_PX[1], left + TILE_PX[0], top + TILE_PX[1] + 3), ADVISED if review else TRUSTED
        )
        lines = [_title(row), *textwrap.wrap(row["review_reason"], LINE_CHARACTERS)][:TEXT_LINES]
        for line, text in enumerate(lines):
            draw.text((left, top + TILE_PX[1] + 5 + LINE_PX * line), text, INK, font)
    return encode(np.asarray(sheet), "JPEG", quality=90)


def _title(row: Row) -> str:
    return textwrap.shorten(f"{float(row['expected_jaccard']):.2f} {Path(row['image_id']).name}", LINE_CHARACTERS)
