"""Train and score a config once for each of K folds by lesion, so that every image is scored by a network new to it.

    python -m ham_keras.crossval configs/base.json --folds 5 data.root=HAM10000

It writes runs/<name>/fold_0 to fold_<K-1>, each an ordinary run, and runs/<name>/oof/ with the scores and masks of each
image by the fold that has not seen it. The same command continues where it was interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.config import Config, Overrides, as_config, load_config
from ham_keras.data.selection import read_records
from ham_keras.data.splits import choose_split, select
from ham_keras.errors import program, run_command
from ham_keras.experiments.crossval import (
    CrossvalConfig,
    CrossvalFolder,
    draw_folds,
    fold_config,
    open_crossval,
    save_out_of_fold,
)
from ham_keras.models.initial_weights import with_initial_weights
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
    """Train a run for each fold, score the images it left out, and put these scores together.

    The images are read once for all folds. A finished fold is kept, an unfinished one continues.

    Raises:
        HamError: a user's fault in config or data, or a loss that is not a number.
    """
    settings = as_config(config, overrides).model_dump(by_alias=True)
    whole = with_data_root(CrossvalConfig.model_validate(settings | {"folds": folds}))
    whole = with_initial_weights(whole, overwrite=overwrite)
    with open_crossval(whole, overwrite=overwrite) as folder:
        records = draw_folds(whole, folder, read_records(whole.data))
        cache: Any = None
        for number in range(folds):
            config = fold_config(whole, folder, number)
            with open_run(config) as run:
                if run.finished:
                    print(f"{run.folder} is finished")
                    continue
                ids = choose_split(config.data, run.split, records)
                sides = {side: select(records, ids[side], f"{run.split}: {side}") for side in ids}
                # From here on TensorFlow is needed.
                import keras

                from ham_keras.data.pipeline import Examples
                from ham_keras.experiments.single import train_and_score

                keras.backend.clear_session()  # or the networks of all folds would be kept
                cache = cache or Examples(records, whole.data, visible=visible)
                train_and_score(config, run, sides, cache=cache, save_masks=True, visible=visible)
        summary = save_out_of_fold(whole, folder)
    print(f"\n{format_summary(summary, f'{folder.folder}: out of fold')}")
    spread = summary["folds"]
    each = ", ".join(f"{mean:.4f}" for mean in spread["jaccard"])
    print(f"\nmean Jaccard of the folds: {spread['mean']:.4f} +- {spread['std']:.4f} ({each})")
    return folder


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("crossval"), description="Train and score a config once for each of K folds by lesion."
    )
    parser.add_argument("config", help="a config file, e.g. configs/base.json, or a shipped config's name, e.g. base")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings laid over the config's")
    parser.add_argument("--folds", type=int, default=5, choices=range(2, 101), metavar="K", help="(default: 5)")
    parser.add_argument("--overwrite", action="store_true", help="delete a cross-validation of this name first")
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    for override in args.overrides:
        print(f"override: {override}")
    crossval(config, folds=args.folds, overwrite=args.overwrite)
    return 0


if __name__ == "__main__":
    run_command(main)
