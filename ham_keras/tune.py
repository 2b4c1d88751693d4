"""Search for the settings that give the best validation Jaccard.

    python -m ham_keras.tune configs/tune.json --dry-run
    python -m ham_keras.tune configs/tune.json data.root=HAM10000
    python -m ham_keras.train runs/tune/best_config.json

The same command continues a search that was interrupted. With KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and
KERASTUNER_ORACLE_PORT several processes share one search, see docs/how-to/tune.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from ham_keras.config import json_schema, load_config_as, to_json
from ham_keras.data.oddities import mask_warnings
from ham_keras.data.records import find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import select
from ham_keras.environment import describe_environment
from ham_keras.errors import HamError, run_command, warn
from ham_keras.reference.tables import settings_tables
from ham_keras.runs import Run, save_json, save_text, with_data_root
from ham_keras.search.folder import SearchFolder, open_search, role
from ham_keras.search.space import TuneConfig, check_space, count_trials, trial_config
from ham_keras.train import choose_split


def tune(config: TuneConfig, *, overwrite: bool = False) -> SearchFolder:
    """Run trials until the search's algorithm is done; write leaderboard, pictures and best_config.json.

    An unfinished search of the same config continues. A worker (see `searches.role`) runs trials and leaves the
    rest to its chief.

    Raises:
        HamError: a user's fault in config or data, or no trial completed.
    """
    check_space(config)
    config = with_data_root(config)
    from ham_keras.search.leaderboard import print_leaderboard, read_leaderboard, save_leaderboard

    with open_search(config, overwrite=overwrite) as search:
        if search.best_config.exists():
            print(f"{search.folder} is finished; --overwrite searches again")
        else:
            _run_trials(config, search)
            if role() == "worker":
                print(f"{search.folder}: no more trials; the chief writes the results")
                return search
            _save_best(config, search, save_leaderboard(search, config))
        print_leaderboard(read_leaderboard(search, config), config)
        print(f"\ntrain the best: python -m ham_keras.train {search.best_config}")
    return search


def _run_trials(config: TuneConfig, search: SearchFolder) -> None:
    pairing = find_records(str(config.data.root))
    for line in pairing.warnings():
        warn(line)
    known = decide_masks(pairing.records, config.data.repair_masks, config.data.lesion_values)
    split = choose_split(config.data, search.split, known)
    for side in ("train", "val"):
        select(known, split[side], f"{search.split}: {side}")
    for line in mask_warnings(select(known, split["train"] + split["val"], str(search.split))):
        warn(line)
    print(f"{search.folder}: {describe_search(config)}; {len(split['train'])} train, {len(split['val'])} val images")

    # From here on TensorFlow is needed; what the user got wrong before is told without waiting for it.
    from keras_tuner.errors import FatalError

    from ham_keras.models.precision import choose_precision, describe_device
    from ham_keras.search.leaderboard import save_leaderboard
    from ham_keras.search.tuner import SearchTuner

    if role() != "worker":
        environment = describe_environment(describe_device(), choose_precision(config.train.precision))
        save_json(search.environment, environment)
    tuner = SearchTuner(config, search)
    if role() != "worker":
        tuner.oracle.after_trial = lambda: save_leaderboard(search, config)
    try:
        tuner.search(verbose=0)
    except FatalError as error:
        raise HamError(str(error)) from None


def _save_best(config: TuneConfig, search: SearchFolder, rows: Sequence[dict[str, Any]]) -> None:
    """Write best_config.json, and free the disk of all weights but the best trial's."""
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


def describe_search(config: TuneConfig) -> str:
    """Algorithm and size of a search, e.g. "hyperband, at most 23 trials and 75 epochs in all"."""
    trials, epochs = count_trials(config)
    return f"{config.search.algorithm}, at most {trials} trials and {epochs} epochs in all"


def search_reference() -> str:
    """The keys that a search's config has besides a run's, as Markdown."""
    return (
        "# Config of a search\n\nWritten by `python -m ham_keras.tune --reference`: what a search's config has besides "
        "the keys of [a run's](config.md).\n\n"
        + settings_tables(json.loads(json_schema(TuneConfig)), leave_out=json.loads(json_schema())["properties"])
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ham_keras.tune", description="Search for the settings with the best validation Jaccard."
    )
    parser.add_argument("config", nargs="?", help="a search's config, e.g. configs/tune.json")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings laid over the config's")
    parser.add_argument("--overwrite", action="store_true", help="delete a search of this name and start again")
    parser.add_argument("--dry-run", action="store_true", help="list space and trials, needs no data")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of a search's config files")
    parser.add_argument("--reference", action="store_true", help="print its keys as Markdown tables")
    args = parser.parse_intermixed_args(argv)
    if args.schema or args.reference:
        print(json_schema(TuneConfig) if args.schema else search_reference(), end="")
        return 0
    if args.config is None:
        parser.error("name a config file, --schema or --reference")
    config = load_config_as(TuneConfig, args.config, args.overrides)
    for override in args.overrides:
        print(f"override: {override}")
    if args.dry_run:
        check_space(config)
        print(describe_search(config))
        for key, values in config.space.items():
            print(f"  {key}: {values}")
        return 0
    tune(config, overwrite=args.overwrite)
    return 0


if __name__ == "__main__":
    run_command(main)
