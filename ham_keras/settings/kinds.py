"""Types of settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ham_keras.models.backbones import SUPPORTED_BACKBONES
from ham_keras.models.registry import ARCHITECTURES, LOSSES, check_name

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A section of the config. Unknown keys are errors, and values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


def _pair(size: Any) -> Any:
    return [size, size] if isinstance(size, int) and not isinstance(size, bool) else size


class WrittenFloat(float):
    """A number that knows how it was written, for settings that are text: 1.10 is not 1.1."""

    written: str

    @classmethod
    def parse(cls, text: str) -> WrittenFloat:
        number = cls(text)
        number.written = text
        return number


def to_plain(value: Any) -> Any:
    """Replace each `WrittenFloat` in JSON content by a float, for settings of any type."""
    if isinstance(value, list):
        return [to_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: to_plain(each) for key, each in value.items()}
    return float(value) if isinstance(value, WrittenFloat) else value


def to_text(value: Any) -> Any:
    """Accept paths, and names that an override parses as numbers."""
    if isinstance(value, WrittenFloat):
        return value.written
    return str(value) if isinstance(value, Path | int | float) and not isinstance(value, bool) else value


ImageSize = Annotated[
    list[Annotated[int, Field(ge=32, le=4096, multiple_of=32)]],
    Field(min_length=2, max_length=2),
    BeforeValidator(_pair),
]
Text = Annotated[str, Field(min_length=1), BeforeValidator(to_text)]


def _one_of(names: Callable[[], list[str]]) -> Any:
    """Add names to the JSON Schema as `enum`; `names` is called when the schema is generated."""

    def add_names(schema: dict[str, Any]) -> None:
        schema["enum"] = names()

    return Field(json_schema_extra=add_names)


def _backbones() -> list[str]:
    return list(SUPPORTED_BACKBONES)


_known_backbone = partial(
    check_name, known=_backbones(), problem="is not one of those that build and reload under Keras 3"
)
Backbone = Annotated[str, AfterValidator(_known_backbone), _one_of(_backbones)]
Architecture = Annotated[str, AfterValidator(ARCHITECTURES.check), _one_of(ARCHITECTURES.names)]
Loss = Annotated[str, AfterValidator(LOSSES.check), _one_of(LOSSES.names)]


def _check_file_name(name: str) -> str:
    if not name or "/" in name or name.startswith("."):
        raise ValueError("expected a name without slashes and without a leading dot")
    return name


def _of_one_kind(devices: list[str]) -> list[str]:
    if len(set(devices)) < len(devices):
        raise ValueError("expected each device once")
    if len({name[:3] for name in devices}) > 1:
        raise ValueError("expected GPUs or CPUs, not both")
    return devices


DEVICE = r"^(GPU|CPU):(0|[1-9][0-9]*)$"


def _check_devices(devices: object) -> object:
    if not isinstance(devices, list) or not all(isinstance(name, str) and re.match(DEVICE, name) for name in devices):
        raise ValueError('expected a list of devices, e.g. ["GPU:0"] or ["CPU:0"]')
    return devices


Device = Annotated[str, Field(pattern=DEVICE)]
Devices = Annotated[list[Device], Field(min_length=1), BeforeValidator(_check_devices), AfterValidator(_of_one_kind)]
Name = Annotated[str, BeforeValidator(to_text), AfterValidator(_check_file_name)]
