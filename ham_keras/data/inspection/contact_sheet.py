"""Draw the problems found by an audit as a contact sheet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ham_keras.data.images import read_image
from ham_keras.data.masks import read_mask
from ham_keras.data.overlay import draw_outline
from ham_keras.data.problems import KINDS, Problem, by_kind
from ham_keras.data.records import Record
from ham_keras.data.truth import read_truth
from ham_keras.errors import HamError, shown
from ham_keras.files import replacing

COLUMNS = 6
TILES_PER_KIND, TILES_PER_PANEL = 12, 3
THUMBNAIL_WIDTH_PX, THUMBNAIL_HEIGHT_PX = 216, 162  # 4:3, as dermoscopes produce
CAPTION_HEIGHT_PX = 56
PADDING_PX, GAP_PX, MARGIN_PX = 8, 10, 28
SECTION_HEIGHT_PX, HEADER_HEIGHT_PX = 58, 84
CELL_WIDTH_PX = THUMBNAIL_WIDTH_PX + 2 * PADDING_PX
CELL_HEIGHT_PX = THUMBNAIL_HEIGHT_PX + CAPTION_HEIGHT_PX + 2 * PADDING_PX
PAGE, PANEL, EDGE, EMPTY = "#f2f1ee", "#ffffff", "#d9d6cf", "#dcdad5"
INK, MUTED = "#22252b", "#6f727a"
OVERSAMPLING = 2  # outlines are drawn on a larger thumbnail, for smoothness


@dataclass(frozen=True)
class Tile:
    """One thumbnail of an image, a mask or both, with a title and a reason of at most two lines."""

    title: str
    reason: str
    image_path: Path | None
    mask: Record | Path | None  # of a record, or a file without an image


def save_contact_sheet(path: Path, root: Path, records: Sequence[Record], problems: Sequence[Problem]) -> None:
    """Write the problems to a PNG with a section for each kind; unreadable files are grey.

    Each section shows up to `TILES_PER_KIND` images and the number of problems not shown. Images of the same problem,
    up to `TILES_PER_PANEL`, share a panel.
    """
    found = by_kind(problems)
    known = {record.image_id: record for record in records}
    placed = {kind: list(_rows(_panels(some, known))) for kind, some in found.items()}
    height = HEADER_HEIGHT_PX + MARGIN_PX
    height += sum(SECTION_HEIGHT_PX + len(rows) * (CELL_HEIGHT_PX + GAP_PX) for rows in placed.values())
    width = 2 * MARGIN_PX + COLUMNS * CELL_WIDTH_PX + (COLUMNS - 1) * GAP_PX
    sheet = Image.new("RGB", (width, height), PAGE)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (MARGIN_PX, 22), f"Audit of {shown(root)}", 24, INK, width - 2 * MARGIN_PX)
    subtitle = "The outline is the mask after repair."
    subtitle = subtitle if found else "No problems found."
    _write(draw, (MARGIN_PX, 56), subtitle, 15, MUTED, width - 2 * MARGIN_PX)
    top = HEADER_HEIGHT_PX
    for kind, rows in placed.items():
        draw.line((MARGIN_PX, top + 10, width - MARGIN_PX, top + 10), EDGE)
        heading = f"{KINDS[kind][0].upper()}{KINDS[kind][1:]}: {len(found[kind])}"
        _write(draw, (MARGIN_PX, top + 24), heading, 18, INK, width - 2 * MARGIN_PX - 100)
        more = len(found[kind]) - sum(map(len, rows))
        if more:
            right = width - MARGIN_PX
            draw.text((right, top + 26), f"+{more} more", MUTED, ImageFont.load_default(15), "ra")
        top += SECTION_HEIGHT_PX
        for row in rows:
            left = MARGIN_PX
            for panel in row:
                _draw_panel(sheet, draw, panel, left, top)
                left += len(panel) * CELL_WIDTH_PX + GAP_PX
            top += CELL_HEIGHT_PX + GAP_PX
    with replacing(path) as part:
        sheet.save(part, format="PNG")


def _panels(problems: Sequence[Problem], records: dict[str, Record]) -> Iterator[list[Tile]]:
    free = TILES_PER_KIND
    for problem in problems:
        panel = []
        for image_id in problem.image_ids[:TILES_PER_PANEL]:
            record = records.get(image_id)
            unpaired = (problem.path, None) if problem.kind in {"image_without_mask", "copy"} else (None, problem.path)
            paths: tuple[Path | None, Record | Path | None] = (record.image_path, record) if record else unpaired
            reason = problem.detail
            if record and len(problem.image_ids) > 1:
                reason = f"{record.lesion_id}, {record.diagnosis}"
            panel.append(Tile(shown(image_id), reason, *paths))
        free -= len(panel)
        if free < 0:
            return
        yield panel


def _rows(panels: Iterable[Sequence[Tile]]) -> Iterator[list[Sequence[Tile]]]:
    row: list[Sequence[Tile]] = []
    for panel in panels:
        if sum(map(len, row)) + len(panel) > COLUMNS:
            yield row
            row = []
        row.append(panel)
    if row:
        yield row


def _draw_panel(sheet: Image.Image, draw: ImageDraw.ImageDraw, panel: Sequence[Tile], left: int, top: int) -> None:
    right, bottom = left + len(panel) * CELL_WIDTH_PX, top + CELL_HEIGHT_PX
    draw.rounded_rectangle((left, top, right, bottom), 8, PANEL, EDGE)
    for tile in panel:
        x, y = left + PADDING_PX, top + PADDING_PX
        sheet.paste(_draw_thumbnail(tile), (x, y))
        _write(draw, (x, y + THUMBNAIL_HEIGHT_PX + 6), tile.title, 14, INK, THUMBNAIL_WIDTH_PX)
        for line, text in enumerate(_wrap(tile.reason, 12)):
            _write(draw, (x, y + THUMBNAIL_HEIGHT_PX + 25 + 15 * line), text, 12, MUTED, THUMBNAIL_WIDTH_PX)
        left += CELL_WIDTH_PX


def _draw_thumbnail(tile: Tile) -> Image.Image:
    box = (THUMBNAIL_WIDTH_PX * OVERSAMPLING, THUMBNAIL_HEIGHT_PX * OVERSAMPLING)
    picture: Image.Image | None = None
    lesion: npt.NDArray[np.uint8] | None = None
    # Unreadable files stay grey; the caption gives the reason.
    with contextlib.suppress(HamError):
        if tile.image_path:
            picture = ImageOps.contain(Image.fromarray(read_image(tile.image_path)), box)
    with contextlib.suppress(HamError):
        if tile.mask:
            lesion = (read_mask(tile.mask) if isinstance(tile.mask, Path) else read_truth(tile.mask)).lesion
    if lesion is not None and picture is None:
        picture = ImageOps.contain(Image.fromarray(255 * lesion).convert("RGB"), box, Image.Resampling.BOX)
    elif lesion is not None and picture is not None:
        picture = _outline(picture, lesion)
    thumbnail = Image.new("RGB", (THUMBNAIL_WIDTH_PX, THUMBNAIL_HEIGHT_PX), EMPTY)
    if picture is None:
        middle = (THUMBNAIL_WIDTH_PX / 2, THUMBNAIL_HEIGHT_PX / 2)
        ImageDraw.Draw(thumbnail).text(middle, "unreadable", MUTED, ImageFont.load_default(14), "mm")
        return thumbnail
    small = picture.reduce(OVERSAMPLING)
    corner = ((thumbnail.width - small.width) // 2, (thumbnail.height - small.height) // 2)
    thumbnail.paste(small, corner)
    return thumbnail


def _outline(picture: Image.Image, lesion: npt.NDArray[np.uint8]) -> Image.Image:
    resized = cv2.resize(lesion, picture.size, interpolation=cv2.INTER_NEAREST)
    return Image.fromarray(draw_outline(np.asarray(picture), resized, OVERSAMPLING))


def _wrap(text: str, size: int) -> list[str]:
    font = ImageFont.load_default(size)
    first, words = "", text.split()
    while words and font.getlength(f"{first} {words[0]}") <= THUMBNAIL_WIDTH_PX:
        first = f"{first} {words.pop(0)}".strip()
    return [line for line in (first, " ".join(words)) if line]


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: str, width_px: int) -> None:
    font = ImageFont.load_default(size)
    if font.getlength(text) > width_px:
        while text and font.getlength(text + "…") > width_px:
            text = text[:-1]
        text += "…"
    draw.text(at, text, colour, font)
