"""Read an image file as bytes that TensorFlow can decode, and that show it upright."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ham_keras.errors import HamError

EXIF_ORIENTATION = 0x0112


def read_encoded(path: Path | str) -> bytes:
    """Read an image file as bytes that `decode_image` takes and that show it upright.

    JPEG and PNG files pass as they are. BMP, TIFF, WebP and whatever else Pillow reads, and what carries an EXIF
    turn, comes back as PNG: 8 bits a channel, 16 are cut to their upper 8; of several frames or pages the first.

    Raises:
        HamError: the file is missing, truncated or not an image, or its brightness has no fixed range (32 bits).
    """
    try:
        data = Path(path).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            if image.format in {"JPEG", "PNG"} and image.getexif().get(EXIF_ORIENTATION, 1) == 1:
                return data
            upright = upright_rgb(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "of no known format" if isinstance(error, UnidentifiedImageError) else error
        raise HamError(f"{path}: not a readable image ({reason}); fetch it again or leave it out") from None
    png = io.BytesIO()
    upright.save(png, "PNG", compress_level=1)
    return png.getvalue()


def upright_rgb(image: Image.Image) -> Image.Image:
    """An image turned as its EXIF says, in RGB with 8 bits a channel; alpha is dropped, 16 bits are cut.

    Raises:
        OSError: its file is truncated.
        ValueError: its brightness has no fixed range (32 bits).
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # Pillow would clip it to 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in {"I", "F"}:
        raise ValueError("32 bits a pixel have no fixed range; save it with 8 or 16")
    return image.convert("RGB")
