"""Train a network as a config says, then score its test split and report.

    python -m ham_keras.train configs/base.json data.root=HAM10000 train.epochs=5

The same command continues a run that was interrupted, and on the CPU ends with the same weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ham_keras.config import Config, load_config
from ham_keras.data.oddities import mask_warnings
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import Split, load_split, make_split, select, shared_lesions
from ham_keras.environment import describe_environment
from ham_keras.errors import HamError, run_command, warn
from ham_keras.runs import Run, load_json, open_run, save_json, with_data_root
from ham_keras.settings import Data


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder and the content of scores/test/summary.json."""

    run: Run
    summary: dict[str, Any]


def train(config: Config, *, overwrite: bool = False, visible: bool = True) -> RunResult:
    """Train, keep the weights of the best validation Jaccard, score the test split, draw pictures, write the report.

    An unfinished run of the same config continues; a finished one is returned as it is. `visible` shows
    progress bars.

    Raises:
        HamError: a user's fault in config or data, or a loss that is not a number.
    """
    config = with_data_root(config)
    with open_run(config, overwrite=overwrite) as run:
        if run.finished:
            print(f"{run.folder} is finished; --overwrite trains it again")
        else:
            _train_and_score(config, run, visible)
    return RunResult(run, load_json(run.summary("test")))


def _train_and_score(config: Config, run: Run, visible: bool) -> None:
    pairing = find_records(str(config.data.root))
    for line in pairing.warnings():
        warn(line)
    known = decide_masks(pairing.records, config.data.repair_masks, config.data.lesion_values)
    split = choose_split(config.data, run.split, known)
    records = {name: select(known, ids, f"{run.split}: {name}") for name, ids in split.items()}
    for line in mask_warnings([record for side in records.values() for record in side]):
        warn(line)

    # From here on TensorFlow is needed; what the user got wrong before is told without waiting for it.
    from ham_keras.evaluate import evaluate, print_summary
    from ham_keras.models.precision import choose_precision, describe_device
    from ham_keras.reports.pictures import save_curves
    from ham_keras.training.loop import fit

    precision = _record_environment(run, choose_precision(config.train.precision), describe_device())
    counts = ", ".join(f"{len(ids)} {name}" for name, ids in split.items())
    print(f"{run.folder}: {config.model.architecture} {config.model.backbone}, {precision}, {counts} images")
    progress = fit(config, run, records, precision, visible=visible)
    save_curves(progress.history, run.curves)
    summary = evaluate(run.folder, "test", visible=visible)
    print_summary(summary, f"{run.folder}: test split")
    run.resume_state.unlink()  # without it the run counts as finished: no report that fails can cost its results
    write_report(run, visible=visible)


def write_report(run: Run, *, visible: bool = True) -> None:
    """Write a finished run's report, or tell why there is none: it can be written again at any time."""
    from ham_keras.report import report

    try:
        print(f"report: {report(run.folder, visible=visible)}")
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


def choose_split(settings: Data, path: Path, records: Sequence[Record]) -> Split:
    """The split kept in `path`, made there when there is none: what is trained and scored on never changes."""
    if path.exists():
        return load_split(path)
    if settings.split_file is not None:
        split = load_split(settings.split_file)
        leaking = shared_lesions(split, records) if settings.group_by else []
        if leaking:
            warn(
                f"{settings.split_file}: images of {len(leaking)} lesions stand on two sides, the first: "
                f"{leaking[0]}; scores will look better than they are"
            )
    else:
        fractions = settings.split.model_dump()
        split = make_split(records, fractions, seed=settings.seed, sample=settings.sample, group_by=settings.group_by)
    save_json(path, split)
    return split


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ham_keras.train", description="Train a network as a config says, then score its test split."
    )
    parser.add_argument("config", help="a config file, e.g. configs/base.json")
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
