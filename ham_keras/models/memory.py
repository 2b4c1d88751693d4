"""Explain errors for lack of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from ham_keras.errors import OutOfMemoryError


@contextmanager
def explaining_memory(advice: str) -> Iterator[None]:
    """Raise an error for lack of memory, of this machine or of a GPU, as an error with `advice`.

    Raises:
        OutOfMemoryError: instead of TensorFlow's, NumPy's or Python's own error.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        if "No space left" in str(error):  # TensorFlow's error for a full disk
            raise
        raise OutOfMemoryError(f"out of memory: {first_line(error)}; {advice}") from None


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its name if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
