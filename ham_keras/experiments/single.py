"""Train, score and report one run; used by `train`, and by `crossval` for each fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ham_keras.config import Config
from ham_keras.data.pipeline import Examples
from ham_keras.data.records import Record
from ham_keras.data.splits import load_split
from ham_keras.environment import describe_environment
from ham_keras.errors import HamError, shown, warn
from ham_keras.experiments.calibration import calibrate_if_possible
from ham_keras.files import load_json, save_json
from ham_keras.models.devices import check_devices, describe_device, warn_about_idle_gpu
from ham_keras.models.memory import explaining_memory
from ham_keras.models.precision import choose_precision
from ham_keras.prediction.ensemble import single_run
from ham_keras.prediction.evaluation import evaluate_ensemble
from ham_keras.prediction.scored_images import seen_records
from ham_keras.reports.pictures import save_curves
from ham_keras.reports.single import report_run
from ham_keras.runs import Run
from ham_keras.runs.named import find_run
from ham_keras.scores.summary import describe_scoring, format_summary
from ham_keras.training.loop import train_run

ADVICE = "lower train.batch_size or data.image_size with run.name=NAME, or continue with data.cache=disk or none"


def train_and_score(
    config: Config,
    run: Run,
    records: Mapping[str, Sequence[Record]],
    *,
    cache: Examples | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    save_masks: bool = False,
    visible: bool = True,
) -> None:
    """Train on "train" and "val", or resume; then score "test", plot the curves and write the report.

    Args:
        cache: already holds all these records; if None, they are read.
        save_masks: save the predicted masks of "test" as scores/test/masks.

    Raises:
        HamError: a file cannot be read, weights are not available, or the loss is not finite.
    """
    warn_about_known_images(config, records)
    settings = config.train
    check_devices(settings.devices)
    warn_about_idle_gpu(settings.devices)
    device = describe_device(settings.devices)
    precision = _record_environment(run, choose_precision(settings.precision, settings.devices), device)
    counts = ", ".join(f"{len(side)} {name}" for name, side in records.items())
    print(
        f"{shown(run.folder)}: {config.model.architecture} {config.model.backbone}, {precision}, {counts} images, "
        f"on {device}"
    )
    with explaining_memory(ADVICE):
        progress = train_run(config, run, records, precision, cache=cache, callbacks=callbacks, visible=visible)
    save_curves(progress.history, settings.monitor, run.curves)
    ensemble = single_run(run, config)
    calibrate_if_possible(ensemble, [*records["train"], *records["val"]], visible=visible)
    made_from = describe_scoring(str(config.data.root), "test", config)
    summary = evaluate_ensemble(
        ensemble, run, records["test"], "test", made_from, save_masks=save_masks, visible=visible
    )
    print(f"\n{format_summary(summary, f'{shown(run.folder)}: test split')}")
    run.resume_state.unlink()  # marks the run as finished, even if the report fails
    write_report(run, visible=visible)


def warn_about_known_images(config: Config, records: Mapping[str, Sequence[Record]]) -> None:
    """Warn if the run of `model.initial_weights` was trained or validated on lesions of the test images."""
    if config.model.initial_weights is None:
        return
    split = Run(find_run(config.model.initial_weights)).split
    if not split.is_file():  # of a weights file or of a packed model
        return
    known = [record for side in records.values() for record in side]
    seen = seen_records(load_split(split), "test", records["test"], known)
    if seen:
        warn(
            f"model.initial_weights: {shown(split.parent)} was trained or validated on the lesions of {len(seen)} "
            f"of the {len(records['test'])} test images, whose scores will be too good; to use its split: "
            f"data.split_file={shown(split)}"
        )


def write_report(run: Run, *, visible: bool = True) -> None:
    """Write a finished run's report, or warn if it fails: it can be written later."""
    try:
        print(f"report: {shown(report_run(run.folder, visible=visible))}")
    except (HamError, OSError) as error:
        warn(f"no report: {error}; to try again: python -m ham_keras.report {run.folder}")


def _record_environment(run: Run, precision: str, device: str) -> str:
    """Record the environment of this start; returns the precision of the first start, which continued runs keep."""
    now = describe_environment(device, precision)
    if run.environment.exists() and (run.resume_state.exists() or run.extension.exists()):
        first: dict[str, Any] = load_json(run.environment)
        save_json(run.environment, {**first, "continued": [*first.get("continued", []), now]})
        return str(first["precision"])
    save_json(run.environment, now)
    return precision
