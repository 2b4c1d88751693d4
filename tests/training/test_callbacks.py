"""User callbacks: the calls they receive, and how they stop training."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from run_training import run_training

from ham_keras.files import load_csv


class CallRecorder(keras.callbacks.Callback):
    """Records each call as (hook, number, names of the logs)."""

    def __init__(self, stop_at: tuple[str, int] | None = None) -> None:
        super().__init__()
        self.calls: list[tuple[str, int | None, set[str]]] = []
        self.stop_at = stop_at

    def record(self, hook: str, number: int | None, logs: Any) -> None:
        self.calls.append((hook, number, set(logs or {})))
        if (hook, number) == self.stop_at:
            self.model.stop_training = True

    def on_train_begin(self, logs: Any = None) -> None:
        self.record("train_begin", None, logs)

    def on_train_end(self, logs: Any = None) -> None:
        self.record("train_end", None, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.record("epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.record("epoch_end", epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.record("batch_end", batch, logs)

    def on_test_end(self, logs: Any = None) -> None:
        self.record("test_end", None, logs)


EPOCH = ["batch_end", "batch_end", "batch_end", "test_end", "epoch_end"]


def test_user_callbacks_see_a_single_training(tiny: Any) -> None:
    recorder = CallRecorder()
    run_training(tiny(), recorder)
    assert [hook for hook, _, _ in recorder.calls] == ["train_begin", *2 * ["epoch_begin", *EPOCH], "train_end"]
    assert [number for hook, number, _ in recorder.calls if hook.startswith("epoch")] == [0, 0, 1, 1]
    assert [number for hook, number, _ in recorder.calls if hook == "batch_end"] == [0, 1, 2, 0, 1, 2]
    logs = {"loss", "jaccard", "iou_score", "val_loss", "val_jaccard", "val_iou_score"}
    assert all(names == logs for hook, _, names in recorder.calls if hook in ("epoch_end", "train_end"))
    assert recorder.params == {"epochs": 2, "steps": 3, "verbose": 0}
    assert isinstance(recorder.model.optimizer, keras.optimizers.Adam)


@pytest.mark.parametrize(("stop_at", "batches"), [(("epoch_end", 0), 3), (("batch_end", 1), 2)])
def test_training_stopped_by_callback_does_not_continue(tiny: Any, stop_at: tuple[str, int], batches: int) -> None:
    recorder, config = CallRecorder(stop_at), tiny(train={"epochs": 5})
    run, progress = run_training(config, recorder)
    assert progress.epoch == len(load_csv(run.history)) == 1 and run.weights.exists()
    assert [hook for hook, _, _ in recorder.calls].count("batch_end") == batches
    assert recorder.calls[-1][0] == "train_end"
    # The run has no scores yet, as if it was killed before writing them, but must not train further.
    _, continued = run_training(config)
    assert continued.epoch == 1


def test_learning_rate_lowered_by_callback_is_kept(tiny: Any) -> None:
    lower = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    run, _ = run_training(tiny(train={"learning_rate": 1e-3}), lower)
    rates = [float(row["learning_rate"]) for row in load_csv(run.history)]
    assert rates == pytest.approx([5e-4, 2.5e-4])
