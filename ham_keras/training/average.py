"""Averages of a model's weights: over the steps of training, and with the weights that training started from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf


class WeightAverage:
    """Exponential moving average of all weights of a model, including BatchNormalization statistics.

    average <- momentum * average + (1 - momentum) * weight after each step, starting from the initial weights.
    Momentum starts low, min(momentum, (1 + step) / (10 + step)), so that early epochs are not held back. With momentum
    0 the average is the weights of the last step.

    `swapped` uses initial_share * initial + (1 - initial_share) * average, where `initial` are values of all weights,
    by default those of the model now. Between weights before and after fine-tuning, such a mean keeps most of the
    accuracy on images like those of the first training and most of the gain on others (WiSE-FT, Wortsman et al., CVPR
    2022).
    """

    def __init__(
        self,
        model: keras.Model,
        momentum: float,
        initial_share: float = 0.0,
        initial: Sequence[npt.NDArray[np.float32]] | None = None,
    ) -> None:
        self.momentum = momentum
        self.initial_share = initial_share
        self.weights = [variable.value for variable in model.weights]
        self.averages = [tf.Variable(weight, trainable=False) for weight in self.weights]
        values = self.weights if initial is None else initial
        self.initial = [tf.Variable(value, trainable=False) for value in values] if initial_share else []
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)

    @tf.function(autograph=False)
    def update(self) -> None:
        self.steps.assign_add(1)
        steps = tf.cast(self.steps, tf.float32)
        momentum = tf.minimum(self.momentum, (1.0 + steps) / (10.0 + steps))
        for average, weight in zip(self.averages, self.weights, strict=True):
            average.assign(momentum * average + (1.0 - momentum) * weight)

    @property
    def variables(self) -> list[tf.Variable]:
        """Everything that a resumed training needs again."""
        return [*self.averages, self.steps, *self.initial]

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Use the averages as the model's weights inside the context, and restore the trained weights on exit."""
        trained = [weight.numpy() for weight in self.weights]
        for weight, average in zip(self.weights, self.averages, strict=True):
            weight.assign(average)
        for weight, initial in zip(self.weights, self.initial, strict=False):
            weight.assign(self.initial_share * initial + (1.0 - self.initial_share) * weight)
        try:
            yield
        finally:
            for weight, value in zip(self.weights, trained, strict=True):
                weight.assign(value)
