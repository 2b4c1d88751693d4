"""Cross-validate a config with K folds by lesion, so that every image is scored by a network that has not seen it.

    python -m ham_keras.crossval configs/base.json --folds 5 data.root=HAM10000

Writes runs/<name>/fold_0 to fold_<K-1>, each an ordinary run folder, and runs/<name>/oof/ with the out-of-fold scores
and masks of all images. Run the same command again to resume an interrupted cross-validation.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.config import Config, Overrides, as_config, load_config, parse_config_as, warn_about_unused_augmentation
from ham_keras.crossval_folder import CrossvalConfig, CrossvalFolder
from ham_keras.data.selection import read_records
from ham_keras.data.splits import choose_split, select
from ham_keras.errors import program, run_command, shown
from ham_keras.experiments.crossval import (
    draw_folds,
    fold_config,
    open_crossval,
    save_out_of_fold,
)
from ham_keras.models.initial_weights import with_initial_weights
from ham_keras.prediction.ensemble import load_ensemble
from ham_keras.runs import open_run, with_data_root
from ham_keras.scores.summary import format_summary


def crossval(
    config: Config | Path | str,
    *,
    folds: int = 5,
    overrides: Overrides = (),
    overwrite: bool = False,
    visible: bool = True,
) -> CrossvalFolder:
    """Train one run per fold, score the images held out from it, and combine the scores.

    Images are read once for all folds. Finished folds are kept; an unfinished one is resumed. At the end, trust.json is
    written from the out-of-fold answers, if there are enough lesions.

    Raises:
        HamError: config or data are invalid, or the loss is not finite.
    """
    settings = as_config(config, overrides).model_dump(by_alias=True)
    base = with_data_root(parse_config_as(CrossvalConfig, settings | {"folds": folds}, "crossval"))
    base = with_initial_weights(base, overwrite=overwrite)
    warn_about_unused_augmentation(base.augment)
    with open_crossval(base, overwrite=overwrite) as folder:
        records = draw_folds(base, folder, read_records(base.data))
        folder.adopt(base)
        cache: Any = None
        for number in range(folds):
            config = fold_config(base, folder, number)
            with open_run(config) as run:
                if run.finished:
                    print(f"{shown(run.folder)} is finished")
                    continue
                ids = choose_split(config.data, run.split, records)
                sides = {side: select(records, ids[side], f"{run.split}: {side}") for side in ids}
                run.adopt(config)
                # TensorFlow is needed from here on.
                import keras

                from ham_keras.data.pipeline import Examples
                from ham_keras.experiments.single import train_and_score

                keras.backend.clear_session()  # frees the network of the previous fold
                cache = cache or Examples(records, base.data, visible=visible)
                train_and_score(config, run, sides, cache=cache, save_masks=True, visible=visible)
        if not folder.out_of_fold.exists():
            from ham_keras.experiments.calibration import calibrate_if_possible

            calibrate_if_possible(load_ensemble(folder.folder), records, visible=visible)
        summary = save_out_of_fold(base, folder)
    print(f"\n{format_summary(summary, f'{shown(folder.folder)}: out of fold')}")
    spread = summary["folds"]
    each = ", ".join(f"{mean:.4f}" for mean in spread["jaccard"])
    print(f"\nmean Jaccard of the folds: {spread['mean']:.4f} +- {spread['std']:.4f} ({each})")
    return folder


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("crossval"), description="Cross-validate a config with K folds by lesion."
    )
    parser.add_argument("config", help="a config file, e.g. configs/base.json, or a shipped config's name, e.g. base")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings that override the config's")
    parser.add_argument(
        "--folds", type=int, default=5, choices=range(2, 101), metavar="K", help="number of folds (default: 5)"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="start over; the cross-validation of this name is deleted after the first epoch",
    )
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    for override in args.overrides:
        print(f"override: {override}")
    crossval(config, folds=args.folds, overwrite=args.overwrite)
    return 0


if __name__ == "__main__":
    run_command(main)
