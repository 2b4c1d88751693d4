"""Load a config: read the JSON, merge it into the config it extends, apply overrides, validate every key.

python -m ham_keras.config --schema            # the JSON Schema for completion in editors
python -m ham_keras.config --reference         # all keys as tables: docs/reference/config.md
python -m ham_keras.config configs/base.json   # the file with `extends` and defaults resolved
"""

from __future__ import annotations

import argparse
import copy
import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ham_keras.errors import DamagedFileError, HamError, is_utf8, program, run_command, shown, warn
from ham_keras.settings import Augment, Config, WorkConfig
from ham_keras.settings.kinds import WrittenFloat
from ham_keras.settings.versions import RENAMED, VERSION, migrate, rename

__all__ = [
    "Config", "Overrides", "as_config", "load_config", "load_config_as", "parse_config", "parse_config_as",
    "shipped_configs", "to_json",
]  # fmt: skip

AnyConfig = TypeVar("AnyConfig", bound=WorkConfig)
Overrides = Sequence[str] | Mapping[str, Any]  # ["train.epochs=5"] or {"train.epochs": 5}

# setup.py installs the repository's configs/ into the package; in a clone they are beside it.
SHIPPED = Path(__file__).with_name("configs")
if not SHIPPED.is_dir():
    SHIPPED = Path(__file__).parents[1] / "configs"


def load_config(path: Path | str, overrides: Overrides = ()) -> Config:
    """Read a config file and the configs it extends, and apply overrides.

    Args:
        path: a file, or the name of a shipped config, e.g. "base". A file of that name takes precedence.
        overrides: `section.key=value` strings, whose values are parsed as JSON, or kept as text if they are not JSON;
            or a mapping of `section.key`, or of sections, to values, e.g. `{"train": {"epochs": 5}}`.

    `run.name` defaults to the file's name.

    Raises:
        HamError: the config is missing or invalid; names the file or key, what was expected and what was found.
    """
    return load_config_as(Config, path, overrides)


def load_config_as(kind: type[AnyConfig], path: Path | str, overrides: Overrides = ()) -> AnyConfig:
    """`load_config` for other kinds of config."""
    path = Path(path)
    settings = _read_with_parents(_find(str(path)), ())
    _override(settings, overrides)
    settings.setdefault("run", {})
    if isinstance(settings["run"], dict) and settings["run"].get("name") is None:
        settings["run"]["name"] = path.stem
    return parse_config_as(kind, settings, str(path))


def as_config(config: Config | Path | str, overrides: Overrides = ()) -> Config:
    """Return a config, loaded if it is a file or name, with overrides applied.

    Raises:
        HamError: see `load_config`.
    """
    if not isinstance(config, Config):
        return load_config(config, overrides)
    settings = config.model_dump(by_alias=True)
    _override(settings, overrides)
    return parse_config(settings, str(config.run.name)) if overrides else config


