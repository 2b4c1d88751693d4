"""The rows of a run's history.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

Row = TypeVar("Row", bound=Mapping[str, float] | Mapping[str, str])


def best_row(history: Sequence[Row], monitor: str) -> Row:
    """The row of the epoch whose weights are kept: the first with the best validation value of `train.monitor`."""
    if monitor == "loss":
        return min(history, key=lambda row: float(row["val_loss"]))
    return max(history, key=lambda row: float(row[f"val_{monitor}"]))
