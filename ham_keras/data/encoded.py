"""Read an image file as bytes that TensorFlow can decode, upright."""

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
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from ham_keras.data.integrity import JPEG, PNG, check_complete, without_ancillary_chunks
from ham_keras.errors import HamError, shown

# Pillow reports broken bytes by several exceptions.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
WARNINGS = threading.Lock()
EXIF_ORIENTATION = 0x0112
TIFF_SUBFILE_TYPE, TIFF_REDUCED = 254, 1  # the tag, and its bit for a thumbnail of another page
# The operation that turns stored pixels upright, by EXIF orientation. 1 and unknown values need none.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
INVERSE = {  # of the operations that are not their own
    Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
}
SIDEWAYS = frozenset({5, 6, 7, 8})  # these swap width and height
PNG_EXIF = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")  # prefixes of the chunks that can hold EXIF


@dataclass(frozen=True)
class Head:
    """Size and orientation from the header of an image file.

    Attributes:
        stored_size: (width, height) of the stored pixels.
        orientation: the EXIF orientation, 1 to 8; 1 if there is none.
    """

    stored_size: tuple[int, int]
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the upright image."""
        return self.stored_size[::-1] if self.orientation in SIDEWAYS else self.stored_size


def read_encoded(path: Path | str) -> bytes:
    """Read an image file as bytes for `decode_image`, upright.

    Upright JPEG and PNG files are returned unchanged. Other formats, and files with an EXIF rotation, are converted to
    PNG with 8 bits per channel: of 16 bits the upper 8 are kept.

    Raises:
        HamError: the file is missing, truncated or not an image, or has several pages or 32 bits per pixel.
    """
    try:
        data = Path(path).read_bytes()
        with open_complete(data) as image:
            if data.startswith((JPEG, PNG)) and read_orientation(image, data) == 1:
                return data
            upright = to_rgb(turn_upright(image, data))
    except BROKEN as error:
        why = reason(error)
        raise HamError(f"{shown(path)}: not a readable image ({why}); replace it or remove it") from None
    png = io.BytesIO()
    upright.save(png, "PNG", compress_level=1)
    return png.getvalue()


def open_complete(data: bytes) -> Image.Image:
    """As `open_image`, after checking that the file is complete and has one page.

    Thumbnails of a TIFF, and the further pictures that cameras save in a JPEG, are not pages.

    Raises:
        One of BROKEN: the file is truncated or damaged, has several pages, or Pillow cannot open it.
    """
    check_complete(data)
    image = open_image(data)
    if not data.startswith(JPEG) and (pages := _count_pages(image)) > 1:
        raise ValueError(f"has {pages} pages or frames; save the right one as a file")
    return image


def open_image(data: bytes) -> Image.Image:
    """Open the bytes of an image file in Pillow, lazily. Large texts and profiles of a PNG are dropped.

    Raises:
        One of BROKEN: Pillow cannot open the file.
    """
    with _quiet():
        try:
            return Image.open(io.BytesIO(data))
        except BROKEN:
            if not data.startswith(PNG):
                raise
            return Image.open(io.BytesIO(without_ancillary_chunks(data)))


def read_head(path: Path | str) -> Head | None:
    """The header of an image file; None if it cannot be read. Reading the whole file gives the reason."""
    try:
        with open(path, "rb") as file:
            start = file.read(len(PNG))
            data = start + file.read() if start == PNG else start
        with open_image(data) if start == PNG else _open_file(path) as image:
            orientation = read_orientation(image, data)
            # Only for TIFF, Pillow reports the size after the rotation.
            swapped = image.format == "TIFF" and orientation in SIDEWAYS
            return Head(image.size[::-1] if swapped else image.size, orientation)
    except BROKEN:
        return None


def read_orientation(image: Image.Image, data: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none or the EXIF is damaged.

    Args:
        data: the first bytes of the file; of a PNG, all of them.
    """
    if data.startswith(PNG) and not any(mark in data for mark in PNG_EXIF):
        return 1  # Pillow would decode the whole PNG to look for EXIF
    try:
        with _quiet():
            orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    except (*BROKEN, TypeError, KeyError, IndexError, AttributeError):
        return 1
    return orientation if orientation in TURNS else 1


def turn_upright(image: Image.Image, data: bytes) -> Image.Image:
    """Apply the EXIF orientation to the pixels."""
    turn = TURNS.get(read_orientation(image, data))
    # Pillow applies the orientation of a TIFF when it decodes it.
    return image if turn is None or image.format == "TIFF" else image.transpose(turn)


def turn_stored(
    pixels: npt.NDArray[np.uint8], image: Image.Image, own: Image.Transpose | None, turn: Image.Transpose | None
) -> npt.NDArray[np.uint8]:
    """Rotate or flip decoded pixels [H, W], so that of the stored ones exactly `turn` is applied.

    Args:
        image: the file that the pixels are from.
        own: the operation of its EXIF orientation, read before decoding.
    """
    # Pillow and OpenCV apply the orientation of a TIFF when they decode it.
    undo = INVERSE.get(own, own) if own is not None and image.format == "TIFF" else None
    if turn == own and undo is not None:
        return pixels
    turned = Image.fromarray(pixels)
    for operation in (undo, turn):
        turned = turned if operation is None else turned.transpose(operation)
    return np.asarray(turned)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a Pillow image to RGB with 8 bits per channel; of 16 bits the upper 8 are kept.

    Raises:
        ValueError: the image has 32 bits per pixel.
    """
    if image.mode.startswith("I;16"):  # Pillow would clip it to 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in {"I", "F"}:
        raise ValueError("32 bits per pixel have no fixed range; save it with 8 or 16")
    return image.convert("RGB")


def _open_file(path: Path | str) -> Image.Image:
    with _quiet():
        return Image.open(path)


def _count_pages(image: Image.Image) -> int:
    """The number of pages or frames; of a TIFF without those marked as a reduced copy."""
    frames = int(getattr(image, "n_frames", 1))
    if not isinstance(image, TiffImageFile) or frames == 1:
        return frames
    pages = 0
    for frame in range(frames):
        image.seek(frame)
        pages += frame == 0 or not int(image.tag_v2.get(TIFF_SUBFILE_TYPE, 0)) & TIFF_REDUCED
    image.seek(0)
    return pages


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Pillow's warnings about damaged EXIF and large images; both are read anyway."""
    with WARNINGS, warnings.catch_warnings():  # catch_warnings is not thread-safe
        warnings.simplefilter("ignore")
        yield


def reason(error: BaseException) -> str:
    """Why a file cannot be read, on one line."""
    if isinstance(error, UnidentifiedImageError):
        return "unknown format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
