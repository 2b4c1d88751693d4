"""Whether a JPEG or PNG file is whole, by its own marks: what TensorFlow refuses and Pillow may let pass.

A JPEG whose tail was never written, a PNG without its end or with a wrong checksum: Pillow fills in grey, or says
nothing. TensorFlow (libjpeg, libpng) stops. Checking here, before any decoder, lets all readers say the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
END_OF_IMAGE, START_OF_SCAN = b"\xff\xd9", 0xDA
# Of the chunks that are not needed to decode: transparency and EXIF, which say how the pixels are meant.
MEANINGFUL = frozenset({b"tRNS", b"eXIf"})


def check_whole(data: bytes) -> None:
    """Check that a JPEG has an end and a PNG an end and right checksums; other files pass.

    Raises:
        ValueError: says what is missing or wrong.
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
    """Yield (kind, content, checksum as stored) of a PNG's complete chunks, up to its end."""
    at, kind = len(PNG), b""
    while kind != b"IEND" and at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        checksum = data[at + 8 + length : at + 12 + length]
        if len(checksum) < 4:
            return
        yield kind, content, int.from_bytes(checksum, "big")
        at += 12 + length


def without_notes(data: bytes) -> bytes:
    """A PNG without its texts, colour profile and other chunks that its pixels do not need; other files as they are.

    Pillow refuses whole files for a text or a profile that is too large for it.
    """
    if not data.startswith(PNG):
        return data
    kept = [PNG]
    for kind, content, checksum in png_chunks(data):
        if kind[:1].isupper() or (kind in MEANINGFUL and zlib.crc32(kind + content) == checksum):
            kept.append(len(content).to_bytes(4, "big") + kind + content + checksum.to_bytes(4, "big"))
    return b"".join(kept)


def _first_scan(data: bytes) -> int:
    """Where a JPEG's pixels begin: behind its headers, which may hold a thumbnail with an end of its own."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == START_OF_SCAN:
            return at
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return len(data)
