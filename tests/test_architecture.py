"""Import rules: wings import no commands, commands do not import each other, imports are not circular."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ham_keras"
FOUNDATION = (
    "startup", "errors", "files", "models.backbones", "models.registry", "settings", "config", "environment", "runs",
    "crossval_folder", "reference",
)  # fmt: skip
# Each wing may import itself and the ones before it.
WINGS = (
    "preprocessing",
    "data",
    "models",
    "training",
    "scores",
    "trust",
    "prediction",
    "serving",
    "reports",
    "experiments",
    "diagnosis",
    "search",
    "demo",
)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


SOURCES = {
    module_name(path): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__main__.py"  # starts the commands
}
COMMANDS = {name for name, text in SOURCES.items() if text.rstrip().endswith("run_command(main)")} - {"config"}


def imported(name: str) -> set[str]:
    """The modules of the package that a module imports anywhere, without `ham_keras.`."""
    found = set()
    for node in ast.walk(ast.parse(SOURCES[name])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {each for each in whole if each.removeprefix("ham_keras.") in SOURCES}
            found |= modules or {node.module}
    return {each.removeprefix("ham_keras.") for each in found if each.startswith("ham_keras.")}


def layer(name: str) -> int:
    """A module's position in the order of imports: the foundation first, the commands last."""
    if name in COMMANDS:
        return len(FOUNDATION) + len(WINGS)
    for place, prefix in enumerate(FOUNDATION):
        if name == prefix or name.startswith(f"{prefix}."):
            return place
    return len(FOUNDATION) + WINGS.index(name.partition(".")[0])


@pytest.mark.parametrize("name", sorted(set(SOURCES) - COMMANDS - {""}))
def test_imports_point_one_way(name: str) -> None:
    later = {each for each in imported(name) if layer(each) > layer(name)}
    assert later - ({"reference.schema"} if name == "config" else set()) == set()  # the config's own command prints it


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_commands_do_not_import_each_other(name: str) -> None:
    assert imported(name) & COMMANDS == set()


def test_every_module_has_a_layer_and_at_most_250_lines() -> None:
    assert {name for name in SOURCES if name and layer(name) < 0} == set()
    assert {name: lines for name, text in SOURCES.items() if (lines := text.count("\n")) > 250} == {}
