"""Show the findings of an audit: the kinds there are, a table of them, and a contact sheet."""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ham_keras.data.masks import read_mask
from ham_keras.data.overlay import draw_outline
from ham_keras.data.records import Pairing, Record
from ham_keras.errors import HamError

# Every kind of finding, the gravest first: this is the order of the table and of the contact sheet.
KINDS = {
    "unreadable_image": "images that cannot be read",
    "truncated_image": "images cut short",
    "unreadable_mask": "masks that cannot be read",
    "image_without_mask": "images without a mask, left out",
    "mask_without_image": "masks without an image, left out",
    "unread_kind": "files of kinds that are not read, left out",
    "name_not_utf8": "names that are not UTF-8, left out",
    "unused_table": "tables that are not used",
    "no_lesion_column": "tables without lesion ids",
    "placeholder_lesion_id": "placeholders for a lesion id",
    "large_lesion": "lesions of more than 50 images",
    "two_diagnoses": "images with two diagnoses",
    "identical_other_lesion": "groups of byte-identical images, different lesions",
    "near_identical_other_lesion": "groups of near-identical images, different lesions",
    "aspect_mismatch": "masks of another shape than their image",
    "size_mismatch": "masks of another size than their image",
    "repaired": "inverted masks, repaired while reading",
    "empty": "masks without a lesion",
    "all_lesion": "masks that are all lesion",
    "tiny": "tiny lesions",
    "not_binary": "masks of more than two grey levels",
    "known_duplicate": "pairs of one lesion under two ids, merged",
    "copy": "files that are there twice, read once",
    "identical": "groups of byte-identical images, one lesion",
    "near_identical": "groups of near-identical images, one lesion",
    "several_images": "lesions with several images",
}

COLUMNS = 6
TILES_PER_KIND, TILES_PER_PANEL = 12, 3
THUMBNAIL_WIDTH_PX, THUMBNAIL_HEIGHT_PX = 216, 162  # 4:3, as dermoscopes have it
CAPTION_HEIGHT_PX = 56
PADDING_PX, GAP_PX, MARGIN_PX = 8, 10, 28
SECTION_HEIGHT_PX, HEADER_HEIGHT_PX = 58, 84
CELL_WIDTH_PX = THUMBNAIL_WIDTH_PX + 2 * PADDING_PX
CELL_HEIGHT_PX = THUMBNAIL_HEIGHT_PX + CAPTION_HEIGHT_PX + 2 * PADDING_PX
PAGE, PANEL, EDGE, EMPTY = "#f2f1ee", "#ffffff", "#d9d6cf", "#dcdad5"
INK, MUTED = "#22252b", "#6f727a"
OVERSAMPLING = 2  # outlines are drawn on a larger thumbnail, so that they come out smooth


@dataclass(frozen=True)
class Problem:
    """One finding: its kind, a key of `KINDS`, the images it concerns, and the file to look at."""

    kind: str
    image_ids: tuple[str, ...]
    detail: str
    path: Path

    def to_json(self) -> dict[str, object]:
        """An entry of the problems in audit.json; `image_id` is the first of `image_ids`."""
        entry = {"image_id": self.image_ids[0], "kind": self.kind, "detail": self.detail}
        return entry | {"path": str(self.path), "image_ids": list(self.image_ids)}


@dataclass(frozen=True)
class Tile:
    """One thumbnail: an image, a mask or both, its title, and two lines at most that say why it is here."""

    title: str
    reason: str
    image_path: Path | None
    mask_path: Path | None


def summary_table(facts: Mapping[str, Any], problems: Sequence[Problem]) -> str:
    """Plain text: the numbers of audit.json, then each kind that occurs with how often and an example."""
    counts = ", ".join(f"{facts[name]} {name}" for name in ("pairs", "lesions", "palette", "repaired"))
    lines = [f"{facts['root']}: {counts}"]
    for name in ("diagnoses", "image_sizes"):
        most = list(facts[name].items())[:8]
        lines.append(f"{name.replace('_', ' ')}: {', '.join(f'{value} {count}' for value, count in most)}")
    by_kind = _by_kind(problems)
    width = max(map(len, KINDS.values()))
    lines += ["", f"{'found':>7}  {'what':<{width}}  example" if by_kind else "nothing wrong, nothing odd"]
    for kind, found in by_kind.items():
        example = found[0].detail
        if len(found[0].image_ids) == 1:  # the detail of a group names its images itself
            example = f"{found[0].image_ids[0]}: {example}"
        lines.append(f"{len(found):>7}  {KINDS[kind]:<{width}}  {textwrap.shorten(example, 70)}")
    return "\n".join([*lines, ""])


