"""Measure how far a run's masks can be trusted and write RUN/trust.json, which predict, export and app read.

python -m ham_keras.calibrate runs/base                  # on its validation images
python -m ham_keras.calibrate runs/folds                 # a cross-validation: each fold on the images held out from it
python -m ham_keras.calibrate runs/base --data my_masks  # so that the bounds hold for images like these
python -m ham_keras.calibrate runs/base --folds runs/folds  # learn from more images that a network has not seen
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.crossval_folder import CrossvalFolder
from ham_keras.data.records import Record
from ham_keras.data.selection import read_records
from ham_keras.data.splits import load_split
from ham_keras.errors import HamError, program, run_command, warn
from ham_keras.prediction.ensemble import Ensemble, load_ensemble
from ham_keras.runs import with_data_root
from ham_keras.runs.named import check_is_run
from ham_keras.scores.quality import format_quality
from ham_keras.trust.file import is_stale


def calibrate(
    folder: Path | str,
    *,
    data_root: Path | str | None = None,
    folds: Path | str | None = None,
    visible: bool = True,
) -> dict[str, Any]:
    """Write trust.json of a run or a cross-validation, and trust.csv with the answers it was made from.

    A run answers on its validation images, each fold of a cross-validation on the images held out from it. With
    `data_root`, the bounds hold for images like those in that folder; those of lesions trained on are left out. The
    trees also learn from the run's own images of other lesions, unless these are of fewer than 20 lesions, and with
    `folds`, a calibrated cross-validation of the run's recipe, from its out-of-fold answers.

    Returns:
        `scores.quality.measure_quality` of the calibration images, each assessed without the images of its lesion.

    Raises:
        HamError: `folder` is not a run, the images are missing or of fewer than 20 lesions, or `folds` is not a
            calibrated cross-validation.
    """
    ensemble = load_ensemble(folder)
    fold_table = None if folds is None else _fold_table(Path(folds), ensemble)
    assert ensemble.trust is not None
    check_is_run(ensemble.trust.parent, "calibrate")
    table = ensemble.trust_table
    # Imports TensorFlow.
    from ham_keras.experiments.calibration import calibrate_own, calibrate_run, recalibrate, unseen_sides
    from ham_keras.trust.fitting import has_enough

    root = None if data_root is None else Path(data_root).resolve()
    trust = ensemble.trust
    if root is not None and trust.exists() and table.exists() and not is_stale(trust, ensemble.weights_digest()):
        made_from = {"data": str(root), "split": None}
        tables = [table] if fold_table is None else [table, fold_table]
        return recalibrate(ensemble, _own_records(root, ensemble), tables, made_from, visible=visible)
    records = read_records(with_data_root(ensemble.config).data)
    if root is None:
        return calibrate_own(ensemble, records, folds=fold_table, visible=visible)
    sides = unseen_sides(ensemble, records)
    if len(sides) > 1 or has_enough(record.lesion_id for record in sides[0][1]):
        calibrate(folder, folds=folds, visible=visible)
        return calibrate(folder, data_root=root, folds=folds, visible=visible)
    made_from = {"data": str(root), "split": None}
    training, own = sides[0][0], _own_records(root, ensemble)
    return calibrate_run(ensemble, training, own, table, made_from, folds=fold_table, visible=visible)


def _fold_table(folder: Path, ensemble: Ensemble) -> Path:
    """The answers of a calibrated cross-validation, for a run."""
    crossval = CrossvalFolder(folder)
    if not crossval.config.exists():
        raise HamError(f"--folds {folder}: not a cross-validation; expected the folder of `ham_keras.crossval`")
    if len(ensemble.members) > 1:
        raise HamError(f"--folds {folder}: for single runs; a cross-validation learns from its own folds already")
    if not crossval.trust_table.exists():
        raise HamError(f"{crossval.trust_table}: missing; run `python -m ham_keras.calibrate {folder}` first")
    return crossval.trust_table


def _own_records(root: Path, ensemble: Ensemble) -> list[Record]:
    records = read_records(ensemble.config.data.model_copy(update={"root": str(root)}))
    trained = {image_id for member in ensemble.members for image_id in load_split(member.run.split)["train"]}
    lesions = {record.lesion_id for record in records if record.image_id in trained}
    unseen = [record for record in records if record.lesion_id not in lesions]
    if len(unseen) < len(records):
        warn(f"{root}: {len(records) - len(unseen)} of {len(records)} images are left out: of lesions trained on")
    if not unseen:
        raise HamError(f"{root}: the run was trained on all of these images; expected others")
    return unseen


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("calibrate"),
        description="Measure how far a run's masks can be trusted: writes RUN/trust.json. `train` does it at its end.",
    )
    parser.add_argument("run", metavar="RUN", help="a run folder, or a cross-validation")
    parser.add_argument(
        "--data", metavar="ROOT",
        help="make the bounds hold for images like these, with masks of at least 20 lesions (default: the run's own "
             "validation images)",
    )  # fmt: skip
    parser.add_argument(
        "--folds", metavar="DIR",
        help="a calibrated cross-validation of the run's recipe: the expected Jaccard also learns from its out-of-fold "
             "answers",
    )  # fmt: skip
    args = parser.parse_args(argv)
    quality = calibrate(args.run, data_root=args.data, folds=args.folds)
    print(f"\n{Path(args.run) / 'trust.json'}: {quality['images']} images, each assessed without its own lesion")
    print(format_quality(quality))
    print("\nResearch use; not a medical device.")
    return 0


if __name__ == "__main__":
    run_command(main)
