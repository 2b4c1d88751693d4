"""Write a data folder of odd files: images and masks in every known format, valid or broken.

    python tests/odd_files.py FOLDER

`PHOTOGRAPHS` and `MASKS` map file names to a function that writes the file and whether the file is valid.
"""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

WIDTH_PX, HEIGHT_PX = 96, 64
CORNER = np.s_[8:24, 10:40]  # lesion in the stored pixels, not symmetric under any rotation or flip
LESION = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
LESION[CORNER] = 1
PIXELS = np.random.default_rng(0).integers(150, 220, (HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
PIXELS[CORNER] //= 3
Write = Callable[[Path], Any]


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def encoded(form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, form, **options)
    return file.getvalue()


def saved(mode: str = "RGB", **options: Any) -> Write:
    return lambda path: Image.fromarray(PIXELS).convert(mode).save(path, **options)


def content(data: bytes) -> Write:
    return lambda path: path.write_bytes(data)


def deep(channels: int) -> Write:
    """16 bits per channel; the lower 8 are noise."""
    noise = np.random.default_rng(1).integers(0, 256, PIXELS.shape, dtype=np.uint16)
    pixels = (PIXELS.astype(np.uint16) * 256 + noise)[..., ::-1]
    return lambda path: cv2.imwrite(str(path), pixels[..., 0] if channels == 1 else pixels)


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def ending_early(png: bytes) -> bytes:
    """The PNG with the upper half of its pixels only."""
    at = png.index(b"IDAT")
    pixels = zlib.decompress(png[at + 4 : -16])
    return png[: at - 4] + chunk(b"IDAT", zlib.compress(pixels[: len(pixels) // 2])) + png[-12:]


def pages(form: str, pixels: np.ndarray = PIXELS, **options: Any) -> Write:
    """Two pages: the pixels, and their negative."""
    images = [Image.fromarray(pixels), Image.fromarray(255 - pixels)]
    return lambda path: images[0].save(path, form, save_all=True, append_images=images[1:], **options)


PNG = encoded("PNG")
JPEG = encoded("JPEG", quality=95)
LARGE = encoded("JPEG", quality=100, subsampling=0)
TURNED = encoded("JPEG", quality=95, exif=exif(6))
NO_EXIF = encoded("JPEG", exif=b"Exif\0\0MM\0*broken")

PHOTOGRAPHS: dict[str, tuple[Write, bool]] = {
    "baseline.jpg": (content(JPEG), True),
    "progressive.jpg": (saved(progressive=True), True),
    "grey.jpg": (saved("L"), True),
    "cmyk.jpg": (saved("CMYK"), True),
    "broken_exif.jpg": (content(NO_EXIF), True),
    "more_behind.jpg": (content(JPEG + bytes(300)), True),
    "mirrored.jpg": (saved(exif=exif(2)), True),
    "upside_down.jpg": (saved(exif=exif(3)), True),
    "lying.jpg": (content(TURNED), True),
    "lying_left.jpg": (saved(exif=exif(8)), True),
    "transposed.jpg": (saved(exif=exif(5)), True),
    "plain.png": (content(PNG), True),
    "lying.png": (saved(exif=exif(6)), True),
    "grey.png": (saved("L"), True),
    "palette.png": (saved("P"), True),
    "alpha.png": (saved("RGBA"), True),
    "grey_alpha.png": (saved("LA"), True),
    "deep_grey.png": (deep(1), True),
    "deep.png": (deep(3), True),
    "long_text.png": (content(PNG[:33] + chunk(b"zTXt", b"n\0\0" + zlib.compress(bytes(3_000_000))) + PNG[33:]), True),
    "profile.png": (content(PNG[:33] + chunk(b"iCCP", b"n\0\0" + zlib.compress(bytes(3_000_000))) + PNG[33:]), True),
    "plain.bmp": (saved(), True),
    "plain.tif": (saved(), True),
    "lying.tif": (saved(tiffinfo={0x0112: 6}), True),
    "deep_grey.tif": (deep(1), True),
    "plain.webp": (saved(lossless=True), True),
    "lying.webp": (saved(lossless=True, exif=exif(6)), True),
    "float.tif": (saved("F"), False),
    "cut.jpg": (content(JPEG[:-200]), False),
    "zero_tail.jpg": (content(LARGE[:-2000] + bytes(2000)), False),
    "lying_zero_tail.jpg": (content(TURNED[:-2000] + bytes(2000)), False),
    "half.jpg": (content(JPEG[: len(JPEG) // 2] + JPEG[-2:]), False),
    "zeros_inside.jpg": (content(JPEG[:-3000] + bytes(2000) + JPEG[-1000:]), False),
    "zero_tail.webp": (content(encoded("WEBP")[:-500] + bytes(500)), False),
    "no_end.png": (content(PNG[:-12]), False),
    "checksum.png": (content(PNG[:-13] + bytes([PNG[-13] ^ 1]) + PNG[-12:]), False),
    "ends_early.png": (content(ending_early(PNG)), False),
    "pages.tif": (pages("TIFF"), False),
    "frames.webp": (pages("WEBP", lossless=True), False),
    "frames.png": (pages("PNG"), False),
    "two_views.jpg": (pages("MPO"), True),
    "thumbnail.tif": (lambda path: path.write_bytes(_with_thumbnail()), True),
    "text.jpg": (content(b"<html>404</html>"), False),
    "empty.png": (content(b""), False),
}


def mask(pixels: Any, **options: Any) -> Write:
    return lambda path: Image.fromarray(pixels).save(path, **options)


def palette(colours: list[int], indices: np.ndarray) -> Write:
    def write(path: Path) -> None:
        image = Image.fromarray(indices)
        image.putpalette(colours)
        image.save(path)

    return write


RING = cv2.dilate(LESION, np.ones((5, 5), np.uint8))
FRAMED = cv2.rectangle(LESION.copy(), (0, 0), (WIDTH_PX - 1, HEIGHT_PX - 1), 1)
WHITE = 255 * LESION
REVERSED = [255 - index for index in range(256) for _ in "RGB"]

MASKS: dict[str, tuple[Write, bool]] = {
    "plain.png": (mask(WHITE), True),
    "ones.png": (mask(LESION), True),
    "deep.png": (mask(LESION.astype(np.uint16) * 65535), True),
    "one_bit.bmp": (mask(LESION > 0), True),
    "red.png": (mask(LESION[..., None] * np.array([255, 0, 0], np.uint8)), True),
    "alpha.png": (mask(np.dstack([0 * LESION] * 3 + [WHITE])), True),
    "reversed.png": (palette(REVERSED, 255 - WHITE), True),
    "lossy.jpg": (mask(WHITE, quality=75), True),
    "framed.png": (mask(255 * FRAMED), True),
    "long_text.png": (lambda path: path.write_bytes(_noted(WHITE)), True),
    "void.png": (mask(np.where(LESION, 1, 255 * RING).astype(np.uint8)), False),
    "classes.png": (palette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [0] * 759, LESION + RING), False),
    "no_end.png": (lambda path: path.write_bytes(_png(WHITE)[:-12]), False),
    "cut.png": (lambda path: path.write_bytes(_png(WHITE)[:60]), False),
    "ends_early.png": (lambda path: path.write_bytes(ending_early(_png(WHITE))), False),
    "ends_early.bmp": (lambda path: mask(WHITE)(path) or path.write_bytes(path.read_bytes()[:-900]), False),
    "pages.tif": (pages("TIFF", WHITE), False),
    "text.png": (content(b"<html>404</html>"), False),
}


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _with_thumbnail() -> bytes:
    """A TIFF whose second page is marked as a reduced copy of the first."""
    file = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(file, True) as writer:
        for step, kind in (1, 0), (4, 1):
            Image.fromarray(PIXELS[::step, ::step]).save(writer, "TIFF", tiffinfo={254: kind})
            writer.newFrame()
    return file.getvalue()


def _noted(pixels: np.ndarray) -> bytes:
    data = _png(pixels)
    return data[:33] + chunk(b"zTXt", b"n\0\0" + zlib.compress(bytes(3_000_000))) + data[33:]


def draw(root: Path) -> dict[str, bool]:
    """Write images/ and masks/; returns, by image id, whether both files of the pair are valid."""
    valid = {}
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for name, (write, is_valid) in PHOTOGRAPHS.items():
        image_id = "photograph_" + name.replace(".", "_")
        write(root / "images" / f"{image_id}{Path(name).suffix}")
        MASKS["plain.png"][0](root / "masks" / f"{image_id}.png")
        valid[image_id] = is_valid
    for name, (write, is_valid) in MASKS.items():
        image_id = "mask_" + name.replace(".", "_")
        PHOTOGRAPHS["baseline.jpg"][0](root / "images" / f"{image_id}.jpg")
        write(root / "masks" / f"{image_id}{Path(name).suffix}")
        valid[image_id] = is_valid
    return valid


if __name__ == "__main__":
    print(f"{len(draw(Path(sys.argv[1])))} pairs")
