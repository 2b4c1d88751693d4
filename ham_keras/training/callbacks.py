"""User callbacks: training calls `fit` once per epoch, and the callbacks see a single training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras

# Hooks forwarded from fit and evaluate. The training loop calls the others: once per training, or after validation.
FORWARDED_HOOKS = (
    "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_test_begin", "on_test_end",
    "on_test_batch_begin", "on_test_batch_end",
)  # fmt: skip


class UserCallbacks:
    """Keras callbacks that see one training: `model` is the network in training, epochs are numbered consecutively.

    Attributes:
        forwarders: pass them to fit and evaluate as `callbacks`; empty if there are no user callbacks.
    """

    def __init__(
        self, callbacks: Sequence[keras.callbacks.Callback], model: keras.Model, epochs: int, steps: int
    ) -> None:
        self._model = model
        self._callbacks = keras.callbacks.CallbackList(
            list(callbacks), model=model, epochs=epochs, steps=steps, verbose=0
        )
        forwarder = keras.callbacks.Callback()
        for hook in FORWARDED_HOOKS:
            setattr(forwarder, hook, getattr(self._callbacks, hook))
        self.forwarders = [forwarder] if callbacks else []

    def begin(self) -> None:
        """Call when training starts or continues."""
        self._callbacks.on_train_begin()

    def end_epoch(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Call after training and validating an epoch, counted from 0; returns whether a callback requested a stop."""
        self._callbacks.on_epoch_end(epoch, dict(logs))
        return bool(self._model.stop_training)

    def end(self, logs: Mapping[str, float]) -> None:
        """Call when training has ended, with the logs of the last epoch."""
        self._callbacks.on_train_end(dict(logs))
