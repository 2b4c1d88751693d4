"""Registry: names are read from source files, functions are imported on request."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ham_keras.config import parse_config
from ham_keras.errors import HamError
from ham_keras.models.registry import ARCHITECTURES, LOSSES, Registry
from ham_keras.reference.schema import json_schema

SOURCE = """
from somewhere import THINGS
raise AssertionError("imported")
@THINGS.register("first")
def build_first(): ...
@other
@THINGS.register("second")
def build_second(): ...
@OTHERS.register("third")
def build_third(): ...
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = tmp_path / "registered_things"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "one.py").write_text(SOURCE)
    (folder / "two.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "registered_things"
    for name in [name for name in sys.modules if name.startswith("registered_things")]:
        del sys.modules[name]


def test_names_are_listed_without_import(package: str) -> None:
    things = Registry("THINGS", package)
    assert things.names() == ["first", "second"]
    assert f"{package}.one" not in sys.modules
    assert Registry("THINGS", f"{package}.one").names() == ["first", "second"]


def test_get_imports_only_the_module_of_the_name(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "one.py").write_text(
        "from registered_things import THINGS\n@THINGS.register('first')\ndef build_first(): return 1\n"
    )
    (tmp_path / package / "__init__.py").write_text(
        f"from ham_keras.models.registry import Registry\nTHINGS = Registry('THINGS', {package!r})\n"
    )
    things = __import__(package).THINGS
    assert things.get("first")() == 1
    assert f"{package}.one" in sys.modules and f"{package}.two" not in sys.modules


def test_user_architecture_is_accepted_by_config_and_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ARCHITECTURES, "_functions", dict(ARCHITECTURES._functions))
    with pytest.raises(
        HamError, match=r"model\.architecture: is unknown; known are fpn, linknet, mfsnet, unet, got \"mine\""
    ):
        parse_config({"model": {"architecture": "mine"}}, "test")

    @ARCHITECTURES.register("mine")
    def build_mine() -> None: ...

    assert parse_config({"model": {"architecture": "mine"}}, "test").model.architecture == "mine"
    assert ARCHITECTURES.get("mine") is build_mine
    assert '"mine"' in json_schema()


def test_duplicate_name_is_an_error(package: str) -> None:
    things = Registry("THINGS", package)
    things.register("name")(test_names_are_listed_without_import)
    with pytest.raises(ValueError, match=r"'name' is already registered by .*test_names_are_listed"):
        things.register("name")(test_duplicate_name_is_an_error)


def test_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(
        ValueError,
        match=r"^is unknown; did you mean dice_bce[?] known are bce, boundary_jaccard_bce, dice, dice_bce, focal",
    ):
        LOSSES.get("dicebce")


def test_all_listed_names_are_registered_and_listing_does_not_import_keras() -> None:
    code = (
        "import sys\nimport ham_keras.settings\nfrom ham_keras.models.registry import ARCHITECTURES, LOSSES\n"
        "names = [registry.names() for registry in (ARCHITECTURES, LOSSES)]\nassert 'keras' not in sys.modules\n"
        "for registry in (ARCHITECTURES, LOSSES):\n"
        "    assert all(registry.get(name) for name in registry.names())\n"
        "    assert sorted(registry._functions) == registry.names()\n"
        "print(names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    architectures, losses = ast.literal_eval(done.stdout)
    assert {"fpn", "linknet", "unet"} <= set(architectures) and {"dice", "dice_bce", "focal", "jaccard"} <= set(losses)
