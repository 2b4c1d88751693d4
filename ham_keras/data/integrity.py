"""Detect truncated and damaged files before decoding.

TensorFlow (libjpeg, libpng) refuses a JPEG without its end and a PNG without its end or with a wrong checksum; Pillow
fills in grey or ignores the error, and both fill the pixels that a PNG lacks. Of wrong bytes within a JPEG libjpeg only
warns, on standard error, and decodes shifted or grey blocks; libwebp decodes zeros in place of pixels without a word.
With this check every reader rejects the same files.

Not detected: zeros in place of the pixels of an uncompressed BMP or TIFF, which may as well be black, and wrong bytes
that happen to be a valid code of a JPEG.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

import simplejpeg

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
END_OF_IMAGE, START_OF_SCAN = b"\xff\xd9", 0xDA
# Ancillary chunks that change how pixels are interpreted: transparency and EXIF.
MEANINGFUL = frozenset({b"tRNS", b"eXIf"})
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type of a PNG
CORRUPT = ("Corrupt JPEG data", "Premature end")  # libjpeg's warnings that concern pixels
WEBP_ZEROS = 256  # compressed pixels do not end in so many zeros
# The seven passes of an interlaced PNG: first column and row, and the steps between columns and rows.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def check_complete(data: bytes) -> None:
    """Check that a JPEG, PNG or WebP is complete, that the pixels of a JPEG decode without a warning, and that a PNG
    has correct checksums and all its pixels; other files pass.

    Raises:
        ValueError: the file is truncated or damaged.
    """
    if data.startswith(JPEG):
        end = data.find(END_OF_IMAGE, _first_scan(data))
        if end < 0:
            raise ValueError("truncated: the JPEG has no end")
        if warning := _jpeg_warning(data):
            # Some cameras write zeros before the end; libjpeg warns of them as of wrong bytes. FF 00 is a pixel's.
            pixels_end = data[:end].rstrip(b"\0")
            if _jpeg_warning(pixels_end + b"\0" * pixels_end.endswith(b"\xff") + END_OF_IMAGE):
                raise ValueError(f"damaged: {warning}")
    elif data.startswith(PNG):
        kinds, header, pixels = [], b"", []
        for kind, content, checksum in png_chunks(data):
            kinds.append(kind)
            if kind[:1].isupper() and zlib.crc32(kind + content) != checksum:
                raise ValueError(f"damaged: wrong checksum of the PNG's {kind.decode('latin-1')}")
            if kind == b"IHDR":
                header = content
            elif kind == b"IDAT":
                pixels.append(content)
        if kinds[-1:] != [b"IEND"]:
            raise ValueError("truncated: the PNG has no end")
        _check_pixels(header, pixels)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP" and not any(data[-WEBP_ZEROS:]):
        raise ValueError("truncated: the WebP ends in zeros")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield (type, content, stored checksum) of the complete chunks of a PNG."""
    at, kind = len(PNG), b""
    while kind != b"IEND" and at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        checksum = data[at + 8 + length : at + 12 + length]
        if len(checksum) < 4:
            return
        yield kind, content, int.from_bytes(checksum, "big")
        at += 12 + length


def without_ancillary_chunks(data: bytes) -> bytes:
    """A PNG without texts, colour profile and other chunks that decoding does not need; other files unchanged.

    Pillow refuses PNGs whose text or profile chunks are too large.
    """
    if not data.startswith(PNG):
        return data
    kept = [PNG]
    for kind, content, checksum in png_chunks(data):
        if kind[:1].isupper() or (kind in MEANINGFUL and zlib.crc32(kind + content) == checksum):
            kept.append(len(content).to_bytes(4, "big") + kind + content + checksum.to_bytes(4, "big"))
    return b"".join(kept)


def _check_pixels(header: bytes, compressed: Iterable[bytes]) -> None:
    """Check that the compressed pixels of a PNG, in chunks, fill the image that its header describes."""
    missing = _pixel_bytes(header)
    decoder = zlib.decompressobj()
    try:
        for content in compressed:
            missing -= len(decoder.decompress(content, missing))
            if not missing:  # a limit of 0 bytes would be none
                return
    except zlib.error as error:
        raise ValueError(f"damaged: the pixels of the PNG cannot be decompressed ({error})") from None
    raise ValueError(f"truncated: the PNG lacks {missing:,} of {_pixel_bytes(header):,} bytes of pixels")


def _pixel_bytes(header: bytes) -> int:
    """The size of the decompressed pixels of a PNG, from the content of its IHDR chunk."""
    try:
        width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
        bits = depth * CHANNELS[colour]
    except (struct.error, KeyError):
        raise ValueError("damaged: the PNG has no valid header") from None
    size = 0
    for left, top, right, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            size += rows * (1 + (columns * bits + 7) // 8)  # each row begins with the number of its filter
    return size


def _jpeg_warning(data: bytes) -> str:
    """What libjpeg warns of when it decodes the pixels; empty if nothing, or if it cannot decode this kind of JPEG."""
    try:
        colours = simplejpeg.decode_jpeg_header(data, strict=False)[2]
        space = "CMYK" if colours in {"CMYK", "YCCK"} else "GRAY"
        # The smallest size, because only the compressed bytes matter: half the time of decoding.
        simplejpeg.decode_jpeg(data, space, fastdct=True, fastupsample=True, min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        return str(error) if str(error).startswith(CORRUPT) else ""
    return ""


def _first_scan(data: bytes) -> int:
    """The offset of the pixels of a JPEG. The headers before it may hold a thumbnail with its own end marker."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == START_OF_SCAN:
            return at
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return len(data)
