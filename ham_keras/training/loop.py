"""The training loop: one call of `fit` per epoch, then validation, best weights and resume state."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ham_keras.config import Config
from ham_keras.data.pipeline import PREFETCHED, Examples, make_eval_dataset, make_train_dataset, map_graph
from ham_keras.data.records import Record
from ham_keras.errors import SettingError
from ham_keras.files import load_csv, save_csv, save_json
from ham_keras.models.build import lesion_model
from ham_keras.models.devices import build_strategy, first_device
from ham_keras.models.network import SupervisedModel
from ham_keras.runs import Run
from ham_keras.settings import Train
from ham_keras.training.average import WeightAverage
from ham_keras.training.callbacks import UserCallbacks
from ham_keras.training.checkpoint import (
    Progress,
    load_state,
    restarted_progress,
    save_side_weights,
    save_state,
    save_weights,
)
from ham_keras.training.compiled import build_compiled_model
from ham_keras.training.losses import NamedLoss
from ham_keras.training.metrics import build_metrics
from ham_keras.training.optimizer import remaining_schedule
from ham_keras.training.progress import EpochBar, check_loss, check_weights, log_to_tensorboard
from ham_keras.training.step import LOGGED_STEPS, epoch_metrics, prepare_step


def train_run(
    config: Config,
    run: Run,
    records: Mapping[str, Sequence[Record]],
    precision: str,
    *,
    cache: Examples | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    visible: bool = True,
) -> Progress:
    """Build the network and train it on records["train"], validating on records["val"].

    Several devices share each training batch; validation runs on one.

    A finished run that is to have more epochs (`Run.extension`) starts from its best weights, with a new optimizer, and
    warm-up and cosine decay of `train.schedule` span the added epochs: a warm restart (Loshchilov and Hutter, SGDR,
    2017). Its resume state is gone, and the rate of a cosine has reached 0.

    Args:
        cache: contains all these records; if None, their files are read.

    Raises:
        HamError: see `build_compiled_model`, `steps_per_epoch` and `train_model`; also if a file cannot be read.
    """
    restarted = 0
    if run.resume_state.exists():
        restarted = load_state(run.resume_state).restarted
    elif run.extension.exists():
        restarted = len(load_csv(run.history))
    extended = run.extension.exists() and not run.resume_state.exists()
    mixed = extended and config.train.initial_share > 0  # only then the weights of the first start are needed again
    if (run.resume_state.exists() or extended) and not mixed:  # they contain all weights
        random_weights = {"encoder_weights": None, "initial_weights": None}
        config = config.model_copy(update={"model": config.model.model_copy(update=random_weights)})
    strategy = build_strategy(config.train.devices)
    steps = steps_per_epoch(config.train.batch_size, len(records["train"]), strategy)
    with strategy.scope():
        model = build_compiled_model(remaining_schedule(config, restarted), precision, steps)
        initial = model.get_weights() if mixed else None
        if extended:
            lesion_model(model).load_weights(run.weights)
    train, val = (
        Examples(records[side], config.data, visible=visible) if cache is None else cache.subset(records[side])
        for side in ("train", "val")
    )
    return train_model(model, config, run, train, val, initial=initial, callbacks=callbacks, visible=visible)


def steps_per_epoch(batch_size: int, images: int, strategy: tf.distribute.Strategy) -> int:
    """Return the number of batches per epoch.

    Several devices only get full batches: a device without images would have no batch statistics.

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
    initial: Sequence[npt.NDArray[np.float32]] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    visible: bool = True,
) -> Progress:
    """Train a compiled model and keep the weights with the best `train.monitor` on `val`.

    Continues from the run's resume state if it exists. After each epoch history.csv, the best weights, the resume state
    and the TensorBoard log are up to date. Networks with side outputs are validated on the lesion output only.

    Args:
        epochs: stop after this epoch, without shortening the learning rate schedule of `train.epochs`.
        initial: the weights that have the share `train.initial_share`, if they are not those of the model.
        callbacks: see `ham_keras.train.train`.

    Raises:
        DivergedError: the loss or a weight is not finite.
        HamError: a file cannot be read, or the resume state belongs to another network.
    """
    settings = config.train
    strategy = model.distribute_strategy
    shared = strategy.num_replicas_in_sync > 1
    with strategy.scope():
        average = None
        if settings.ema_momentum or settings.initial_share:
            average = WeightAverage(model, settings.ema_momentum or 0.0, settings.initial_share, initial)
        state = [*model.variables, *model.optimizer.variables, *(average.variables if average else [])]
        if run.resume_state.exists():
            progress = load_state(run.resume_state, state)
        else:
            finished = run.extension.exists()
            progress = restarted_progress(load_csv(run.history), settings.monitor) if finished else Progress()
        log_to_tensorboard(run.tensorboard, progress.history, overwrite=True)
    validator = lesion_model(model)
    with first_device(strategy):
        validator.compile(
            loss=NamedLoss(settings.loss),
            metrics=build_metrics(config.outline.threshold),
            jit_compile=settings.jit_compile,
        )
    if progress.epoch:
        how = "weights and optimizer as they were"
        if not run.resume_state.exists():
            how = f"from the weights of epoch {progress.best_epoch}, with a new optimizer and schedule"
        print(f"continuing after epoch {progress.epoch} of {settings.epochs}: {how}")
    if not run.resume_state.exists():
        save_state(run.resume_state, state, progress)  # the run is unfinished as long as this file exists
    run.extension.unlink(missing_ok=True)

    val_dataset = make_eval_dataset(val, batch_size=settings.batch_size)
    steps = steps_per_epoch(settings.batch_size, len(train.records), strategy)
    user_callbacks = UserCallbacks(callbacks, model, settings.epochs, steps)
    forwarders = user_callbacks.forwarders
    prepare_step(model, average, steps, every=1 if forwarders else LOGGED_STEPS)
    logs: dict[str, float] = {}
    user_callbacks.begin()
    while not should_stop(progress, settings, epochs):
        train_dataset = make_train_dataset(
            train, config.augment, batch_size=settings.batch_size, seed=settings.seed, epoch=progress.epoch
        )
        bar = EpochBar(progress.epoch, settings.epochs, len(train.records), settings.batch_size, visible=visible)
        if shared:  # with a filter, Keras would expect another batch and run a step without images
            train_dataset = train_dataset.take(steps)
        if isinstance(model, SupervisedModel):
            targets = map_graph(train_dataset, lambda images, masks: (images, model.targets(masks)))
            train_dataset = targets.prefetch(PREFETCHED)
        start = time.perf_counter()
        with train.naming_broken_files(), val.naming_broken_files():
            span = {"initial_epoch": progress.epoch, "epochs": progress.epoch + 1}
            with first_device(strategy) if not shared else contextlib.nullcontext():
                model.fit(train_dataset, **span, callbacks=[bar, *forwarders], shuffle=False, verbose=0)
            fitted = epoch_metrics(model)
            fit_seconds = time.perf_counter() - start
            check_loss(fitted["loss"], f"in epoch {progress.epoch + 1}")
            check_weights(model, f"after epoch {progress.epoch + 1}")
            with average.swapped() if average else contextlib.nullcontext():
                with first_device(strategy):
                    validated = validator.evaluate(val_dataset, callbacks=forwarders, verbose=0, return_dict=True)
                check_loss(validated["loss"], f"after epoch {progress.epoch + 1}, in validation")
                better = progress.is_better(validated[settings.monitor], settings.monitor)
                if better:
                    save_weights(model, run.weights)
                    if isinstance(model, SupervisedModel):
                        save_side_weights(model, run.side_weights)
        seconds = time.perf_counter() - start
        progress.epoch += 1
        if better:
            progress.best, progress.best_epoch = float(validated[settings.monitor]), progress.epoch
        logs = fitted | {f"val_{name}": float(value) for name, value in validated.items()}
        progress.stopped = user_callbacks.end_epoch(progress.epoch - 1, logs)
        row = {
            "epoch": progress.epoch,
            **logs,
            "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
            "seconds": round(seconds, 2),
            "images_per_second": round(len(train.records) / fit_seconds, 2),
        }
        progress.history.append(row)
        save_csv(run.history, progress.history)
        save_json(run.repaired, sorted(train.repaired_ids() + val.repaired_ids()))
        save_state(run.resume_state, state, progress)
        log_to_tensorboard(run.tensorboard, [row])
        outputs = model.output if isinstance(model, SupervisedModel) else ()
        parts = ", ".join(f"{name} {logs[f'{name}_loss']:.4f}" for name in outputs)
        print(
            f"epoch {progress.epoch}/{settings.epochs}: loss {row['loss']:.4f}{parts and f' ({parts})'}, "
            f"Jaccard {row['jaccard']:.4f}, validation Jaccard {row['val_jaccard']:.4f}{' (best)' if better else ''}, "
            f"{row['images_per_second']:.1f} images/s"
        )
    user_callbacks.end(logs)
    return progress


def should_stop(progress: Progress, settings: Train, epochs: int | None = None) -> bool:
    """Return True after the last epoch or after `epochs`, on early stopping, or if a callback stopped training."""
    patience = settings.early_stopping_epochs
    out_of_patience = patience is not None and progress.epoch - max(progress.best_epoch, progress.restarted) >= patience
    return progress.stopped or out_of_patience or progress.epoch >= min(settings.epochs, epochs or settings.epochs)
