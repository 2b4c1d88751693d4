"""The training loop: one `fit` an epoch, then validate, keep the best, save everything."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from ham_keras.config import Config
from ham_keras.data.pipeline import Examples, make_eval_dataset, make_train_dataset
from ham_keras.data.records import Record
from ham_keras.errors import SettingError
from ham_keras.files import save_csv, save_json
from ham_keras.models.precision import build_strategy, dtype_policy
from ham_keras.models.unet import build_model
from ham_keras.runs import Run
from ham_keras.settings import Train
from ham_keras.training.checkpoint import Progress, WeightAverage, load_state, save_state, save_weights
from ham_keras.training.losses import build_loss
from ham_keras.training.metrics import build_metrics
from ham_keras.training.optimizer import Adam
from ham_keras.training.progress import EpochBar, check_finite, check_weights, log_to_tensorboard


def build_compiled_model(config: Config, precision: str, steps_per_epoch: int) -> keras.Model:
    """The network of this config with optimizer, loss and metrics, under this Keras dtype policy.

    Raises:
        HamError: the encoder's weights cannot be had.
    """
    keras.utils.set_random_seed(config.train.seed)
    with dtype_policy(precision):
        model = build_model(config.model)
        model.compile(
            build_optimizer(config.train, steps_per_epoch),
            loss=build_loss(config.train.loss),
            metrics=build_metrics(config.outline.threshold),
        )
    model.optimizer.build(model.trainable_variables)
    return model


def build_optimizer(settings: Train, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Adam (Kingma and Ba 2015) at the config's learning rate and schedule."""
    rate: Any = settings.learning_rate
    schedule = settings.schedule
    if schedule.name == "cosine" or schedule.warmup_epochs:
        warmup_steps = round(schedule.warmup_epochs * steps_per_epoch)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup_steps else settings.learning_rate,
            decay_steps=max(1, settings.epochs * steps_per_epoch - warmup_steps),
            alpha=0.0 if schedule.name == "cosine" else 1.0,  # decaying to 1 of the peak is staying there
            warmup_target=settings.learning_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    return Adam(rate, epsilon=settings.adam_epsilon)


def fit(
    config: Config, run: Run, records: Mapping[str, Sequence[Record]], precision: str, *, visible: bool = True
) -> Progress:
    """Build the network, read records["train"] and records["val"], and train.

    Several devices share each batch; validation takes one.

    Raises:
        HamError: as `build_compiled_model`, `steps_per_epoch` and `train_model` do, or a file cannot be read.
    """
    strategy = build_strategy()
    steps = steps_per_epoch(config.train.batch_size, len(records["train"]), strategy)
    with strategy.scope():
        model = build_compiled_model(config, precision, steps)
    train, val = (Examples(records[side], config.data, visible=visible) for side in ("train", "val"))
    return train_model(model, config, run, train, val, visible=visible)


def steps_per_epoch(batch_size: int, images: int, strategy: tf.distribute.Strategy) -> int:
    """Batches of an epoch; on several devices only whole ones, for one without an image has no batch statistics.

    Raises:
        HamError: the devices cannot share a batch evenly.
    """
    devices = strategy.num_replicas_in_sync
    if devices == 1:
        return math.ceil(images / batch_size)
    if batch_size % devices or batch_size > images:
        raise SettingError(
            "train.batch_size",
            f"{batch_size} of {images} images cannot be shared evenly among {devices} devices; use a multiple of "
            f"{devices}",
        )
    return images // batch_size


def train_model(
    model: keras.Model,
    config: Config,
    run: Run,
    train: Examples,
    val: Examples,
    *,
    epochs: int | None = None,
    visible: bool = True,
) -> Progress:
    """Train a compiled model and keep the weights that are best on `val`.

    Continues from the run's resume state where there is one. After each epoch history.csv, the best
    weights, the resume state and the TensorBoard log are up to date. `epochs` stops before `train.epochs`
    without shortening the learning rate's schedule.

    Raises:
        DivergedError: the loss is not a number, or a weight.
        HamError: a file cannot be read, the state is of another network.
    """
    settings = config.train
    strategy = model.distribute_strategy
    shared = strategy.num_replicas_in_sync > 1
    with strategy.scope():
        average = WeightAverage(model, settings.ema_momentum) if settings.ema_momentum else None
        state = [*model.variables, *model.optimizer.variables, *(average.variables if average else [])]
        progress = load_state(run.resume_state, state) if run.resume_state.exists() else Progress()
        log_to_tensorboard(run.tensorboard, progress.history, anew=True)
    validator = keras.Model(model.inputs, model.outputs)
    validator.compile(loss=build_loss(settings.loss), metrics=build_metrics(config.outline.threshold))
    if progress.epoch:
        print(f"continuing after epoch {progress.epoch} of {settings.epochs}")
    else:
        save_state(run.resume_state, state, progress)  # while it is there, the run is not finished

    val_dataset = make_eval_dataset(val, batch_size=settings.batch_size)
    while not is_over(progress, settings, epochs):
        train_dataset = make_train_dataset(
            train, config.augment, batch_size=settings.batch_size, seed=settings.seed, epoch=progress.epoch
        )
        bar = EpochBar(progress.epoch, settings.epochs, len(train.records), settings.batch_size, visible=visible)
        callbacks: list[keras.callbacks.Callback] = [bar]
        if average:
            callbacks.append(keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: average.update()))
        if shared:
            train_dataset = train_dataset.filter(lambda image, _: tf.shape(image)[0] == settings.batch_size)
        start = time.perf_counter()
        with train.explained(), val.explained():
            span = {"initial_epoch": progress.epoch, "epochs": progress.epoch + 1}
            fitted = model.fit(train_dataset, **span, callbacks=callbacks, shuffle=False, verbose=0).history
            fit_seconds = time.perf_counter() - start
            check_weights(model, f"after epoch {progress.epoch + 1}")
            with average.swapped() if average else contextlib.nullcontext():
                validated = validator.evaluate(val_dataset, verbose=0, return_dict=True)
                check_finite(validated["loss"], f"after epoch {progress.epoch + 1}, in validation")
                better = validated["jaccard"] > progress.best
                if better:
                    save_weights(model, run.weights)
        seconds = time.perf_counter() - start
        progress.epoch += 1
        if better:
            progress.best, progress.best_epoch = float(validated["jaccard"]), progress.epoch
        row = {
            "epoch": progress.epoch,
            **{name: float(values[-1]) for name, values in fitted.items()},
            **{f"val_{name}": float(value) for name, value in validated.items()},
            "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
            "seconds": round(seconds, 2),
            "images_per_second": round(len(train.records) / fit_seconds, 2),
        }
        progress.history.append(row)
        save_csv(run.history, progress.history)
        save_json(run.repaired, sorted(train.repaired_ids() + val.repaired_ids()))
        save_state(run.resume_state, state, progress)
        log_to_tensorboard(run.tensorboard, [row])
        print(
            f"epoch {progress.epoch}/{settings.epochs}: loss {row['loss']:.4f}, Jaccard {row['jaccard']:.4f}, "
            f"validation Jaccard {row['val_jaccard']:.4f}{' (best)' if better else ''}, "
            f"{row['images_per_second']:.1f} images/s"
        )
    return progress


def is_over(progress: Progress, settings: Train, epochs: int | None = None) -> bool:
    """All epochs are done (`epochs` where it is less), or the best one is too long ago."""
    patience = settings.early_stopping_epochs
    return progress.epoch >= min(settings.epochs, epochs or settings.epochs) or (
        patience is not None and progress.epoch - progress.best_epoch >= patience
    )
