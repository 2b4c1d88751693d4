"""The training loop: precision, schedule, early stopping, average, NaN, several devices."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ham_keras.data.records import find_records
from ham_keras.data.splits import make_split, select
from ham_keras.errors import HamError
from ham_keras.files import load_csv
from ham_keras.runs import open_run
from ham_keras.settings import Schedule, Train
from ham_keras.training.checkpoint import Progress
from ham_keras.training.loop import build_compiled_model, build_optimizer, fit, is_over


def run_fit(config: Any) -> tuple[Any, Progress]:
    records = find_records(config.data.root).records
    split = make_split(records, config.data.split.model_dump(), seed=0)
    sides = {name: select(records, ids, name) for name, ids in split.items()}
    with open_run(config) as run:
        return run, fit(config, run, sides, "float32", visible=False)


def test_history_is_whole_and_best_weights_are_kept(tiny: Any) -> None:
    run, progress = run_fit(tiny(train={"epochs": 2}))
    rows = load_csv(run.history)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"loss", "iou_score", "jaccard", "val_loss", "val_jaccard", "learning_rate", "images_per_second"} <= set(
        rows[0]
    )
    assert progress.best == max(float(row["val_jaccard"]) for row in rows)
    assert run.weights.exists() and run.resume_state.exists()
    assert any(path.name.startswith("events.out") for path in run.tensorboard.iterdir())


def test_mixed_float16_trains_with_loss_scaling_and_float32_output(tiny: Any) -> None:
    model = build_compiled_model(tiny(), "mixed_float16", 3)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert model.output.dtype == "float32"
    assert {weight.dtype for weight in model.trainable_variables} == {"float32"}
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    masks = (images[..., :1] > 128).astype(np.float32)
    before = [variable.numpy() for variable in model.trainable_variables]
    losses = [float(model.train_on_batch(images, masks)[0]) for _ in range(3)]
    assert all(math.isfinite(loss) for loss in losses)
    assert any(not np.array_equal(a, b.numpy()) for a, b in zip(before, model.trainable_variables, strict=True))


def test_learning_rate_schedules_worked_out() -> None:
    def rates(**schedule: Any) -> list[float]:
        settings = Train(epochs=4, learning_rate=0.1, schedule=Schedule(**schedule))
        rate = build_optimizer(settings, 10)._learning_rate
        return [float(rate(step)) if callable(rate) else float(rate) for step in (0, 5, 10, 25, 40)]

    assert rates() == pytest.approx([0.1] * 5)
    assert rates(name="constant", warmup_epochs=1) == pytest.approx([0, 0.05, 0.1, 0.1, 0.1])
    cosine = [0.1 * (1 + math.cos(math.pi * step / 40)) / 2 for step in (0, 5, 10, 25, 40)]
    assert rates(name="cosine") == pytest.approx(cosine)
    assert rates(name="cosine", warmup_epochs=1) == pytest.approx([0, 0.05, 0.1, 0.05, 0], abs=1e-8)


@pytest.mark.parametrize(
    ("epoch", "best_epoch", "patience", "over"),
    [(4, 4, None, False), (5, 1, None, True), (3, 1, 2, True), (3, 2, 2, False)],
)
def test_when_training_is_over(epoch: int, best_epoch: int, patience: int | None, over: bool) -> None:
    progress = Progress(epoch=epoch, best_epoch=best_epoch)
    assert is_over(progress, Train(epochs=5, early_stopping_epochs=patience)) is over


@pytest.mark.slow
def test_early_stopping_ends_a_run_that_does_not_learn(tiny: Any) -> None:
    still = {"epochs": 9, "learning_rate": 1e-12, "early_stopping_epochs": 1, "ema_momentum": 0.9}
    _, progress = run_fit(tiny(train=still, model={"batchnorm_momentum": 0.99999}))
    assert progress.epoch == progress.best_epoch + 1 < 9


def test_a_loss_that_is_not_a_number_stops_with_the_way_out(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ham_keras.training.loop.build_loss", lambda name: lambda mask, probability: probability * math.nan
    )
    with pytest.raises(HamError, match=r"the loss is nan in epoch 1, step 1: lower train\.learning_rate"):
        run_fit(tiny())


def test_weights_that_are_no_numbers_stop_though_the_loss_is_one(tiny: Any) -> None:
    with pytest.raises(HamError, match=r"\w+ is not finite after epoch 1: lower train\.learning_rate"):
        run_fit(tiny(train={"learning_rate": 1e30, "loss": "dice_bce"}))


def test_a_validation_loss_that_is_not_a_number_stops_before_anything_is_kept(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.Model, "evaluate", lambda *_, **__: {"loss": math.nan, "jaccard": 0.0})
    config = tiny()
    with pytest.raises(HamError, match=r"the loss is nan after epoch 1, in validation"):
        run_fit(config)
    assert not (Path(config.run.dir) / "tiny" / "model.weights.h5").exists()


@pytest.mark.slow
def test_validation_follows_training_within_a_short_run(tiny: Any) -> None:
    """With Keras' own momentum of 0.99 the moving statistics are still the initial ones."""
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


TWO_CPUS = """
import json, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from ham_keras.training import loop
from ham_keras.config import load_config
from ham_keras.data.records import find_records
from ham_keras.errors import HamError
from ham_keras.models import precision
from ham_keras.files import load_csv
from ham_keras.runs import open_run
devices = ["CPU:0", "CPU:1"]
loop.build_strategy = lambda: precision.build_strategy(devices)
config = load_config(sys.argv[1])
records = find_records(config.data.root).records
# The last batch of 13 and that of 5 have too few images for two devices.
sides = {"train": records[:13], "val": records[13:18]}
with open_run(config) as run:
    progress = loop.fit(config, run, sides, "float32", visible=False)
odd = config.model_copy(update={"train": config.train.model_copy(update={"batch_size": 3})})
try:
    loop.fit(odd, run, sides, "float32", visible=False)
except HamError as error:
    print(error)
print(json.dumps({"replicas": precision.build_strategy(devices).num_replicas_in_sync, "history": progress.history}))
"""


@pytest.mark.slow
def test_two_devices_train_validate_and_average(tiny: Any, tmp_path: Path) -> None:
    from ham_keras.config import to_json

    path = tmp_path / "two.json"
    path.write_text(to_json(tiny(train={"ema_momentum": 0.9})))
    done = subprocess.run([sys.executable, "-c", TWO_CPUS, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "train.batch_size: 3 of 13 images cannot be shared evenly among 2 devices" in done.stdout
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["replicas"] == 2
    assert len(result["history"]) == 2
    assert all(0 < row["loss"] < 1 and 0 < row["val_loss"] < 1 for row in result["history"])
