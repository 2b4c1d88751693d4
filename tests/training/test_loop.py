"""The training loop: precision, schedule, early stopping, average, NaN."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from run_training import run_training

from ham_keras.errors import HamError
from ham_keras.files import load_csv
from ham_keras.settings import Train
from ham_keras.training.checkpoint import Progress
from ham_keras.training.compiled import build_compiled_model
from ham_keras.training.loop import should_stop


def test_history_is_complete_and_best_weights_are_kept(tiny: Any) -> None:
    run, progress = run_training(tiny(train={"epochs": 2}))
    rows = load_csv(run.history)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"loss", "iou_score", "jaccard", "val_loss", "val_jaccard", "learning_rate", "images_per_second"} <= set(
        rows[0]
    )
    assert progress.best == max(float(row["val_jaccard"]) for row in rows)
    assert run.weights.exists() and run.resume_state.exists()
    assert any(path.name.startswith("events.out") for path in run.tensorboard.iterdir())


def test_history_of_a_network_with_side_outputs(tiny: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The columns are those without side outputs, plus a loss per output; only the lesion is validated."""
    plain, _ = run_training(tiny(run={"name": "plain"}, train={"epochs": 1}))
    run, _ = run_training(tiny(train={"epochs": 1, "batch_size": 6}, model={"deep_supervision": True}))
    outputs = ("lesion", "deep_2", "deep_4", "deep_8")
    (row,) = load_csv(run.history)
    of_outputs = {f"{name}_loss" for name in outputs}
    assert row.keys() - of_outputs == load_csv(plain.history)[0].keys() and of_outputs < row.keys()
    losses = [float(row[f"{name}_loss"]) for name in outputs]
    # All batches have the same size, so the mean of the sums is the sum of the means.
    assert float(row["loss"]) == pytest.approx(np.dot(losses, [1, 1 / 2, 1 / 4, 1 / 8]), rel=1e-5)
    line = f"loss {float(row['loss']):.4f} ({', '.join(f'{n} {x:.4f}' for n, x in zip(outputs, losses, strict=True))})"
    assert line in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_side_outputs_are_trained_on_downsampled_masks(tiny: Any, precision: str) -> None:
    """Their convolutions change, and the reported losses match values worked out from downsampled masks."""
    model = build_compiled_model(tiny(model={"deep_supervision": True}), precision, 3)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    masks = np.zeros((2, 32, 32, 1), np.float32)
    masks[:, 8:24, 8:24] = 1
    probabilities = {name: output.numpy() for name, output in model(images, training=True).items()}
    before = {layer: model.get_layer(layer).get_weights()[0] for layer in ("deep_2_conv", "deep_8_conv")}
    logs = model.train_on_batch(images, model.targets(masks), return_dict=True)
    for name, factor in (("lesion", 1), ("deep_2", 2), ("deep_8", 8)):
        truth = masks[:, ::factor, ::factor]  # the square's sides are multiples of 8
        probability = probabilities[name]
        dice = 1 - 2 * (truth * probability).sum() / (truth.sum() + probability.sum())
        assert float(logs[f"{name}_loss"]) == pytest.approx(dice, abs=1e-4 if precision == "float32" else 2e-2)
    for layer, kernel in before.items():
        assert not np.array_equal(model.get_layer(layer).get_weights()[0], kernel)


