"""Choose the precision to train with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from ham_keras.models.devices import chosen_gpus

# Otherwise GPUs round the factors of float32 products to 10 bits, and scores differ from those of a CPU.
tf.config.experimental.enable_tensor_float_32_execution(False)

TENSOR_CORES = (7, 0)  # CUDA compute capability
BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


def choose_precision(name: str, devices: Sequence[str] | None = None) -> str:
    """Return the Keras dtype policy for `train.precision`; "auto" depends on the hardware of `train.devices`.

    auto: mixed_float16 if every GPU has tensor cores; mixed_bfloat16 on a CPU with bf16 instructions; float32
    otherwise. Only training uses half precision.
    """
    if name != "auto":
        return name
    gpus = chosen_gpus(devices)
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        capable = all(detail.get("compute_capability", (0, 0)) >= TENSOR_CORES for detail in details)
        return "mixed_float16" if capable else "float32"
    return "mixed_bfloat16" if cpu_flags() & BF16_FLAGS else "float32"


def cpu_flags() -> set[str]:
    """Return the instruction sets that Linux reports for the first core; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), []))


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Set the Keras dtype policy, and restore the previous one on exit."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)
