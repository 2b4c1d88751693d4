"""Which arithmetic to train in, and on how many devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

TENSOR_CORES = (7, 0)  # CUDA compute capability
BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


def choose_precision(name: str) -> str:
    """The Keras dtype policy for `train.precision`; "auto" looks at the machine.

    auto: mixed_float16 where every GPU has tensor cores; mixed_bfloat16 on a CPU with bf16
    instructions; float32 elsewhere. Half precision is for training: everything else is float32.
    """
    if name != "auto":
        return name
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        capable = all(detail.get("compute_capability", (0, 0)) >= TENSOR_CORES for detail in details)
        return "mixed_float16" if capable else "float32"
    return "mixed_bfloat16" if cpu_flags() & BF16_FLAGS else "float32"


def cpu_flags() -> set[str]:
    """Instruction sets that Linux reports of the first core; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), []))


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Build layers under this Keras dtype policy, then put the former one back."""
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(former)


def build_strategy(devices: Sequence[str] | None = None) -> tf.distribute.Strategy:
    """MirroredStrategy over these devices, or over all GPUs where there are several; else the default."""
    names = devices or [device.name for device in tf.config.list_logical_devices("GPU")]
    return tf.distribute.MirroredStrategy(list(names)) if len(names) > 1 else tf.distribute.get_strategy()


def describe_device() -> str:
    """What the run is computed on, for environment.json."""
    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    return ", ".join(names) or "CPU"