def test_monitor_loss_keeps_the_epoch_with_the_lowest_loss(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([(0.9, 0.8), (0.5, 0.6), (0.7, 0.9)])
    monkeypatch.setattr(
        keras.Model, "evaluate", lambda *_, **__: dict(zip(("loss", "jaccard"), next(values), strict=True))
    )
    _, progress = run_training(tiny(train={"epochs": 3, "monitor": "loss"}))
    assert (progress.best_epoch, progress.best, progress.best_jaccard) == (2, 0.5, 0.6)


def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of noise, and masks of their bright red pixels."""
    images = np.random.default_rng(0).uniform(0, 255, (count, 32, 32, 3)).astype(np.float32)
    return images, (images[..., :1] > 128).astype(np.float32)


def first_gradients(model: keras.Model) -> np.ndarray:
    """Gradients of the last layers in the first step, 10 times Adam's first moments; rounding disturbs earlier ones."""
    adam = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return 10 * np.concatenate([np.ravel(moment) for moment in adam._momentums[-8:]])


def test_first_step_in_mixed_float16_is_that_of_float32(tiny: Any) -> None:
    losses, gradients = [], []
    for precision in ("float32", "mixed_float16"):
        model = build_compiled_model(tiny(), precision, 3)
        assert model.output.dtype == "float32"
        assert {weight.dtype for weight in model.trainable_variables} == {"float32"}
        if precision == "mixed_float16":
            assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
            model.optimizer.dynamic_scale.assign(128.0)  # the initial one overflows, which skips the step
        losses.append(float(model.train_on_batch(*examples(4))[0]))
        gradients.append(first_gradients(model))
    assert losses[1] == pytest.approx(losses[0], abs=1e-3)
    assert np.linalg.norm(gradients[1] - gradients[0]) < 0.05 * np.linalg.norm(gradients[0])


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.01), ("mixed_bfloat16", 0.1)])
def test_step_compiled_with_xla_matches_the_ordinary_one(tiny: Any, precision: str, tolerance: float) -> None:
    """`fit` uses XLA on a GPU; it also compiles for a CPU."""
    losses, gradients = [], []
    for compiled in (False, True):
        model = build_compiled_model(tiny(), precision, 3)
        model.jit_compile = compiled
        images, masks = examples(4)
        losses.append([float(model.train_on_batch(images, masks)[0])])
        gradients.append(first_gradients(model))
        losses[-1].append(float(model.test_on_batch(images[:3], masks[:3])[0]))  # a short batch
    assert losses[1] == pytest.approx(losses[0], abs=2e-3)
    assert np.linalg.norm(gradients[1] - gradients[0]) < tolerance * np.linalg.norm(gradients[0])


@pytest.mark.parametrize(
    ("epoch", "best_epoch", "patience", "expected"),
    [(4, 4, None, False), (5, 1, None, True), (3, 1, 2, True), (3, 2, 2, False)],
)
def test_should_stop_after_last_epoch_or_patience(
    epoch: int, best_epoch: int, patience: int | None, expected: bool
) -> None:
    progress = Progress(epoch=epoch, best_epoch=best_epoch)
    assert should_stop(progress, Train(epochs=5, early_stopping_epochs=patience)) is expected


@pytest.mark.slow
def test_early_stopping_ends_a_run_that_does_not_improve(tiny: Any) -> None:
    train = {"epochs": 9, "learning_rate": 1e-12, "early_stopping_epochs": 1, "ema_momentum": 0.9}
    _, progress = run_training(tiny(train=train, model={"batchnorm_momentum": 0.99999}))
    assert progress.epoch == progress.best_epoch + 1 < 9


def test_nan_loss_stops_training_and_suggests_a_solution(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ham_keras.training.compiled.NamedLoss", lambda name: lambda mask, probability: probability * math.nan
    )
    with pytest.raises(HamError, match=r"the loss is nan in epoch 1, by step 1: lower train\.learning_rate"):
        run_training(tiny())


def test_non_finite_weights_stop_training_even_if_the_loss_is_finite(tiny: Any) -> None:
    with pytest.raises(HamError, match=r"\w+ is not finite after epoch 1: lower train\.learning_rate"):
        run_training(tiny(train={"learning_rate": 1e30, "loss": "dice_bce"}))


def test_nan_validation_loss_stops_training_before_saving_weights(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.Model, "evaluate", lambda *_, **__: {"loss": math.nan, "jaccard": 0.0})
    config = tiny()
    with pytest.raises(HamError, match=r"the loss is nan after epoch 1, in validation"):
        run_training(config)
    assert not (Path(config.run.dir) / "tiny" / "model.weights.h5").exists()


@pytest.mark.slow
def test_batchnorm_statistics_converge_within_a_short_run(tiny: Any) -> None:
    """With Keras' default momentum of 0.99 the moving statistics stay close to the initial ones."""
    gaps = {}
    for momentum in (0.9, 0.99):
        model = build_compiled_model(tiny(model={"batchnorm_momentum": momentum}), "float32", 30)
        images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)
        masks = (images[..., :1] > 128).astype(np.float32)
        for _ in range(30):
            model.train_on_batch(images, masks)
        trained, validated = (model(images, training=training).numpy() for training in (True, False))
        gaps[momentum] = float(np.abs(trained - validated).mean())
    assert gaps[0.9] < 0.1 < gaps[0.99]
