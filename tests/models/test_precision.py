"""Precision chosen for different hardware, and dtype policies."""

from __future__ import annotations

from typing import Any

import keras
import pytest
import tensorflow as tf

from ham_keras.models import precision
from ham_keras.models.precision import choose_precision, dtype_policy


@pytest.mark.parametrize(
    ("capabilities", "flags", "expected"),
    [
        ([], {"avx512_bf16"}, "mixed_bfloat16"),
        ([], {"amx_bf16", "avx2"}, "mixed_bfloat16"),
        ([], {"avx2"}, "float32"),
        ([(7, 0)], {"amx_bf16"}, "mixed_float16"),
        ([(9, 0), (6, 1)], {"amx_bf16"}, "float32"),
    ],
)
def test_auto_precision_depends_on_hardware(
    monkeypatch: pytest.MonkeyPatch, capabilities: list[Any], flags: set[str], expected: str
) -> None:
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: capabilities)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": gpu})
    monkeypatch.setattr(precision, "cpu_flags", lambda: flags)
    assert choose_precision("auto") == expected
    assert choose_precision("float32") == "float32"
    on_the_cpu = "mixed_bfloat16" if flags & precision.BF16_FLAGS else "float32"
    assert choose_precision("auto", ["CPU:0"]) == on_the_cpu


def test_dtype_policy_is_restored_after_an_error() -> None:
    with pytest.raises(RuntimeError), dtype_policy("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        raise RuntimeError
    assert keras.config.dtype_policy().name == "float32"