def shipped_configs() -> list[str]:
    """The names of the configs that are installed with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.json") if not path.name.endswith("schema.json"))


def parse_config(settings: dict[str, Any], source: str) -> Config:
    """Validate settings; `source` names them in error messages.

    Raises:
        HamError: settings are invalid; names the first few in one line.
    """
    return parse_config_as(Config, settings, source)


def parse_config_as(kind: type[AnyConfig], settings: dict[str, Any], source: str) -> AnyConfig:
    """`parse_config` for other kinds of config."""
    try:
        return kind.model_validate(rename(settings, source))
    except ValidationError as error:
        lines = list(dict.fromkeys(_explain(item, kind) for item in error.errors()))
        more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
        raise HamError(f"{source}: " + "; ".join(lines[:3]) + more) from None


def to_json(config: WorkConfig) -> str:
    """The config, and the version of its keys, as JSON text that `load_config` reads back to an equal config."""
    settings = {"version": VERSION, **config.model_dump(by_alias=True, exclude={"schema_"})}
    return json.dumps(settings, indent=2) + "\n"


def warn_about_unused_augmentation(augment: Augment) -> None:
    """Warn of augmentation that is set, but not applied without an engine."""
    if augment.engine == "none":
        unset = Augment()
        numbers = {name: value for name, value in augment if isinstance(value, float) and value}
        if unused := [name for name, value in numbers.items() if value != getattr(unset, name)]:
            warn(f"augment: {', '.join(unused)}: not applied with engine none; set augment.engine=native")


def _read_with_parents(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise HamError(f"{path}: extends itself")
    try:
        settings = json.loads(
            path.read_text(encoding="utf-8"), parse_float=WrittenFloat.parse, object_pairs_hook=_without_duplicates
        )
    except HamError as error:
        raise HamError(f"{path}: {error}") from None
    except FileNotFoundError:
        names = ", ".join(shipped_configs())
        raise HamError(f"{path}: no such config file; expected a file, or a shipped config's name: {names}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise HamError(f"{path}: cannot be read: {error}") from None
    except json.JSONDecodeError as error:
        if not path.read_text(encoding="utf-8").strip("\0\n "):
            raise DamagedFileError(f"{path}: empty; expected a JSON object") from None
        raise DamagedFileError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(settings, dict):
        raise HamError(f"{path}: expected a JSON object")
    settings = migrate(settings, str(path))
    parent = settings.pop("extends", None)
    if parent is None:
        return settings
    if not isinstance(parent, str):
        raise HamError(f"{path}: extends: expected the path of a config file, got {json.dumps(parent)}")
    base = _read_with_parents(_find(parent, path.parent), (*seen, path.resolve()))
    base.pop("description", None)
    return _merge(base, settings)


def _find(name: str, folder: Path = Path()) -> Path:
    """The file relative to `folder`, or, if it does not exist, the shipped config of this name."""
    path = folder / name
    return SHIPPED / f"{name}.json" if not path.is_file() and name in shipped_configs() else path


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise HamError(f"{key}: duplicate key; keep one")
    return dict(pairs)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _override(settings: dict[str, Any], overrides: Overrides) -> None:
    if isinstance(overrides, str):
        raise HamError(f"{overrides}: expected a list of section.key=value, or a mapping of section.key to value")
    given = overrides.items() if isinstance(overrides, Mapping) else map(_read_override, overrides)
    renamed = [pair for key, value in given for pair in rename({RENAMED.get(key, key): value}, key).items()]
    for key, value in renamed:
        *sections, last = key.split(".")
        place = settings
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise HamError(f"{key}: {section} is not a section")
        if isinstance(overrides, Mapping) and isinstance(value, dict) and isinstance(place.get(last), dict):
            value = _merge(place[last], value)
        place[last] = copy.deepcopy(value)


def _read_override(override: str) -> tuple[str, Any]:
    if not is_utf8(override):
        raise HamError(f"{shown(override)}: not UTF-8; use another name")
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise HamError(f"{override}: expected section.key=value")
    try:
        return key, json.loads(text, parse_float=WrittenFloat.parse)
    except json.JSONDecodeError:
        return key, text


def _explain(item: Any, kind: type[BaseModel]) -> str:
    place = ".".join(part for part in item["loc"] if isinstance(part, str))
    if item["type"] == "extra_forbidden":
        *parents, key = [str(part) for part in item["loc"]]
        known = _known_keys(parents, kind)
        near = difflib.get_close_matches(key, known, 1, 0.5)
        return f"{place}: unknown key, " + (
            f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
        )
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
    parser = argparse.ArgumentParser(prog=program("config"), description="Validate and print a config.")
    parser.add_argument("config", nargs="?", help="a config file, or a shipped config's name")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of a run's config files")
    parser.add_argument("--reference", action="store_true", help="print all keys as Markdown tables")
    args = parser.parse_intermixed_args(argv)
    if args.schema or args.reference:
        from ham_keras.reference.schema import config_reference, json_schema

        print(json_schema() if args.schema else config_reference(), end="")
    elif args.config:
        print(to_json(load_config(args.config, args.overrides)), end="")
    else:
        parser.error("name a config file, --schema or --reference")
    return 0


if __name__ == "__main__":
    run_command(main)
