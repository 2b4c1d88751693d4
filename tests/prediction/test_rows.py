"""Rows kept in a file behave like a dict of rows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from ham_keras.prediction.rows import Rows


def test_rows_are_those_of_a_dict(tmp_path: Path) -> None:
    rows, expected = Rows(), dict[str, dict[str, Any]]()
    rows.folder = tmp_path
    draw = random.Random(0)
    for turn in range(400):
        name = f"image_{draw.randrange(40)}"
        match draw.randrange(4):
            case 0 | 1:
                rows[name] = expected[name] = {"image_id": name, "turn": turn, "what": "ä\n,", "share": turn / 7}
            case 2:
                assert rows.pop(name, None) == expected.pop(name, None)
            case _:
                assert rows.get(name) == expected.get(name)
    assert rows == expected and list(rows) == list(expected) and len(rows) == len(expected) > 10
    assert list(tmp_path.iterdir()) == []  # the file has no name
    with pytest.raises(KeyError):
        rows["never"]
