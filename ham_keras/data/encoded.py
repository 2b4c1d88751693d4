"""Read an image file as bytes that TensorFlow can decode, and that show it upright."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ham_keras.data.containers import JPEG, PNG, check_whole, without_notes
from ham_keras.errors import HamError, shown

# Pillow reports broken bytes by several exceptions.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
WARNINGS = threading.Lock()
EXIF_ORIENTATION = 0x0112
# What turns stored pixels upright, by EXIF orientation; 1, and what is none of them, is upright already.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = frozenset({5, 6, 7, 8})  # these swap width and height
PNG_EXIF = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")  # one of them begins what holds a PNG's EXIF


@dataclass(frozen=True)
class Head:
    """What the head of an image file says.

    Attributes:
        stored_size: (width, height) of the pixels as they are stored.
        orientation: EXIF's, 1 to 8; 1 where the file names none.
    """

    stored_size: tuple[int, int]
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the upright picture."""
        return self.stored_size[::-1] if self.orientation in SIDEWAYS else self.stored_size


def read_encoded(path: Path | str) -> bytes:
    """Read an image file as bytes that `decode_image` takes and that show it upright.

    JPEG and PNG files pass as they are. BMP, TIFF, WebP and whatever else Pillow reads, and what carries an EXIF
    turn, comes back as PNG: 8 bits a channel, 16 are cut to their upper 8; of several frames or pages the first.

    Raises:
        HamError: the file is missing, truncated or not an image, or its brightness has no fixed range (32 bits).
    """
    try:
        data = Path(path).read_bytes()
        check_whole(data)
        with open_image(data) as image:
            if data.startswith((JPEG, PNG)) and read_orientation(image, data) == 1:
                return data
            upright = to_rgb(turn_upright(image, data))
    except BROKEN as error:
        why = reason(error)
        raise HamError(f"{shown(path)}: not a readable image ({why}); fetch it again or leave it out") from None
    png = io.BytesIO()
    upright.save(png, "PNG", compress_level=1)
    return png.getvalue()


def open_image(data: bytes) -> Image.Image:
    """Open an image file's bytes in Pillow, lazily; a PNG's large texts and profiles are no obstacle.

    Raises:
        one of BROKEN: Pillow knows no such file.
    """
    with _quiet():
        try:
            return Image.open(io.BytesIO(data))
        except BROKEN:
            if not data.startswith(PNG):
                raise
            return Image.open(io.BytesIO(without_notes(data)))


def read_head(path: Path | str) -> Head | None:
    """The head of an image file, or None where it cannot be read: reading the file says why."""
    try:
        with open(path, "rb") as file:
            start = file.read(len(PNG))
            data = start + file.read() if start == PNG else start
        with open_image(data) if start == PNG else _open_file(path) as image:
            orientation = read_orientation(image, data)
            # Pillow says of a TIFF, and of it alone, the size after the turn.
            swapped = image.format == "TIFF" and orientation in SIDEWAYS
            return Head(image.size[::-1] if swapped else image.size, orientation)
    except BROKEN:
        return None


def read_orientation(image: Image.Image, data: bytes) -> int:
    """EXIF's orientation of a file with these first bytes (of a PNG all), 1 to 8.

    It is 1 where there is none, or where the EXIF is damaged: no decoder needs it.
    """
    if data.startswith(PNG) and not any(mark in data for mark in PNG_EXIF):
        return 1  # to look for EXIF Pillow would decode the whole PNG
    try:
        with _quiet():
            orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    except (*BROKEN, TypeError, KeyError, IndexError, AttributeError):
        return 1
    return orientation if orientation in TURNS else 1


def turn_upright(image: Image.Image, data: bytes) -> Image.Image:
    """The image as its EXIF says that it is to be shown."""
    turn = TURNS.get(read_orientation(image, data))
    # Pillow turns a TIFF itself when it decodes it.
    return image if turn is None or image.format == "TIFF" else image.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """Any image of Pillow's as RGB of 8 bits a channel, of 16 the upper 8.

    Raises:
        ValueError: 32 bits a pixel.
    """
    if image.mode.startswith("I;16"):  # Pillow would clip it to 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in {"I", "F"}:
        raise ValueError("32 bits a pixel have no fixed range; save it with 8 or 16")
    return image.convert("RGB")


def _open_file(path: Path | str) -> Image.Image:
    with _quiet():
        return Image.open(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings of damaged EXIF and of large images, which are read all the same."""
    with WARNINGS, warnings.catch_warnings():  # it changes a list that all threads share
        warnings.simplefilter("ignore")
        yield


def reason(error: BaseException) -> str:
    """Why a file cannot be read, in a few words on one line."""
    if isinstance(error, UnidentifiedImageError):
        return "of no known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
