"""Errors for lack of memory in one line with the way out."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ham_keras.errors import OutOfMemoryError
from ham_keras.models.memory import explaining_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((10**6, 10**6), np.dtype(float)),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nwith shape [64]"),
    ],
)
def test_lack_of_memory_is_one_line_with_advice(error: Exception) -> None:
    explained = pytest.raises(OutOfMemoryError, match=r"^out of memory: [^\n]*; lower train\.batch_size$")
    with explained, explaining_memory("lower train.batch_size"):
        raise error


def test_full_disk_is_not_taken_for_lack_of_memory() -> None:
    full = tf.errors.ResourceExhaustedError(None, None, "a/b; No space left on device")
    with pytest.raises(tf.errors.ResourceExhaustedError), explaining_memory("lower train.batch_size"):
        raise full
