"""Draw photographs before and after hair removal as a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from ham_keras.data.images import read_image
from ham_keras.errors import HamError, shown
from ham_keras.files import replacing
from ham_keras.preprocessing.hairs import black_hat_mask, inpaint_hairs

PANEL_PX = (400, 300)  # width and height of the largest panel
CAPTION_PX, GAP_PX, FONT_PX = 24, 6, 15
INK, PAGE = "#22252b", "#ffffff"
FOUND = (230, 75, 53)


def draw_hair_sheet(paths: Sequence[Path], output: Path) -> dict[Path, float]:
    """Write a row of three panels for each photograph: before, the found pixels in red, after.

    Returns:
        The fraction of each photograph that is replaced.

    Raises:
        HamError: a photograph cannot be read, or `output` cannot be written.
    """
    width, height = 3 * PANEL_PX[0] + 2 * GAP_PX, CAPTION_PX + PANEL_PX[1] + GAP_PX
    sheet = Image.new("RGB", (width, len(paths) * height), PAGE)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PX)
    fractions = {}
    for row, path in enumerate(paths):
        image = read_image(path)
        found = black_hat_mask(image[None])[0].numpy()
        fractions[path] = float(found.mean())
        marked = image.copy()
        marked[found] = FOUND
        captions = (shown(path.name), f"{fractions[path]:.1%} found", "after")
        for column, (caption, panel) in enumerate(
            zip(captions, (image, marked, inpaint_hairs(image).numpy()), strict=True)
        ):
            left, top = column * (PANEL_PX[0] + GAP_PX), row * height
            draw.text((left + 2, top + CAPTION_PX - 6), caption, INK, font, "ls")
            sheet.paste(ImageOps.contain(Image.fromarray(panel), PANEL_PX), (left, top + CAPTION_PX))
    try:
        with replacing(output) as part:
            sheet.save(part)
    except OSError as error:
        raise HamError(f"{output}: cannot be written: {error.strerror or error}") from None
    return fractions
