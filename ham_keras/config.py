"""Load a config: read the JSON, lay it over what it extends, apply overrides, check every key.

python -m ham_keras.config --schema            # the JSON Schema that editors complete from
python -m ham_keras.config --reference         # every key in a table: docs/reference/config.md
python -m ham_keras.config configs/base.json   # the file with `extends` and defaults resolved
"""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ham_keras.errors import HamError, run_command
from ham_keras.reference.tables import settings_tables
from ham_keras.settings import Config

__all__ = [
    "Config", "check_sections", "config_reference", "json_schema", "load_config", "load_config_as", "parse_config",
    "parse_config_as", "to_json",
]  # fmt: skip

AnyConfig = TypeVar("AnyConfig", bound=Config)
RENAMED = {"score.threshold": "outline.threshold"}  # keys of earlier versions: section.key, old to new


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read a config file, what it extends, and `section.key=value` overrides, in that order.

    A value is read as JSON, and as plain text where it is not JSON. `run.name` defaults to the file's name.

    Raises:
        HamError: names the file or key, what was expected and what was found.
    """
    return load_config_as(Config, path, overrides)


def load_config_as(kind: type[AnyConfig], path: Path | str, overrides: Sequence[str] = ()) -> AnyConfig:
    """`load_config` for configs that hold more than those of a run."""
    path = Path(path)
    settings = _read_with_parents(path, ())
    for override in overrides:
        _apply(settings, override)
    settings.setdefault("run", {})
    if isinstance(settings["run"], dict) and settings["run"].get("name") is None:
        settings["run"]["name"] = path.stem
    return parse_config_as(kind, settings, str(path))


def parse_config(settings: dict[str, Any], source: str) -> Config:
    """Check settings against the model; `source` names them in errors.

    Raises:
        HamError: one line for the first few things that are wrong.
    """
    return parse_config_as(Config, settings, source)


def parse_config_as(kind: type[AnyConfig], settings: dict[str, Any], source: str) -> AnyConfig:
    """`parse_config` for configs that hold more than those of a run."""
    try:
        return kind.model_validate(_rename(settings, source))
    except ValidationError as error:
        lines = list(dict.fromkeys(_explain(item, kind) for item in error.errors()))
        more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
        raise HamError(f"{source}: " + "; ".join(lines[:3]) + more) from None


def check_sections(overrides: Sequence[str], sections: Sequence[str]) -> Sequence[str]:
    """The overrides of a trained run, which may be of these sections alone.

    Raises:
        HamError: one is of another section.
    """
    for override in overrides:
        key = RENAMED.get(override.partition("=")[0], override)
        if key.split(".")[0] not in sections:
            names = " and ".join(f"{section}.*" for section in sections)
            raise HamError(f"{override}: of a trained run only {names} can be set here, e.g. outline.threshold=0.4")
    return overrides


def to_json(config: Config) -> str:
    """The config as JSON text that `load_config` reads back to an equal config."""
    return json.dumps(config.model_dump(by_alias=True, exclude={"schema_"}), indent=2) + "\n"


def json_schema(kind: type[Config] = Config) -> str:
    """The JSON Schema of a config file of this kind, `extends` included."""
    schema = kind.model_json_schema(by_alias=True)
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "A config whose settings these are laid over; relative to this file.",
    }
    size = schema["$defs"]["Data"]["properties"]["image_size"]
    side = {"type": "integer", "minimum": 32, "maximum": 4096, "multipleOf": 32}
    schema["$defs"]["Data"]["properties"]["image_size"] = {
        "description": size["description"],
        "default": size["default"],
        "anyOf": [side, {"type": "array", "items": side, "minItems": 2, "maxItems": 2}],
    }
    return json.dumps(schema, indent=2) + "\n"


def config_reference() -> str:
    """Every key of a run's config as Markdown."""
    return (
        "# Config of a run\n\nWritten by `python -m ham_keras.config --reference` from the models that check a "
        "config; a search has [more](search.md).\nAny key can be set on the command line as `section.key=value`.\n\n"
        + settings_tables(json.loads(json_schema()))
    )


def _read_with_parents(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise HamError(f"{path}: extends itself")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except HamError as error:
        raise HamError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise HamError(f"{path}: no such config file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise HamError(f"{path}: cannot be read: {error}") from None
    except json.JSONDecodeError as error:
        raise HamError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(settings, dict):
        raise HamError(f"{path}: expected a JSON object")
    settings = _rename(settings, str(path))
    parent = settings.pop("extends", None)
    if parent is None:
        return settings
    if not isinstance(parent, str):
        raise HamError(f"{path}: extends: expected the path of a config file, got {json.dumps(parent)}")
    base = _read_with_parents(path.parent / parent, (*seen, path.resolve()))
    base.pop("description", None)
    return _merge(base, settings)


def _rename(settings: dict[str, Any], source: str) -> dict[str, Any]:
    """The settings with the keys of `RENAMED` under their new names.

    Raises:
        HamError: old and new name are both there, with different values.
    """
    for old, new in RENAMED.items():
        (section, key), (new_section, new_key) = old.split("."), new.split(".")
        before, after = settings.get(section), settings.get(new_section, {})
        if not isinstance(before, dict) or key not in before or not isinstance(after, dict):
            continue
        value = before[key]
        if after.get(new_key, value) != value:
            raise HamError(
                f"{source}: {old}: is called {new} now, and the two differ ({json.dumps(value)} and "
                f"{json.dumps(after[new_key])}); remove {old}"
            )
        rest = {name: setting for name, setting in before.items() if name != key}
        settings = {**settings, section: rest, new_section: {**after, new_key: value}}
    return settings


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise HamError(f"{key}: the key stands there twice; keep one")
    return dict(pairs)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _apply(settings: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise HamError(f"{override}: expected section.key=value")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    *sections, last = RENAMED.get(key, key).split(".")
    for section in sections:
        settings = settings.setdefault(section, {})
        if not isinstance(settings, dict):
            raise HamError(f"{override}: {section} is not a section")
    settings[last] = value


def _explain(item: Any, kind: type[BaseModel]) -> str:
    place = ".".join(part for part in item["loc"] if isinstance(part, str))
    if item["type"] == "extra_forbidden":
        *parents, key = [str(part) for part in item["loc"]]
        known = _known_keys(parents, kind)
        near = difflib.get_close_matches(key, known, 1, 0.5)
        return f"{place}: unknown key, " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}")
    message = item["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    got = "" if isinstance(item["input"], dict) else f", got {json.dumps(item['input'], default=str)}"
    return f"{place}: {message}{got}" if place else message


def _known_keys(parents: Sequence[str], kind: type[BaseModel]) -> list[str]:
    section: Any = kind
    for name in parents:
        if not hasattr(section, "model_fields"):  # dict[str, section]
            section = get_args(section)[1]
        elif name in section.model_fields:
            section = section.model_fields[name].annotation
    return [field.alias or name for name, field in section.model_fields.items()]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ham_keras.config", description="Check and show a config.")
    parser.add_argument("config", nargs="?", help="a config file")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of a run's config files")
    parser.add_argument("--reference", action="store_true", help="print every key as a Markdown table")
    args = parser.parse_intermixed_args(argv)
    if args.schema or args.reference:
        print(json_schema() if args.schema else config_reference(), end="")
    elif args.config:
        print(to_json(load_config(args.config, args.overrides)), end="")
    else:
        parser.error("name a config file, --schema or --reference")
    return 0


if __name__ == "__main__":
    run_command(main)
