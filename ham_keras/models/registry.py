"""Architectures and losses by name; listing the names does not import TensorFlow.

    @ARCHITECTURES.register("unet")
    def build_unet(settings: Model) -> Network: ...

adds an architecture. Config, JSON Schema, reference and tests read the names from here.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class Registry:
    """Functions registered with a decorator, in a module or package of the source or by user code at run time.

    Args:
        variable: the name of this registry in the sources, e.g. "LOSSES".
        location: the module or package that registers functions, e.g. "ham_keras.training.losses". Its source is
            parsed, not imported; `get` imports only the file that registers the requested name.
    """

    def __init__(self, variable: str, location: str) -> None:
        self.variable = variable
        self.location = location
        self._functions: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Function], Function]:
        """Return a decorator that registers a function under this name.

        Raises:
            ValueError: another function is registered under this name.
        """

        def decorator(function: Function) -> Function:
            existing = self._functions.setdefault(name, function)
            if (existing.__module__, existing.__qualname__) != (function.__module__, function.__qualname__):
                raise ValueError(f"{name!r} is already registered by {existing.__module__}.{existing.__qualname__}")
            self._functions[name] = function  # the new one, if its module was reloaded
            return function

        return decorator

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted({*self._modules, *self._functions})

    def get(self, name: str) -> Callable[..., Any]:
        """Return the function registered under this name; imports its module.

        Raises:
            ValueError: the name is unknown.
        """
        if name not in self._functions:
            importlib.import_module(self._modules[self.check(name)])
        return self._functions[name]

    def check(self, name: str) -> str:
        """Return the name if it is registered.

        Raises:
            ValueError: the name is unknown; suggests the closest one.
        """
        return check_name(name, self.names(), "is unknown")

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Names registered in the source, with their modules."""
        return {name: module for module, path in self._sources() for name in _registered_in(path, self.variable)}

    def _sources(self) -> Iterator[tuple[str, Path]]:
        spec = importlib.util.find_spec(self.location)
        assert spec is not None and spec.origin is not None, self.location
        yield self.location, Path(spec.origin)
        for folder in spec.submodule_search_locations or ():
            for path in sorted(Path(folder).glob("*.py")):
                if path.stem != "__init__":
                    yield f"{self.location}.{path.stem}", path


def _registered_in(path: Path, variable: str) -> Iterator[str]:
    """Yield the names in the `@VARIABLE.register("name")` decorators of a file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for decorator in node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else ():
            match decorator:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=owner), attr="register"), args=[ast.Constant(value=str(name))]
                ) if owner == variable:
                    yield name


def check_name(name: str, known: list[str], problem: str) -> str:
    """Return the name if it is known.

    Raises:
        ValueError: states the problem, the closest known name and all known names.
    """
    if name in known:
        return name
    closest = difflib.get_close_matches(name, known, 1, 0.7)
    hint = f"did you mean {closest[0]}? " if closest else ""
    raise ValueError(f"{problem}; {hint}known are {', '.join(known)}")


ARCHITECTURES = Registry("ARCHITECTURES", "ham_keras.models.architectures")
LOSSES = Registry("LOSSES", "ham_keras.training.losses")
