"""Render a JSON Schema of settings as Markdown tables of keys, types, defaults and descriptions."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]


def settings_tables(schema: Schema, leave_out: Collection[str] = ()) -> str:
    """One table for each section of the schema except those in `leave_out`, with dotted keys.

    Keys outside any section are first.
    """
    known = schema.get("$defs", {})
    sections: dict[str, list[str]] = {"": []}
    for key, field in schema["properties"].items():
        if key in leave_out:
            continue
        target = known.get(_target(field), {})
        title = f"## {key}\n\n{target['description']}\n\n" if "description" in target else f"## {key}\n\n"
        sections.setdefault(title if target else "", []).extend(_rows(key, field, known))
    head = "| key | type | default | description |\n|---|---|---|---|\n"
    return "\n".join(title + head + "".join(rows) for title, rows in sections.items() if rows)


def _rows(key: str, field: Schema, known: Mapping[str, Schema]) -> Iterator[str]:
    target = known.get(_target(field))
    if target is not None:
        for name, inner in target["properties"].items():
            yield from _rows(f"{key}.{name}", inner, known)
        return
    default = f"`{json.dumps(_without_nulls(field['default']))}`" if "default" in field else ""
    cells = [f"`{key}`", describe_type(field), default, field.get("description", "")]
    yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    for place, inner_field in (("KEY", field.get("additionalProperties")), ("N", field.get("items"))):
        for name, inner in known.get(_target(inner_field or {}), {}).get("properties", {}).items():
            yield from _rows(f"{key}.{place}.{name}", inner, known)


def _without_nulls(value: Any) -> Any:
    """Sections without keys that are null."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}


def _target(field: Schema) -> str:
    return str(field.get("$ref", "")).rpartition("/")[2]


def describe_type(field: Schema) -> str:
    """The type of a key in words, e.g. "whole number, at least 1, or `null`"."""
    if "anyOf" in field:
        first, *others = field["anyOf"]
        kinds = [describe_type(first)]
        for other in others:
            of_them = other.get("items") == first
            kinds.append(f"a list of {other['minItems']} of them" if of_them else describe_type(other))
        joint = ", or " if any("," in kind for kind in kinds) else " or "
        return "number" if kinds == ["whole number", "number"] else joint.join(kinds)
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "$ref" in field:
        return "section of keys"
    kind = field.get("type")
    if kind == "array":
        fewest, most = field.get("minItems"), field.get("maxItems")
        how_many = "list" if fewest is None else f"list of {fewest}" if fewest == most else f"list of at least {fewest}"
        return f"{how_many}: {describe_type(field['items'])}" if field["items"] else how_many
    names = {"null": "`null`", "boolean": "`true` or `false`", "string": "text", "object": "section of keys"}
    names |= {"integer": "whole number", "number": "number"}
    bounds = (
        ("minimum", "at least"), ("exclusiveMinimum", "more than"), ("maximum", "at most"),
        ("exclusiveMaximum", "less than"), ("multipleOf", "a multiple of"),
    )  # fmt: skip
    return ", ".join([names[str(kind)], *(f"{words} {field[name]}" for name, words in bounds if name in field)])
