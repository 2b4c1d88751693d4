"""Run the trials of a search, and save the config of the best one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ham_keras.config import to_json
from ham_keras.data.selection import read_records, select_subsets
from ham_keras.environment import describe_environment
from ham_keras.errors import HamError, shown
from ham_keras.files import save_json, save_text
from ham_keras.runs import Run
from ham_keras.search.folder import SearchFolder, role
from ham_keras.search.space import TuneConfig, describe_search, trial_config


def run_search(config: TuneConfig, search: SearchFolder) -> None:
    """Run trials until the search is complete; continues an interrupted search.

    Raises:
        HamError: the data has an error, or every trial would fail with the same one.
    """
    sides = select_subsets(config.data, search.split, read_records(config.data), ("train", "val"))
    print(
        f"{shown(search.folder)}: {describe_search(config)}; {len(sides['train'])} train, "
        f"{len(sides['val'])} val images"
    )

    if role() != "worker":
        search.adopt(config)

    # Import TensorFlow only now, so that user errors are reported without the delay.
    from keras_tuner.errors import FatalError

    from ham_keras.models.devices import check_devices, describe_device, warn_about_idle_gpu
    from ham_keras.models.precision import choose_precision
    from ham_keras.search.leaderboard import save_leaderboard
    from ham_keras.search.tuner import SearchTuner

    if role() != "chief":  # which trains nothing
        check_devices(config.train.devices)
        warn_about_idle_gpu(config.train.devices)
    if role() != "worker":
        settings = config.train
        precision = choose_precision(settings.precision, settings.devices)
        environment = describe_environment(describe_device(settings.devices), precision)
        save_json(search.environment, environment)
    tuner = SearchTuner(config, search)
    if role() != "worker":
        tuner.oracle.after_trial = lambda: save_leaderboard(search, config)
    try:
        tuner.search(verbose=0)
    except FatalError as error:
        raise HamError(str(error)) from None


def save_best(config: TuneConfig, search: SearchFolder, rows: Sequence[dict[str, Any]]) -> None:
    """Write best_config.json, and delete the weights of all trials except the best.

    Raises:
        HamError: no trial completed.
    """
    completed = [row for row in rows if row["val_jaccard"] is not None]
    if not completed:
        first = next((row["error"] for row in rows if row["error"]), "no trial ended")
        raise HamError(f"{search.folder}: none of {len(rows)} trials completed: {first}; --overwrite searches again")
    best = completed[0]
    for row in rows:
        run = Run(search.trial(row["trial"]))
        run.resume_state.unlink(missing_ok=True)
        if row is not best:
            run.weights.unlink(missing_ok=True)
    found = trial_config(config, {key: best[key] for key in config.space}, f"{search.folder.name}-best")
    description = (
        f"Best of {len(completed)} trials of {search.folder}: trial {best['trial']}, validation Jaccard "
        f"{best['val_jaccard']:.4f} after {best['epochs']} epochs."
    )
    save_text(search.best_config, to_json(found.model_copy(update={"description": description})))
