"""The Python API: light to import, typed, and callable regardless of how modules were imported."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import ham_keras
from ham_keras.errors import HamError

FUNCTIONS = ("train", "evaluate", "predict", "diagnose", "export", "models", "pack", "report")


def run_code(code: str) -> str:
    """The output of code run in a new interpreter."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light() -> None:
    code = "import sys; before = set(sys.modules); import ham_keras; print(*(set(sys.modules) - before))"
    imported = set(run_code(code).split())
    assert {name for name in imported if name.startswith("ham_keras")} == {
        "ham_keras",
        "ham_keras.errors",
        "ham_keras.startup",
    }
    assert {name.partition(".")[0] for name in imported} & {"numpy", "pydantic", "PIL", "tensorflow", "keras"} == set()


def test_version_matches_metadata() -> None:
    assert ham_keras.__version__ == metadata.version("ham-keras")


def test_package_has_no_version_if_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", fail)
    assert not hasattr(ham_keras, "__version__")


def test_unknown_attribute_raises() -> None:
    with pytest.raises(AttributeError, match="module 'ham_keras' has no attribute 'trian'"):
        getattr(ham_keras, "trian")  # noqa: B009


@pytest.mark.parametrize(
    "imports",
    [
        "",
        "import ham_keras.NAME",
        "from ham_keras.NAME import main",
        "from ham_keras.NAME import NAME",
        "from ham_keras import NAME",
        "import ham_keras.NAME as module",
        "import importlib; importlib.import_module('ham_keras.NAME')",
        "ham_keras.NAME; import importlib, ham_keras.NAME; importlib.reload(ham_keras.NAME)",
        "import ham_keras.NAME; import importlib; importlib.reload(ham_keras)",
    ],
)
def test_functions_are_callable_in_any_order_of_imports(imports: str) -> None:
    code = """
import ham_keras
IMPORTS
import ham_keras.prediction.folder, inspect, unittest.mock
from ham_keras.NAME import NAME as function, main
assert callable(ham_keras.NAME)
assert inspect.signature(ham_keras.NAME) == inspect.signature(function)
assert ham_keras.NAME.NAME is function and ham_keras.NAME.main is main
assert inspect.isfunction(function)
with unittest.mock.patch("ham_keras.NAME.NAME") as called:
    ham_keras.NAME("runs/base", name=3)
called.assert_called_once_with("runs/base", name=3)
"""
    run_code("".join(code.replace("IMPORTS", imports).replace("NAME", name) for name in ("train", "report")))


def test_functions_are_those_of_the_commands() -> None:
    for name in FUNCTIONS:
        module = sys.modules.get(f"ham_keras.{name}") or getattr(ham_keras, name)
        assert getattr(ham_keras, name) is module
        assert inspect.signature(getattr(ham_keras, name)) == inspect.signature(getattr(module, name))
    assert {*FUNCTIONS, "load", "HamError", "__version__"} == set(ham_keras.__all__) <= set(dir(ham_keras))
    assert ham_keras.HamError is HamError


@pytest.mark.slow
def test_type_checkers_see_the_functions(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        "import ham_keras\n"
        "reveal_type(ham_keras.train)\n"
        "reveal_type(ham_keras.evaluate)\n"
        "reveal_type(ham_keras.load('runs/base').scores)\n"
        "reveal_type(ham_keras.__version__)\n"
        "ham_keras.train(3)\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", "setup.cfg", "--cache-dir", str(tmp_path / "cache")]
    found = subprocess.run([*command, str(tmp_path / "user.py")], capture_output=True, text=True).stdout
    revealed = re.findall(r'Revealed type is "(.*)"', found)
    assert revealed[0].startswith("def (config: ham_keras.settings.Config | pathlib.Path | str, *, overrides: ")
    assert revealed[1].startswith(
        "def (folder: pathlib.Path | str | typing.Sequence[pathlib.Path | str], split: str | None ="
    )
    assert revealed[2:] == ["dict[str, dict[str, Any]]", "str"]
    assert re.search(r'user\.py:6: error: Argument 1 to "train" has incompatible type "int"', found)


def test_load_raises_if_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(HamError, match=r"not a run folder \(no config\.json\)"):
        ham_keras.load(tmp_path)


def test_train_accepts_config_file_or_shipped_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    taken: list[Any] = []

    def stop(config: Any) -> None:
        taken.append(config)
        raise HamError("enough")

    monkeypatch.setattr("ham_keras.train.with_data_root", stop)
    (tmp_path / "mine.json").write_text('{"extends": "base"}')
    for config, name in (("base", "base"), (tmp_path / "mine.json", "mine"), (ham_keras.config.Config(), None)):
        for overrides in ({"train.epochs": 7, "data.root": tmp_path}, ["train.epochs=7", f"data.root={tmp_path}"]):
            with pytest.raises(HamError, match="enough"):
                ham_keras.train(config, overrides=overrides)
            found = taken.pop()
            assert (found.train.epochs, found.data.root, found.run.name) == (7, str(tmp_path), name)
            assert found.data.sample == (None if name is None else 4000)
    config = ham_keras.config.Config()
    with pytest.raises(HamError, match="enough"):
        ham_keras.train(config)
    assert taken.pop() is config
