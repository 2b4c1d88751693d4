"""Settings as Markdown tables, compared with tables written by hand for a small schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from ham_keras.reference.schema import config_reference
from ham_keras.reference.tables import describe_type, settings_tables
from ham_keras.settings import Section


class Oven(Section):
    """How it is baked."""

    degrees: Annotated[int, Field(ge=50, le=300)] = Field(180, description="Celsius | of the air.")
    fan: bool = True


class Recipe(Section):
    name: str = Field(description="Of the cake.")
    oven: Oven = Oven()
    dishes: dict[str, Oven] = Field({}, description="By name.")


def test_keys_are_in_the_table_of_their_section() -> None:
    assert settings_tables(Recipe.model_json_schema()) == (
        "| key | type | default | description |\n|---|---|---|---|\n"
        "| `name` | text |  | Of the cake. |\n"
        "| `dishes` | section of keys | `{}` | By name. |\n"
        "| `dishes.KEY.degrees` | whole number, at least 50, at most 300 | `180` | Celsius \\| of the air. |\n"
        "| `dishes.KEY.fan` | `true` or `false` | `true` |  |\n"
        "\n## oven\n\nHow it is baked.\n\n"
        "| key | type | default | description |\n|---|---|---|---|\n"
        "| `oven.degrees` | whole number, at least 50, at most 300 | `180` | Celsius \\| of the air. |\n"
        "| `oven.fan` | `true` or `false` | `true` |  |\n"
    )
    assert "oven" not in settings_tables(Recipe.model_json_schema(), leave_out=["oven"])


class Kinds(Section):
    a: Literal["x", 1] | None
    b: Annotated[float, Field(gt=0, lt=1)] | None
    c: list[int | float] = Field(min_length=2, max_length=2)
    d: list[Any] = Field(min_length=1)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("a", '`"x"`, `1`, or `null`'),
        ("b", "number, more than 0, less than 1, or `null`"),
        ("c", "list of 2: number"),
        ("d", "list of at least 1"),
    ],
)
def test_type_of_a_key(key: str, words: str) -> None:
    assert describe_type(Kinds.model_json_schema()["properties"][key]) == words


def test_every_key_of_a_run_has_a_description() -> None:
    rows = [line for line in config_reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 35 and [row for row in rows if row.endswith("|  |")] == []
    assert "a multiple of 32, or a list of 2 of them" in next(row for row in rows if "`data.image_size`" in row)
