"""Read the text of a table as spreadsheets, archives and people write it."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ham_keras.errors import HamError, shown

DELIMITERS = ",;\t|"
HEAD_BYTES = 2**18  # of which the header is read; that of 2,352 pixels has 25 KB
PIXEL_COLUMNS = 64  # more than that, most of them numbered, are a table of pixels or features


@dataclass(frozen=True)
class Table:
    """The columns of a table and, of those that were wanted, the cells of each row, stripped."""

    columns: list[str]
    rows: list[dict[str, str]]


def read_table(path: Path, wanted: Callable[[str], bool], ids: Sequence[str]) -> Table:
    """Read a table of text, of it the columns that are wanted.

    Its text may be UTF-8, UTF-16 or else Windows-1252. The separator is the one that a first line `sep=;` names, else
    the comma, semicolon, tab or bar that makes a column of `ids` or else most columns. Of a table of pixels, and of
    one without a column that is wanted, nothing but the head is read, and there are no rows.

    Args:
        ids: names of columns of ids, as `plain_name` returns them.

    Raises:
        HamError: it is not text, or its quotes never end.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        encoding = _encoding(head)
        text, separator = _without_sep(head[: len(head) // 2 * 2].decode(encoding, "replace"))
        columns, delimiter = _header(text, separator, ids)
        places = {column: place for place, column in enumerate(columns) if wanted(column)}
        if not places or _is_pixels(columns):
            return Table(columns, [])
        data = head + file.read()
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # what Western spreadsheets write
    if "\0" in text:
        raise HamError(f"{shown(path)}: cannot be read as a table; save it as CSV in UTF-8")
    lines = io.StringIO(_without_sep(text)[0], newline="")
    try:
        cells = (row for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True) if any(row))
        next(cells)
        return Table(
            columns,
            [
                {column: row[place].strip() if place < len(row) else "" for column, place in places.items()}
                for row in cells
            ],
        )
    except csv.Error as error:
        raise HamError(f"{shown(path)}: cannot be read as a table: {error}") from None


def plain_name(name: str) -> str:
    """A name, lower case, of nothing but letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    # UTF-16 without its mark: a header begins with an ASCII letter.
    return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be" if head[:1] == b"\0" else "utf-8"


def _without_sep(text: str) -> tuple[str, str]:
    """A table without empty lines before its header and without `sep=;`, which tells Excel the separator; and that."""
    text = text.lstrip("\r\n ")
    told = re.match(r'"?sep=(.?)"?[ \t]*[\r\n]+', text, flags=re.IGNORECASE)
    return (text[told.end() :], told[1]) if told else (text, "")


def _header(text: str, separator: str, ids: Sequence[str]) -> tuple[list[str], str]:
    """The names of the columns, each once, and their separator."""
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    parted: dict[str, list[str]] = {}
    for delimiter in separator or DELIMITERS:
        names = next(csv.reader([first], delimiter=delimiter, skipinitialspace=True), [])
        parted[delimiter] = [name.strip() for name in names]

    def merit(delimiter: str) -> tuple[bool, int]:
        names = parted[delimiter]
        return any(plain_name(name) in ids for name in names), len(names)

    best = max(parted, key=merit)
    counts = Counter(parted[best])
    return [name if counts[name] == 1 else f"{name}#{place}" for place, name in enumerate(parted[best])], best


def _is_pixels(header: Sequence[str]) -> bool:
    numbered = sum(column[-1:].isdigit() for column in header)
    return len(header) > PIXEL_COLUMNS and numbered > 0.9 * len(header)