def save_contact_sheet(path: Path, pairing: Pairing, problems: Sequence[Problem]) -> None:
    """Write one PNG of the problems, a section for each kind; a file that cannot be read is drawn grey.

    Each section shows up to `TILES_PER_KIND` images and says how many problems it leaves out. Images of
    one problem stand together on a panel, up to `TILES_PER_PANEL` of them.
    """
    by_kind = _by_kind(problems)
    known = {record.image_id: record for record in pairing.records}
    placed = {kind: list(_rows(_panels(found, known))) for kind, found in by_kind.items()}
    height = HEADER_HEIGHT_PX + MARGIN_PX
    height += sum(SECTION_HEIGHT_PX + len(rows) * (CELL_HEIGHT_PX + GAP_PX) for rows in placed.values())
    width = 2 * MARGIN_PX + COLUMNS * CELL_WIDTH_PX + (COLUMNS - 1) * GAP_PX
    sheet = Image.new("RGB", (width, height), PAGE)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (MARGIN_PX, 22), f"Audit of {pairing.root}", 24, INK, width - 2 * MARGIN_PX)
    subtitle = "The outline is the mask as it is read, after repair."
    subtitle = subtitle if by_kind else "Nothing wrong and nothing odd."
    _write(draw, (MARGIN_PX, 56), subtitle, 15, MUTED, width - 2 * MARGIN_PX)
    top = HEADER_HEIGHT_PX
    for kind, rows in placed.items():
        draw.line((MARGIN_PX, top + 10, width - MARGIN_PX, top + 10), EDGE)
        heading = f"{KINDS[kind][0].upper()}{KINDS[kind][1:]}: {len(by_kind[kind])}"
        _write(draw, (MARGIN_PX, top + 24), heading, 18, INK, width - 2 * MARGIN_PX - 100)
        more = len(by_kind[kind]) - sum(map(len, rows))
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
    part = path.with_name(path.name + ".part")
    sheet.save(part, format="PNG")
    part.replace(path)


def _by_kind(problems: Sequence[Problem]) -> dict[str, list[Problem]]:
    found: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        found[problem.kind].append(problem)
    return {kind: found[kind] for kind in KINDS if kind in found}


def _panels(problems: Sequence[Problem], records: dict[str, Record]) -> Iterator[list[Tile]]:
    free = TILES_PER_KIND
    for problem in problems:
        panel = []
        for image_id in problem.image_ids[:TILES_PER_PANEL]:
            record = records.get(image_id)
            alone = (problem.path, None) if problem.kind in {"image_without_mask", "copy"} else (None, problem.path)
            paths = (record.image_path, record.mask_path) if record else alone
            reason = problem.detail
            if record and len(problem.image_ids) > 1:
                reason = f"{record.lesion_id}, {record.diagnosis}"
            panel.append(Tile(image_id, reason, *paths))
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
    # What cannot be read stays grey; the caption says why.
    with contextlib.suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        if tile.image_path:
            with Image.open(io.BytesIO(tile.image_path.read_bytes())) as image:
                picture = ImageOps.contain(ImageOps.exif_transpose(image).convert("RGB"), box)
    with contextlib.suppress(HamError):
        lesion = read_mask(tile.mask_path).lesion if tile.mask_path else None
    if lesion is not None and picture is None:
        picture = ImageOps.contain(Image.fromarray(255 * lesion).convert("RGB"), box, Image.Resampling.BOX)
    elif lesion is not None and picture is not None:
        picture = _outline(picture, lesion)
    thumbnail = Image.new("RGB", (THUMBNAIL_WIDTH_PX, THUMBNAIL_HEIGHT_PX), EMPTY)
    if picture is None:
        middle = (THUMBNAIL_WIDTH_PX / 2, THUMBNAIL_HEIGHT_PX / 2)
        ImageDraw.Draw(thumbnail).text(middle, "cannot be read", MUTED, ImageFont.load_default(14), "mm")
        return thumbnail
    small = picture.reduce(OVERSAMPLING)
    corner = ((thumbnail.width - small.width) // 2, (thumbnail.height - small.height) // 2)
    thumbnail.paste(small, corner)
    return thumbnail


def _outline(picture: Image.Image, lesion: npt.NDArray[np.uint8]) -> Image.Image:
    stretched = cv2.resize(lesion, picture.size, interpolation=cv2.INTER_NEAREST)
    return Image.fromarray(draw_outline(np.asarray(picture), stretched, OVERSAMPLING))


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
