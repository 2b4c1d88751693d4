"""Read tables of text in the encodings and separators that occur in practice."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ham_keras.errors import HamError, shown

DELIMITERS = ",;\t|"
HEAD_BYTES = 2**18  # from which the header is read; a header of 2,352 pixel columns has 25 KB
TITLE_LINES = 10  # at most, before the header
PIXEL_COLUMNS = 64  # a table with more columns, most of them numbered, holds pixels or features


@dataclass(frozen=True)
class Table:
    """The columns of a table, and its rows with the cells of the wanted columns, stripped."""

    columns: list[str]
    rows: list[dict[str, str]]
    is_pixels: bool = False


def read_table(path: Path, wanted: Callable[[str], bool], ids: Sequence[str]) -> Table:
    """Read the wanted columns of a table.

    The encoding is UTF-8, UTF-16 or else Windows-1252. The separator is given by a first line such as `sep=;`;
    otherwise it is the comma, semicolon, tab or bar that yields a column of `ids`, or the most columns. A table of
    pixels or without a wanted column is returned without rows; only its header is read.

    Args:
        wanted: whether a column of this name is wanted.
        ids: names of id columns, in the form that `plain_name` returns.

    Raises:
        HamError: not a text file, or a quote is not closed.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        encoding = _encoding(head)
        text, separator = _from_header(_decode_head(head, encoding), ids)
        columns, delimiter = _header(text, separator, ids)
        positions = {column: position for position, column in enumerate(columns) if wanted(column)}
        named = any(plain_name(column) in ids for column in columns)
        is_pixels = _is_pixels(columns) and not named
        if not positions or is_pixels:
            return Table(columns, [], is_pixels)
        data = head + file.read()
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # the default of Western spreadsheets
    if "\0" in text:
        raise HamError(f"{shown(path)}: cannot be read as a table; save it as CSV in UTF-8")
    try:
        cells = _rows(_from_header(text, ids)[0], delimiter)[1:]
        return Table(
            columns,
            [
                {column: row[position].strip() if position < len(row) else "" for column, position in positions.items()}
                for row in cells
            ],
        )
    except csv.Error as error:
        raise HamError(f"{shown(path)}: cannot be read as a table: {error}") from None


def plain_name(name: str) -> str:
    """A name in lower case, without anything but letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    # UTF-16 without a byte order mark: a header begins with an ASCII letter.
    return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be" if head[:1] == b"\0" else "utf-8"


def _decode_head(head: bytes, encoding: str) -> str:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)  # a character may be cut at the end
    except UnicodeDecodeError:
        return head.decode("cp1252", "replace")


def _rows(text: str, delimiter: str) -> list[list[str]]:
    def read(*, strict: bool) -> list[list[str]]:
        lines = io.StringIO(text, newline="")
        rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)
        return [row for row in rows if any(row)]

    try:
        return read(strict=True)
    except csv.Error as error:
        if str(error) == "unexpected end of data":
            raise csv.Error("a quote is not closed") from None
    return read(strict=False)  # signs behind a closing quote


def _from_header(text: str, ids: Sequence[str]) -> tuple[str, str]:
    """Remove what precedes the header; returns the text and the separator that a line such as `sep=;` gives, or "".

    Titles and comments have one cell, or begin with `#`; they are removed if a header with a name of `ids` follows.
    """
    text, separator = _without_sep(text)
    start = 0
    for line in text[:HEAD_BYTES].splitlines(keepends=True)[:TITLE_LINES]:
        cells = [cell.strip(' "\r\n') for cell in re.split(f"[{DELIMITERS}]", line)]
        if any(plain_name(cell) in ids for cell in cells):
            return text[start:], separator
        if sum(map(bool, cells)) > 1 and not line.startswith("#"):
            break
        start += len(line)
    return text, separator


def _without_sep(text: str) -> tuple[str, str]:
    """Remove empty lines before the header and Excel's `sep=;` line; returns the text and the separator or ""."""
    text = text.lstrip("\r\n ")
    found = re.match(r'"?sep *= *(.?) *"?[ \t,;|]*[\r\n]+', text, flags=re.IGNORECASE)
    return (text[found.end() :], found[1]) if found else (text, "")


def _header(text: str, separator: str, ids: Sequence[str]) -> tuple[list[str], str]:
    """The names of the columns, made unique, and their separator."""
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    columns_by: dict[str, list[str]] = {}
    for delimiter in separator or DELIMITERS:
        names = next(csv.reader([first], delimiter=delimiter, skipinitialspace=True), [])
        columns_by[delimiter] = [name.strip() for name in names]

    def rank(delimiter: str) -> tuple[bool, int]:
        names = columns_by[delimiter]
        return any(plain_name(name) in ids for name in names), len(names)

    best = max(columns_by, key=rank)
    names = columns_by[best]
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name}#{position}" for position, name in enumerate(names)], best


def _is_pixels(header: Sequence[str]) -> bool:
    numbered = sum(column[-1:].isdigit() for column in header)
    return len(header) > PIXEL_COLUMNS and numbered > 0.9 * len(header)
