"""Train a network from a config, score its test split and write a report.

    python -m ham_keras.train configs/base.json data.root=HAM10000 train.epochs=5
    ham-keras train base data.root=HAM10000 train.epochs=5

Run the same command again to resume an interrupted run. On the CPU it ends with the same weights as an uninterrupted
one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ham_keras.config import Config, Overrides, as_config, load_config, warn_about_unused_augmentation
from ham_keras.data.selection import read_records, select_subsets
from ham_keras.errors import program, run_command, shown
from ham_keras.files import load_json
from ham_keras.models.initial_weights import with_initial_weights
from ham_keras.runs import Run, open_run, with_data_root

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder and the content of scores/test/summary.json."""

    run: Run
    summary: dict[str, Any]


def train(
    config: Config | Path | str,
    *,
    overrides: Overrides = (),
    overwrite: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    visible: bool = True,
) -> RunResult:
    """Train, keep the weights of the best epoch, score the test split, plot the curves and write the report.

    An unfinished run of the same config is resumed; a finished one is returned as it is, or continued if the config has
    more `train.epochs`. The data folder may have moved: the ids of split.json decide.

    Args:
        config: a config, its file, or the name of a shipped one, e.g. "base".
        overrides: settings that override it, `{"train.epochs": 5}` or `["train.epochs=5"]`; see `config.load_config`.
        callbacks: called as by `model.fit`: `on_train_begin` and `on_train_end` once per call of `train` that trains,
            `on_epoch_end` after validation, with `val_` values in its logs. Epochs count from 0, and a resumed run
            continues the count. `callback.model` is the network in training, with its optimizer and the weights of
            the last epoch, not the best. `model.stop_training = True` stops after that epoch is validated and saved;
            scores and report follow. A callback's own state is not restored when a run is resumed.
        visible: show progress bars.

    Raises:
        HamError: config or data are invalid, or the loss is not finite.
    """
    config = with_initial_weights(with_data_root(as_config(config, overrides)), overwrite=overwrite)
    with open_run(config, overwrite=overwrite) as run:
        if run.finished and run.load().train.epochs == config.train.epochs:
            print(f"{shown(run.folder)} is finished; --overwrite trains it again")
        else:
            records = select_subsets(config.data, run.split, read_records(config.data))
            run.adopt(config)
            warn_about_unused_augmentation(config.augment)
            # Imports TensorFlow, which takes seconds; mistakes in config and data are reported before.
            from ham_keras.experiments.single import train_and_score

            train_and_score(config, run, records, callbacks=callbacks, visible=visible)
    return RunResult(run, load_json(run.summary("test")))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("train"), description="Train a network from a config, then score its test split."
    )
    parser.add_argument("config", help="a config file, e.g. configs/base.json, or a shipped config's name, e.g. base")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings that override the config's")
    parser.add_argument(
        "--overwrite", action="store_true", help="start over; the run of this name is deleted after the first epoch"
    )
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    for override in args.overrides:
        print(f"override: {override}")
    train(config, overwrite=args.overwrite)
    return 0


if __name__ == "__main__":
    run_command(main)
