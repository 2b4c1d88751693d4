"""The recorded machine and package versions."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from ham_keras import environment as module
from ham_keras.environment import available_memory_bytes, cpu_threads, describe_environment, without_paths


def test_environment_names_versions_and_command() -> None:
    environment = describe_environment("CPU", "float32")
    assert environment["packages"]["tensorflow"].startswith("2.21")
    assert environment["packages"]["segmentation-models"] == "1.0.1"
    assert environment["command"].startswith("python")
    assert environment["cpu_threads"] >= 1


@pytest.mark.parametrize("folder", ["benchmarks/results", "docs", "ham_keras/shipped"])
def test_committed_environments_hold_no_absolute_paths(folder: str) -> None:
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).rglob("*.json")]
    recorded = [each["environment"] for each in contents if isinstance(each, dict) and "environment" in each]
    recorded += [each for each in contents if isinstance(each, dict) and "command" in each]
    assert recorded and all(without_paths(each) == each for each in recorded)


def test_command_holds_no_absolute_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["python", "-m", "ham_keras.train", "configs/base.json", "data.root=/home/me/HAM10000", "run.name=a"]
    monkeypatch.setattr("sys.orig_argv", command)
    found = describe_environment("CPU", "float32")
    assert found["command"].endswith("-m ham_keras.train configs/base.json data.root=HAM10000 run.name=a")
    assert "/home" not in json.dumps(found) and socket.gethostname() not in json.dumps(found)


def test_products_of_float32_are_not_rounded_and_this_is_recorded() -> None:
    from ham_keras.models import precision

    assert precision.tf.config.experimental.tensor_float_32_execution_enabled() is False
    assert describe_environment("GPU", "float32")["tensor_float_32"] is False


def test_threads_are_those_of_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 5, 7})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cpu_threads() == 3
    sources = Path(module.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if "os.cpu_count()" in path.read_text()] == ["environment.py"]


def test_available_memory_is_limited_by_the_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONTROL_GROUP", tmp_path)
    free = available_memory_bytes()
    assert free is None or free > 1_000_000
    for name, text in (("max", "9000\n"), ("current", "5000\n"), ("stat", "anon 1\ninactive_file 500\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    if free is not None:
        assert available_memory_bytes() == 4500
        (tmp_path / "memory.max").write_text("max\n")
        assert available_memory_bytes() > 1_000_000


@pytest.mark.parametrize(
    ("text", "shortened"),
    [
        ("/home/me/data/HAM10000", "HAM10000"),
        ("m /home/me/base.json data.root=/mnt/x/HAM run.dir=~/runs", "m base.json data.root=HAM run.dir=runs"),
        ("python -m t '/home/my name/base.json' 'data.root=/mnt/a b/HAM'", "python -m t base.json data.root=HAM"),
        ("95% / 2.5% / 2.5% of all", "95% / 2.5% / 2.5% of all"),
        ("https://a.b/c, configs/base.json", "https://a.b/c, configs/base.json"),
        ('"></script>', '"></script>'),
    ],
)  # fmt: skip
def test_absolute_paths_are_shortened(text: str, shortened: str) -> None:
    assert without_paths({"a": [text, 1, None]}) == {"a": [shortened, 1, None]}
