"""Training on a GPU: `make test-gpu`. Skipped without one; nothing here has run on the CPUs that tests usually get."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from run_training import run_training

from ham_keras.files import load_csv, load_json
from ham_keras.train import train

GPUS = len(tf.config.list_physical_devices("GPU"))
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(GPUS == 0, reason="no GPU, or not started by `make test-gpu`")]
CHOSEN = ["GPU:0"] if GPUS else ["CPU:0"]


def losses(config: Any) -> list[list[float]]:
    """Training and validation losses of each epoch."""
    run, _ = run_training(config)
    found = [[float(row["loss"]), float(row["val_loss"])] for row in load_csv(run.history)]
    assert np.isfinite(found).all()
    return found


def test_train_and_score_on_the_gpu(tiny: Any, capsys: pytest.CaptureFixture[str]) -> None:
    result = train(tiny(train={"epochs": 1, "precision": "auto", "devices": CHOSEN}), visible=False)
    environment = load_json(result.run.environment)
    assert environment["device"] != "CPU" and f", on {environment['device']}\n" in capsys.readouterr().out
    assert environment["tensor_float_32"] is False
    assert result.run.finished and result.summary == load_json(result.run.summary("test"))


@pytest.mark.parametrize("devices", [CHOSEN, ["CPU:0"]], ids=["xla", "cpu"])
def test_losses_are_those_of_xla_and_of_the_cpu(tiny: Any, devices: list[str]) -> None:
    """Two epochs in float32 from the same weights, with a short last batch."""
    settings = {"epochs": 2, "batch_size": 5, "precision": "float32", "ema_momentum": 0.9, "adam_epsilon": 0.1}
    plain = losses(tiny(run={"name": "plain"}, train=settings | {"devices": CHOSEN}))
    other = {"devices": devices, "jit_compile": devices == CHOSEN}
    assert losses(tiny(run={"name": "other"}, train=settings | other)) == pytest.approx(np.array(plain), abs=2e-3)


@pytest.mark.skipif(GPUS < 2, reason="one GPU")
@pytest.mark.parametrize("synchronized", [False, True])
def test_two_gpus_share_each_batch(tiny: Any, synchronized: bool) -> None:
    settings = {"epochs": 2, "batch_size": 4, "devices": ["GPU:0", "GPU:1"]}
    assert len(losses(tiny(train=settings, model={"batchnorm_synchronized": synchronized}))) == 2
