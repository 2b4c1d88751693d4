"""Architectures and losses by name; the names are known without importing TensorFlow.

    @ARCHITECTURES.register("unet")
    def build_unet(settings: Model) -> Network: ...

is all that adds one: config, JSON Schema, reference and tests take the names from here.
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
    """Functions registered by decorator in one module or package, or by a user's own code at run time.

    Args:
        variable: the name of this registry in the sources, e.g. "LOSSES".
        place: the module or package whose files register, e.g. "ham_keras.training.losses". Its sources are parsed, not
            imported; `get` imports the one file that a name is in.
    """

    def __init__(self, variable: str, place: str) -> None:
        self.variable = variable
        self.place = place
        self._functions: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Function], Function]:
        """Decorator: the function is found by this name.

        Raises:
            ValueError: another function has this name.
        """

        def registered(function: Function) -> Function:
            former = self._functions.setdefault(name, function)
            if (former.__module__, former.__qualname__) != (function.__module__, function.__qualname__):
                raise ValueError(f"{name!r} is registered already, by {former.__module__}.{former.__qualname__}")
            self._functions[name] = function  # of a module that was loaded again
            return function

        return registered

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._modules, *self._functions})

    def get(self, name: str) -> Callable[..., Any]:
        """The function of this name; imports its module.

        Raises:
            ValueError: the name is unknown.
        """
        if name not in self._functions:
            importlib.import_module(self._modules[self.check(name)])
        return self._functions[name]

    def check(self, name: str) -> str:
        """The name itself.

        Raises:
            ValueError: the name is unknown; names the nearest one.
        """
        return check_name(name, self.names(), "is unknown")

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Names in the sources, with their modules."""
        return {name: module for module, path in self._sources() for name in _registered_in(path, self.variable)}

    def _sources(self) -> Iterator[tuple[str, Path]]:
        spec = importlib.util.find_spec(self.place)
        assert spec is not None and spec.origin is not None, self.place
        yield self.place, Path(spec.origin)
        for folder in spec.submodule_search_locations or ():
            for path in sorted(Path(folder).glob("*.py")):
                if path.stem != "__init__":
                    yield f"{self.place}.{path.stem}", path


def _registered_in(path: Path, variable: str) -> Iterator[str]:
    """The names in `@VARIABLE.register("name")` decorators of a file's functions."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for decorator in node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else ():
            match decorator:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=owner), attr="register"), args=[ast.Constant(value=str(name))]
                ) if owner == variable:
                    yield name


def check_name(name: str, known: list[str], problem: str) -> str:
    """The name itself, where it is known.

    Raises:
        ValueError: with the problem, the nearest of the known names and all of them.
    """
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, 1, 0.7)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ValueError(f"{problem}; {hint}known are {', '.join(known)}")


ARCHITECTURES = Registry("ARCHITECTURES", "ham_keras.models.architectures")
LOSSES = Registry("LOSSES", "ham_keras.training.losses")
