"""Truncated and damaged JPEG and PNG files are the ones that TensorFlow refuses."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ham_keras.data.integrity import ADAM7, check_complete, png_chunks, without_ancillary_chunks

PIXELS = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)


def encode(form: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, form, **options)
    return file.getvalue()


JPEG, PROGRESSIVE, PNG = encode("JPEG", quality=90), encode("JPEG", progressive=True), encode("PNG")
WEBP = encode("WEBP")
GREY, CMYK = encode("JPEG", mode="L"), encode("JPEG", mode="CMYK")
THUMBNAIL = Image.Exif()
THUMBNAIL[0x010E] = b"\xff\xd9" * 20  # an end-of-image marker inside the headers, as in thumbnails
WITH_THUMBNAIL = encode("JPEG", exif=THUMBNAIL)


def chunk(kind: bytes, content: bytes, wrong: int = 0) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + (zlib.crc32(kind + content) ^ wrong).to_bytes(4, "big")


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


LONG_TEXT = chunk(b"zTXt", b"note\0\0" + zlib.compress(b"a" * 3_000_000))
LARGE_PROFILE = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(3_000_000)))
FILES = {
    "complete JPEG": (JPEG, True),
    "progressive JPEG": (PROGRESSIVE, True),
    "JPEG with a thumbnail": (WITH_THUMBNAIL, True),
    "JPEG with trailing data": (JPEG + b"more" * 9, True),
    "JPEG without its end": (JPEG[:-2], False),
    "JPEG with a thumbnail, cut": (WITH_THUMBNAIL[:-500], False),
    "JPEG with a tail of zeros": (JPEG[:-9000] + bytes(9000), False),
    "progressive JPEG with a tail of zeros": (PROGRESSIVE[:-900] + bytes(900), False),
    "JPEG with zeros before its end": (JPEG[:-2] + bytes(500) + JPEG[-2:], True),
    "half a JPEG with an end": (JPEG[: len(JPEG) // 2] + b"\xff\xd9", False),
    "half a grey JPEG with an end": (GREY[: len(GREY) // 2] + b"\xff\xd9", False),
    "half a progressive JPEG with an end": (PROGRESSIVE[: len(PROGRESSIVE) // 2] + b"\xff\xd9", False),
    "JPEG with zeros in its middle": (JPEG[:-9000] + bytes(4000) + JPEG[-5000:], False),
    "complete PNG": (PNG, True),
    "PNG with a long text": (PNG[:33] + LONG_TEXT + PNG[33:], True),
    "PNG with a large profile": (PNG[:33] + LARGE_PROFILE + PNG[33:], True),
    "PNG with a wrong checksum of its text": (PNG[:33] + chunk(b"tEXt", b"note\0a", wrong=1) + PNG[33:], True),
    "PNG without its end": (PNG[:-12], False),
    "PNG with half its end": (PNG[:-6], False),
    "PNG with a wrong checksum of its pixels": (flipped(PNG, len(PNG) - 13), False),
    "PNG with a wrong bit": (flipped(PNG, len(PNG) // 2), False),
    "PNG with a wrong checksum of its header": (flipped(PNG, 32), False),
}


# libjpeg decodes something for these, with a warning.
LENIENT = {name for name in FILES if name.startswith("half a ") or name == "JPEG with zeros in its middle"}


@pytest.mark.parametrize("name", FILES)
def test_file_is_complete_if_tensorflow_decodes_it(name: str) -> None:
    data, complete = FILES[name]
    try:
        tf.io.decode_image(data)
        decoded = True
    except tf.errors.InvalidArgumentError:
        decoded = False
    assert decoded == (complete or name in LENIENT)
    if complete:
        check_complete(data)
    else:
        refused = r"truncated: the (JPEG|PNG) has no end|damaged: (wrong checksum of the PNG's |Corrupt JPEG data: )"
        with pytest.raises(ValueError, match=refused):
            check_complete(data)


def test_a_jpeg_in_cmyk_is_checked() -> None:
    check_complete(CMYK)
    with pytest.raises(ValueError, match="premature end"):
        check_complete(CMYK[: len(CMYK) // 2] + b"\xff\xd9")


def test_a_webp_with_a_tail_of_zeros_is_refused_although_it_decodes() -> None:
    for options in {}, {"lossless": True}:
        webp = encode("WEBP", **options)
        check_complete(webp)
        cut = webp[:-900] + bytes(900)
        Image.open(io.BytesIO(cut)).load()
        with pytest.raises(ValueError, match="the WebP ends in zeros"):
            check_complete(cut)


def test_removing_ancillary_chunks_keeps_the_pixels() -> None:
    noted = PNG[:33] + LONG_TEXT + LARGE_PROFILE + chunk(b"eXIf", b"MM") + chunk(b"eXIf", b"MM", wrong=1) + PNG[33:]
    kinds = [kind for kind, _, _ in png_chunks(without_ancillary_chunks(noted))]
    assert (kinds[0], kinds.count(b"eXIf"), kinds[-1]) == (b"IHDR", 1, b"IEND")
    assert {b"zTXt", b"iCCP"}.isdisjoint(kinds)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(without_ancillary_chunks(noted)))), PIXELS)
    assert without_ancillary_chunks(JPEG) == JPEG


def interlaced(width_px: int, height_px: int, missing: int = 0) -> bytes:
    """An interlaced grey PNG of `PIXELS` without the last `missing` bytes of its pixels."""
    rows = b""
    for left, top, right, down in ADAM7:
        part = PIXELS[top:height_px:down, left:width_px:right, 0]
        rows += b"".join(b"\0" + row.tobytes() for row in part if len(row))
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 0, 0, 0, 1)
    pixels = zlib.compress(rows[: len(rows) - missing])
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width_px", "height_px"), [(1, 1), (3, 5), (8, 8), (37, 22)])
def test_interlaced_png_has_all_its_pixels(width_px: int, height_px: int) -> None:
    data = interlaced(width_px, height_px)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), PIXELS[:height_px, :width_px, 0])
    check_complete(data)
    with pytest.raises(ValueError, match=r"truncated: the PNG lacks 1 of [\d,]+ bytes of pixels"):
        check_complete(interlaced(width_px, height_px, 1))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_whose_pixels_end_early_is_truncated(mode: str) -> None:
    file = io.BytesIO()
    Image.fromarray(PIXELS[:13, :21]).convert("I" if mode == "I;16" else mode).convert(mode).save(file, "PNG")
    data = file.getvalue()
    check_complete(data)
    parts = {kind: content for kind, content, _ in png_chunks(data)}
    pixels = zlib.decompress(parts[b"IDAT"])
    for kept in (pixels[:-1], pixels[: len(pixels) // 2], b""):
        parts[b"IDAT"] = zlib.compress(kept)
        with pytest.raises(
            ValueError, match=f"truncated: the PNG lacks {len(pixels) - len(kept):,} of {len(pixels):,} by"
        ):
            check_complete(PNG[:8] + b"".join(chunk(*part) for part in parts.items()))
    parts[b"IDAT"] = zlib.compress(pixels)[:10] + bytes(20)
    with pytest.raises(ValueError, match=r"damaged: the pixels of the PNG cannot be decompressed|truncated: the PNG l"):
        check_complete(PNG[:8] + b"".join(chunk(*part) for part in parts.items()))
    parts[b"IDAT"] = zlib.compress(pixels + b"more")
    check_complete(PNG[:8] + b"".join(chunk(*part) for part in parts.items()))
