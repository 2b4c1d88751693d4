"""Detect truncated and damaged JPEG and PNG files before decoding.

TensorFlow (libjpeg, libpng) refuses a JPEG without its end and a PNG without its end or with a wrong checksum; Pillow
fills in grey or ignores the error. With this check every reader rejects the same files.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
END_OF_IMAGE, START_OF_SCAN = b"\xff\xd9", 0xDA
# Ancillary chunks that change how pixels are interpreted: transparency and EXIF.
MEANINGFUL = frozenset({b"tRNS", b"eXIf"})


def check_complete(data: bytes) -> None:
    """Check that a JPEG or PNG is complete and that the checksums of a PNG are correct; other files pass.

    Raises:
        ValueError: the file is truncated or damaged.
    """
    if data.startswith(JPEG):
        if data.find(END_OF_IMAGE, _first_scan(data)) < 0:
            raise ValueError("truncated: the JPEG has no end")
    elif data.startswith(PNG):
        kinds = []
        for kind, content, checksum in png_chunks(data):
            kinds.append(kind)
            if kind[:1].isupper() and zlib.crc32(kind + content) != checksum:
                raise ValueError(f"damaged: wrong checksum of the PNG's {kind.decode('latin-1')}")
        if kinds[-1:] != [b"IEND"]:
            raise ValueError("truncated: the PNG has no end")


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


def _first_scan(data: bytes) -> int:
    """The offset of the pixels of a JPEG. The headers before it may hold a thumbnail with its own end marker."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == START_OF_SCAN:
            return at
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return len(data)
