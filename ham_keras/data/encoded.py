"""Read an image file as bytes that TensorFlow can decode, and that show it upright."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageOps

from ham_keras.errors import HamError

EXIF_ORIENTATION = 0x0112


def read_encoded(path: Path | str) -> bytes:
    """Read an image file as bytes that `decode_image` takes and that show it upright.

    JPEG and PNG files pass as they are. BMP, and what carries an EXIF turn, comes back as PNG.

    Raises:
        HamError: the file is missing, truncated or not an image.
    """
    try:
        data = Path(path).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            if image.format in {"JPEG", "PNG"} and image.getexif().get(EXIF_ORIENTATION, 1) == 1:
                return data
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise HamError(f"{path}: not a readable image ({error}); fetch it again or leave it out") from None
    png = io.BytesIO()
    upright.save(png, "PNG", compress_level=1)
    return png.getvalue()
