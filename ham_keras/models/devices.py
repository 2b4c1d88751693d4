"""Choose, name and look for the devices to train on."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import tensorflow as tf

from ham_keras.errors import SettingError, warn

NVIDIA_DRIVER = Path("/proc/driver/nvidia/gpus")
INSTALL = "pip install 'tensorflow[and-cuda]', which is the extra gpu"


def device_names(kind: str | None = None) -> list[str]:
    """TensorFlow's devices as `train.devices` names them, GPUs first: ["GPU:0", "CPU:0"]; or those of one kind."""
    kinds = ("GPU", "CPU") if kind is None else (kind,)
    return [_short(device.name) for kind in kinds for device in tf.config.list_logical_devices(kind)]


def check_devices(devices: Sequence[str] | None) -> None:
    """Check that the devices of `train.devices` exist.

    Raises:
        SettingError: one does not; names those that there are.
    """
    known = device_names() if devices else []
    for name in devices or ():
        if name not in known:
            raise SettingError("train.devices", f"no {name} here; there are {', '.join(known)}")


def build_strategy(devices: Sequence[str] | None = None) -> tf.distribute.Strategy:
    """Return the strategy that trains on these devices, or on all GPUs: a MirroredStrategy if they are several.

    Raises:
        SettingError: see `check_devices`.
    """
    check_devices(devices)
    names = list(devices or device_names("GPU"))
    if len(names) > 1:
        return _mirrored(*names)
    default = [*device_names("GPU"), "CPU:0"][0]  # where TensorFlow runs what has no device
    if not names or names[0] == default:
        return tf.distribute.get_strategy()
    return tf.distribute.OneDeviceStrategy(f"/{names[0]}")


@functools.cache  # another strategy would number its exchanges from the start, and confuse them with those of the first
def _mirrored(*names: str) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(names)


def first_device(strategy: tf.distribute.Strategy) -> AbstractContextManager[None]:
    """A context that runs operations on the strategy's first device; does nothing for the default strategy."""
    return tf.device(_worker_devices(strategy)[0]) if _has_devices(strategy) else nullcontext()


def on_cpus() -> bool:
    """Whether the network that is being traced runs on CPUs: on those of the current strategy, or without a GPU."""
    strategy = tf.distribute.get_strategy()
    if _has_devices(strategy):
        return all("CPU" in name for name in _worker_devices(strategy))
    return not tf.config.list_logical_devices("GPU")


def _has_devices(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MirroredStrategy | tf.distribute.OneDeviceStrategy)


def _worker_devices(strategy: tf.distribute.Strategy) -> list[str]:
    return list(strategy.extended.worker_devices)


def _short(name: str) -> str:
    """ "GPU:0" for "/device:GPU:0" or "/job:localhost/replica:0/task:0/device:GPU:0"."""
    return ":".join(name.split(":")[-2:])


def chosen_gpus(devices: Sequence[str] | None = None) -> list[tf.config.PhysicalDevice]:
    """The GPUs that training on these devices uses, or all; empty for CPUs. Does not initialise a GPU."""
    gpus = tf.config.get_visible_devices("GPU")
    if devices is None:
        return gpus
    indices = [int(name.partition(":")[2]) for name in devices if name.startswith("GPU")]
    if any(index >= len(gpus) for index in indices):  # one card split into several devices
        return gpus
    return [gpus[index] for index in indices]


def describe_device(devices: Sequence[str] | None = None) -> str:
    """The names of the GPUs among these devices, or of all GPUs; "CPU" without one. For environment.json."""
    gpus = chosen_gpus(devices)
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    return ", ".join(names) or "CPU"


def warn_about_idle_gpu(devices: Sequence[str] | None = None) -> None:
    """Warn if the system has an NVIDIA card that TensorFlow does not see, unless it was hidden or CPUs were chosen."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if devices is not None or hidden or tf.config.list_physical_devices("GPU"):
        return
    if cards := nvidia_cards():
        warn(f"{', '.join(cards)}: not visible to TensorFlow, which trains on the CPU; {INSTALL}")


def nvidia_cards() -> list[str]:
    """The names of the NVIDIA cards that the driver reports, or `nvidia-smi` where the driver has no such files."""
    found = []
    for path in sorted(NVIDIA_DRIVER.glob("*/information")):
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            continue
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    program = shutil.which("nvidia-smi")
    if found or program is None:
        return found
    try:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, errors="replace", timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.splitlines() if done.returncode == 0 else []  # "GPU 0: Tesla T4 (UUID: GPU-...)"
    return [line.partition(":")[2].partition(" (UUID")[0].strip() for line in lines if line.startswith("GPU ")]
