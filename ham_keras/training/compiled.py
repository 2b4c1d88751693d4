"""Build a network compiled with the loss, metrics and optimizer of its config."""

from __future__ import annotations

import keras
import tensorflow as tf

from ham_keras.config import Config
from ham_keras.errors import SettingError
from ham_keras.models.build import build_training_model, lesion_model
from ham_keras.models.initial_weights import load_initial_weights
from ham_keras.models.network import LESION, SupervisedModel
from ham_keras.models.precision import dtype_policy
from ham_keras.training.losses import NamedLoss
from ham_keras.training.metrics import build_metrics
from ham_keras.training.optimizer import build_optimizer


def build_compiled_model(config: Config, precision: str, steps_per_epoch: int) -> keras.Model:
    """Build and compile the network of a config under this Keras dtype policy.

    Raises:
        HamError: encoder or initial weights are not available or do not fit, or the architecture does not support deep
            supervision; or several devices are to train a step compiled with XLA, which TensorFlow cannot.
    """
    settings = config.model
    if config.train.jit_compile and tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise SettingError("train.jit_compile", "works on one device; set it to false, or train.devices to one")
    keras.utils.set_random_seed(config.train.seed)
    with dtype_policy(precision):
        if settings.initial_weights is None:
            model = build_training_model(settings)
        else:
            model = build_training_model(settings.model_copy(update={"encoder_weights": None}))
            load_initial_weights(lesion_model(model), settings)
        loss, metrics = NamedLoss(config.train.loss), build_metrics(config.outline.threshold)
        optimizer = build_optimizer(config.train, steps_per_epoch)
        if precision == "mixed_float16":  # `compile` also wraps it, but then `model.save` loses the wrapper
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
        if isinstance(model, SupervisedModel):
            model.compile(
                optimizer,
                loss={LESION: loss} | {side.name: NamedLoss(side.loss or config.train.loss) for side in model.sides},
                loss_weights={LESION: 1.0} | {side.name: side.weight for side in model.sides},
                metrics={LESION: metrics},
                jit_compile=config.train.jit_compile,
            )
        else:
            model.compile(optimizer, loss=loss, metrics=metrics, jit_compile=config.train.jit_compile)
    model.optimizer.build(model.trainable_variables)
    return model
