"""Devices to train on, and warnings about those that are not used, on systems that are faked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from ham_keras.errors import SettingError
from ham_keras.models import devices
from ham_keras.models.devices import (
    build_strategy,
    check_devices,
    chosen_gpus,
    describe_device,
    device_names,
    nvidia_cards,
    on_cpus,
    warn_about_idle_gpu,
)

LISTING = "GPU 0: Tesla T4 (UUID: GPU-1)\nGPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-2)\n"


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow lists two GPUs and the CPU."""
    found = {
        kind: [SimpleNamespace(name=f"/device:{kind}:{number}") for number in range(count)]
        for kind, count in (("GPU", 2), ("CPU", 1))
    }
    for function in ("list_physical_devices", "list_logical_devices", "get_visible_devices"):
        monkeypatch.setattr(tf.config, function, lambda kind: found[kind])
    details = {"/device:GPU:0": {"device_name": "Tesla T4"}, "/device:GPU:1": {}}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details[gpu.name])


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The driver reports a card, and CUDA_VISIBLE_DEVICES, which the tests set, does not hide it."""
    information = tmp_path / "0000:01:00.0" / "information"
    information.parent.mkdir()
    information.write_text("Model: \t\t Tesla T4\nIRQ:   \t\t 11\n")
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")


def test_devices_are_named_as_in_the_config(two_gpus: None) -> None:
    assert device_names() == ["GPU:0", "GPU:1", "CPU:0"]
    check_devices(None)
    check_devices(["GPU:1", "GPU:0"])
    with pytest.raises(SettingError, match=r"^train\.devices: no GPU:2 here; there are GPU:0, GPU:1, CPU:0$"):
        check_devices(["GPU:0", "GPU:2"])


def test_chosen_gpus_are_described(two_gpus: None) -> None:
    assert describe_device() == "Tesla T4, /device:GPU:1"
    assert describe_device(["GPU:0"]) == "Tesla T4"
    assert describe_device(["CPU:0"]) == "CPU"
    assert [gpu.name for gpu in chosen_gpus(["GPU:1"])] == ["/device:GPU:1"]
    assert len(chosen_gpus(["GPU:2"])) == 2  # one of several that share a card


def test_one_device_needs_no_strategy() -> None:
    default = tf.distribute.get_strategy()
    assert build_strategy() is default and build_strategy(["CPU:0"]) is default
    with pytest.raises(SettingError, match=r"^train\.devices: no CPU:1 here; there are CPU:0$"):
        build_strategy(["CPU:0", "CPU:1"])


def test_a_network_runs_on_cpus_without_gpus_or_in_a_strategy_of_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_cpus()
    strategy = tf.distribute.OneDeviceStrategy("/CPU:0")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["a GPU"])
    assert not on_cpus()
    with strategy.scope():
        assert on_cpus()


def test_card_that_tensorflow_does_not_see_is_a_warning(card: None, capsys: pytest.CaptureFixture[str]) -> None:
    warn_about_idle_gpu()
    line = "warning: Tesla T4: not visible to TensorFlow, which trains on the CPU; "
    assert capsys.readouterr().err == f"{line}pip install 'tensorflow[and-cuda]', which is the extra gpu\n"
    warn_about_idle_gpu(["CPU:0"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_card_is_no_warning(
    card: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hidden: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    warn_about_idle_gpu()
    assert capsys.readouterr().err == ""


def test_card_that_tensorflow_sees_is_no_warning(
    card: None, two_gpus: None, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_about_idle_gpu()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (f"cat <<'END'\n{LISTING}END", ["Tesla T4", "NVIDIA A100-SXM4-40GB"]),
        ("echo 'NVIDIA-SMI has failed'; exit 9", []),
        ("echo 'No devices found.'", []),
    ],
)
def test_cards_are_asked_of_nvidia_smi(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, expected: list[str]
) -> None:
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", tmp_path / "none")
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert nvidia_cards() == expected
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert nvidia_cards() == []


@pytest.mark.parametrize(("before", "expected"), [(None, "true"), ("false", "false")])
def test_every_command_lets_the_memory_of_a_gpu_grow_unless_told_otherwise(before: str | None, expected: str) -> None:
    """Before TensorFlow can be imported, in each process: TensorFlow reads the variable when it opens a GPU."""
    name = "TF_FORCE_GPU_ALLOW_GROWTH"
    environment = {key: value for key, value in os.environ.items() if key != name} | ({name: before} if before else {})
    code = f"import ham_keras, os, sys; print(os.environ['{name}'], 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected, "False"]
