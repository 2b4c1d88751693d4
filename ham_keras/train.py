"""Train a network as a config says, then score its test split and report.

    python -m ham_keras.train configs/base.json data.root=HAM10000 train.epochs=5
    ham-keras train base data.root=HAM10000 train.epochs=5

The same command continues a run that was interrupted, and on the CPU ends with the same weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ham_keras.config import Config, Overrides, as_config, load_config
from ham_keras.data.oddities import mask_warnings
from ham_keras.data.records import find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import choose_split, select
from ham_keras.environment import describe_environment
from ham_keras.errors import HamError, program, run_command, warn
from ham_keras.files import load_json, save_json
from ham_keras.models.initial_weights import with_initial_weights
from ham_keras.runs import Run, open_run, with_data_root
from ham_keras.scores.summary import describe_scoring, format_summary

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
    """Train, keep the weights of the best epoch, score the test split, draw pictures, write the report.

    An unfinished run of the same config continues; a finished one is returned as it is.

    Args:
        config: a config, its file, or the name of a shipped one, e.g. "base".
        overrides: settings laid over it, `{"train.epochs": 5}` or `["train.epochs=5"]`; see `config.load_config`.
        visible: show progress bars.

    `callbacks` are called as by `model.fit`: `on_train_begin` and `on_train_end` once for each call of `train` that
    trains, `on_epoch_end` after validation with `val_` values in its logs, epochs counted from 0 and on where a run
    continues. Their `model` is the network in training, with optimizer; the weights of the last epoch, not the best.
    `model.stop_training = True` ends the training after that epoch is validated and kept; scores and report follow.
    What a callback itself remembers is not kept for a run that continues.

    Raises:
        HamError: a user's fault in config or data, or a loss that is not a number.
    """
    config = with_initial_weights(with_data_root(as_config(config, overrides)), overwrite=overwrite)
    with open_run(config, overwrite=overwrite) as run:
        if run.finished:
            print(f"{run.folder} is finished; --overwrite trains it again")
        else:
            _train_and_score(config, run, callbacks, visible)
    return RunResult(run, load_json(run.summary("test")))


def _train_and_score(config: Config, run: Run, callbacks: Sequence[keras.callbacks.Callback], visible: bool) -> None:
    pairing = find_records(str(config.data.root))
    for line in pairing.warnings():
        warn(line)
    known = decide_masks(pairing.records, config.data.repair_masks, config.data.lesion_values)
    split = choose_split(config.data, run.split, known)
    records = {name: select(known, ids, f"{run.split}: {name}") for name, ids in split.items()}
    for line in mask_warnings([record for side in records.values() for record in side]):
        warn(line)

    # From here on TensorFlow is needed; what the user got wrong before is told without waiting for it.
    from ham_keras.models.precision import choose_precision, describe_device
    from ham_keras.prediction.scoring import score_run
    from ham_keras.reports.pictures import save_curves
    from ham_keras.training.loop import fit

    precision = _record_environment(run, choose_precision(config.train.precision), describe_device())
    counts = ", ".join(f"{len(ids)} {name}" for name, ids in split.items())
    print(f"{run.folder}: {config.model.architecture} {config.model.backbone}, {precision}, {counts} images")
    progress = fit(config, run, records, precision, callbacks=callbacks, visible=visible)
    save_curves(progress.history, run.curves)
    made_from = describe_scoring(str(config.data.root), "test", config)
    summary = score_run(run, config, records["test"], "test", made_from, visible=visible)
    print(f"\n{format_summary(summary, f'{run.folder}: test split')}")
    run.resume_state.unlink()  # without it the run counts as finished: no report that fails can cost its results
    write_report(run, visible=visible)


def write_report(run: Run, *, visible: bool = True) -> None:
    """Write a finished run's report, or warn why there is none: it can be written again at any time."""
    from ham_keras.reports.single import report_run

    try:
        print(f"report: {report_run(run.folder, visible=visible)}")
    except (HamError, OSError) as error:
        warn(f"no report: {error}; to try again: python -m ham_keras.report {run.folder}")


def _record_environment(run: Run, precision: str, device: str) -> str:
    """Note what this start runs on; returns the precision of the first start, which later ones keep."""
    now = describe_environment(device, precision)
    if run.environment.exists() and run.resume_state.exists():
        first = load_json(run.environment)
        save_json(run.environment, {**first, "continued": [*first.get("continued", []), now]})
        return str(first["precision"])
    save_json(run.environment, now)
    return precision


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("train"), description="Train a network as a config says, then score its test split."
    )
    parser.add_argument("config", help="a config file, e.g. configs/base.json, or a shipped config's name, e.g. base")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings laid over the config's")
    parser.add_argument("--overwrite", action="store_true", help="delete a run of this name and start again")
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    for override in args.overrides:
        print(f"override: {override}")
    train(config, overwrite=args.overwrite)
    return 0


if __name__ == "__main__":
    run_command(main)
