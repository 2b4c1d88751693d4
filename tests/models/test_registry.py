"""Names that are read from sources, and functions that are imported when they are asked for."""

from __future__ import annotations

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


def test_names_are_read_without_importing(package: str) -> None:
    things = Registry("THINGS", package)
    assert things.names() == ["first", "second"]
    assert f"{package}.one" not in sys.modules
    assert Registry("THINGS", f"{package}.one").names() == ["first", "second"]


def test_get_imports_the_one_module(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "one.py").write_text(
        "from registered_things import THINGS\n@THINGS.register('first')\ndef build_first(): return 1\n"
    )
    (tmp_path / package / "__init__.py").write_text(
        f"from ham_keras.models.registry import Registry\nTHINGS = Registry('THINGS', {package!r})\n"
    )
    things = __import__(package).THINGS
    assert things.get("first")() == 1
    assert f"{package}.one" in sys.modules and f"{package}.two" not in sys.modules


def test_a_users_own_is_known_at_once_to_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ARCHITECTURES, "_functions", dict(ARCHITECTURES._functions))
    with pytest.raises(HamError, match=r"model\.architecture: is unknown; known are fpn, linknet, unet, got \"mine\""):
        parse_config({"model": {"architecture": "mine"}}, "test")

    @ARCHITECTURES.register("mine")
    def build_mine() -> None: ...

    assert parse_config({"model": {"architecture": "mine"}}, "test").model.architecture == "mine"
    assert ARCHITECTURES.get("mine") is build_mine
    assert '"mine"' in json_schema()


def test_a_name_is_registered_once(package: str) -> None:
    things = Registry("THINGS", package)
    things.register("name")(test_names_are_read_without_importing)
    with pytest.raises(ValueError, match=r"'name' is registered already, by .*test_names_are_read"):
        things.register("name")(test_a_name_is_registered_once)


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"^is unknown; did you mean dice_bce[?] known are dice, dice_bce, focal"):
        LOSSES.get("dicebce")


def test_the_package_registers_what_its_names_say_and_no_tensorflow_is_needed_for_them() -> None:
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
    assert done.stdout.startswith("[['fpn', 'linknet', 'unet'], ['dice', 'dice_bce', 'focal', 'jaccard']")
