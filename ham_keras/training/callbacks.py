"""Callbacks of the user's own: a training calls `fit` once for each epoch, and this makes it look like one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras

# What fit and evaluate forward. The others are called by the loop: once a training, or after validation.
FORWARDED = (
    "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_test_begin", "on_test_end",
    "on_test_batch_begin", "on_test_batch_end",
)  # fmt: skip


class UserCallbacks:
    """Keras callbacks that see one training: `model` is the trained network, epochs are counted through.

    Attributes:
        forwarders: for the `callbacks` of fit and evaluate; empty where the user has none.
    """

    def __init__(
        self, callbacks: Sequence[keras.callbacks.Callback], model: keras.Model, epochs: int, steps: int
    ) -> None:
        self._model = model
        self._callbacks = keras.callbacks.CallbackList(
            list(callbacks), model=model, epochs=epochs, steps=steps, verbose=0
        )
        forwarder = keras.callbacks.Callback()
        for hook in FORWARDED:
            setattr(forwarder, hook, getattr(self._callbacks, hook))
        self.forwarders = [forwarder] if callbacks else []

    def begin(self) -> None:
        """A training begins, or continues."""
        self._callbacks.on_train_begin()

    def end_epoch(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """An epoch, counted from 0, was trained and validated. Returns whether a callback asked to stop."""
        self._callbacks.on_epoch_end(epoch, dict(logs))
        return bool(self._model.stop_training)

    def end(self, logs: Mapping[str, float]) -> None:
        """The training is over; logs are those of the last epoch."""
        self._callbacks.on_train_end(dict(logs))
