"""Adam and AdamW with TensorFlow's fused operations, and the learning rate schedule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from ham_keras.config import Config
from ham_keras.settings import Train


@keras.saving.register_keras_serializable("ham_keras")
class Adam(keras.optimizers.Adam):
    """Keras' Adam (Kingma and Ba 2015), updating each variable in one pass.

    Keras uses ten operations per update, each a pass over all weights and moments: a tenth of a step in bfloat16, see
    benchmarks/training_step.py. `amsgrad`, sparse gradients and half precision weights are not supported.
    `global_clipnorm` clips the sum of the gradients of all devices; Keras clips the gradients of each device.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, tf.float32),
        )

    def _clip_gradients(self, grads: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        return grads if self.global_clipnorm else super()._clip_gradients(grads)

    def _all_reduce_sum_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        summed = super()._all_reduce_sum_gradients(grads_and_vars)
        if not self.global_clipnorm:
            return summed
        clipped, _ = tf.clip_by_global_norm([gradient for gradient, _ in summed], self.global_clipnorm)
        return [(gradient, variable) for gradient, (_, variable) in zip(clipped, summed, strict=True)]


@keras.saving.register_keras_serializable("ham_keras")
class AdamW(Adam, keras.optimizers.AdamW):
    """Keras' AdamW (Loshchilov and Hutter 2019) in two passes.

    One-dimensional weights, which are biases and those of BatchNormalization, do not decay.
    """

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if not self.built:
            self.exclude_from_weight_decay(var_list=[variable for variable in variables if len(variable.shape) < 2])
        super().build(variables)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        if self._use_weight_decay(variable):
            rate = tf.cast(learning_rate, tf.float32) * self.weight_decay
            tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=variable)
        super().update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        """Does nothing: `update_step` applies the decay."""


def build_optimizer(settings: Train, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Build the optimizer of the settings, with its learning rate schedule."""
    rate: Any = settings.learning_rate
    schedule = settings.schedule
    if schedule.name == "cosine" or schedule.warmup_epochs:
        warmup_steps = round(schedule.warmup_epochs * steps_per_epoch)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup_steps else settings.learning_rate,
            decay_steps=max(1, settings.epochs * steps_per_epoch - warmup_steps),
            alpha=0.0 if schedule.name == "cosine" else 1.0,  # decaying to 1 times the peak keeps the rate constant
            warmup_target=settings.learning_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    options = {"epsilon": settings.adam_epsilon, "global_clipnorm": settings.clip_norm}
    if settings.optimizer == "adamw":
        return AdamW(rate, weight_decay=settings.weight_decay, **options)
    return Adam(rate, **options)


def remaining_schedule(config: Config, done: int) -> Config:
    """The config for the epochs after `done`; a warm-up takes at most these."""
    epochs = max(1, config.train.epochs - done)
    warmup = min(config.train.schedule.warmup_epochs, epochs)
    schedule = config.train.schedule.model_copy(update={"warmup_epochs": warmup})
    train = config.train.model_copy(update={"epochs": epochs, "schedule": schedule})
    return config.model_copy(update={"train": train})
