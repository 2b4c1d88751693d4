"""Callbacks of the user's own: what they are called with, and how they stop a training."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from fitting import run_fit

from ham_keras.files import load_csv


class Diary(keras.callbacks.Callback):
    """Notes each call as (hook, number, names of the logs)."""

    def __init__(self, stop_at: tuple[str, int] | None = None) -> None:
        super().__init__()
        self.notes: list[tuple[str, int | None, set[str]]] = []
        self.stop_at = stop_at

    def note(self, hook: str, number: int | None, logs: Any) -> None:
        self.notes.append((hook, number, set(logs or {})))
        if (hook, number) == self.stop_at:
            self.model.stop_training = True

    def on_train_begin(self, logs: Any = None) -> None:
        self.note("train_begin", None, logs)

    def on_train_end(self, logs: Any = None) -> None:
        self.note("train_end", None, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.note("epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.note("epoch_end", epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.note("batch_end", batch, logs)

    def on_test_end(self, logs: Any = None) -> None:
        self.note("test_end", None, logs)


EPOCH = ["batch_end", "batch_end", "batch_end", "test_end", "epoch_end"]


def test_a_users_callbacks_see_one_training(tiny: Any) -> None:
    diary = Diary()
    run_fit(tiny(), diary)
    assert [hook for hook, _, _ in diary.notes] == ["train_begin", *2 * ["epoch_begin", *EPOCH], "train_end"]
    assert [number for hook, number, _ in diary.notes if hook.startswith("epoch")] == [0, 0, 1, 1]
    assert [number for hook, number, _ in diary.notes if hook == "batch_end"] == [0, 1, 2, 0, 1, 2]
    logs = {"loss", "jaccard", "iou_score", "val_loss", "val_jaccard", "val_iou_score"}
    assert all(names == logs for hook, _, names in diary.notes if hook in ("epoch_end", "train_end"))
    assert diary.params == {"epochs": 2, "steps": 3, "verbose": 0}
    assert isinstance(diary.model.optimizer, keras.optimizers.Adam)


@pytest.mark.parametrize(("stop_at", "batches"), [(("epoch_end", 0), 3), (("batch_end", 1), 2)])
def test_a_callback_stops_a_training_for_good(tiny: Any, stop_at: tuple[str, int], batches: int) -> None:
    diary, config = Diary(stop_at), tiny(train={"epochs": 5})
    run, progress = run_fit(config, diary)
    assert progress.epoch == len(load_csv(run.history)) == 1 and run.weights.exists()
    assert [hook for hook, _, _ in diary.notes].count("batch_end") == batches
    assert diary.notes[-1][0] == "train_end"
    # It was killed before its scores were written: it is still over.
    _, continued = run_fit(config)
    assert continued.epoch == 1


def test_a_learning_rate_that_a_callback_lowers_is_kept(tiny: Any) -> None:
    lower = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    run, _ = run_fit(tiny(train={"learning_rate": 1e-3}), lower)
    rates = [float(row["learning_rate"]) for row in load_csv(run.history)]
    assert rates == pytest.approx([5e-4, 2.5e-4])
