"""Measure how far a run's answers can be trusted, on images that it was not trained on, and write trust.json."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.data.records import Record
from ham_keras.data.splits import load_split, select
from ham_keras.errors import HamError
from ham_keras.experiments.answers import (
    Observed,
    encode_images,
    join,
    join_answers,
    observe_images,
    read_answers,
    save_answers,
)
from ham_keras.files import replacing
from ham_keras.prediction.ensemble import Ensemble
from ham_keras.scores.quality import measure_quality
from ham_keras.scores.scores import THRESHOLD
from ham_keras.trust.feature_names import FEATURES
from ham_keras.trust.file import VERSION, InputCheck, Trust, is_stale, load_trust, save_trust
from ham_keras.trust.fitting import (
    Answers,
    check_enough,
    conformal_quantile,
    fit_input_check,
    fit_quality,
    has_enough,
    input_limit,
)
from ham_keras.trust.temperature import fit_temperature

BLURRED_SHARE = 0.01  # of the calibration images that count as out of focus


def calibrate_run(
    ensemble: Ensemble,
    training: Sequence[Record],
    unseen: Sequence[Record],
    table: Path,
    made_from: dict[str, Any],
    *,
    folds: Path | None = None,
    visible: bool = True,
) -> dict[str, Any]:
    """Write trust.json of a single run, and the answers it was made from to `table`.

    Args:
        training: images that the network was trained on, for the input check.
        unseen: images with masks that it was not trained on.
        made_from: describes the images.
        folds: the table of a calibrated cross-validation of the same recipe. The trees also learn from its out-of-fold
            answers, except those about the unseen images' lesions; bounds and input check do not.

    Returns:
        `scores.quality.measure_quality` of the unseen images, out of fold.

    Raises:
        HamError: too few lesions, or a file cannot be read.
    """
    (member,) = ensemble.members
    check_enough(record.lesion_id for record in unseen)
    former = None if folds is None else _answers_about_others(folds, unseen)
    observed = observe_images(member, unseen, visible=visible)
    check = fit_input_check(
        encode_images(member, training, visible=visible), observed.encodings, observed.answers.lesions
    )
    return _write(ensemble, observed, check, made_from, table, former)


def calibrate_folds(
    ensemble: Ensemble,
    sides: Sequence[tuple[Sequence[Record], Sequence[Record]]],
    table: Path,
    made_from: dict[str, Any],
    *,
    visible: bool = True,
) -> dict[str, Any]:
    """Write trust.json of a cross-validation from the answers of each fold's network to the images held out from it.

    The input check is that of the first fold, whose encoder the mean of the folds uses.

    Args:
        sides: the training and the held-out images of each fold.
    """
    check_enough(record.lesion_id for _, unseen in sides for record in unseen)
    parts = [
        observe_images(member, unseen, visible=visible)
        for member, (_, unseen) in zip(ensemble.members, sides, strict=True)
    ]
    first = parts[0]
    encodings = encode_images(ensemble.members[0], sides[0][0], visible=visible)
    check = fit_input_check(encodings, first.encodings, first.answers.lesions)
    return _write(ensemble, join(parts), check, made_from, table)


def unseen_sides(ensemble: Ensemble, records: Sequence[Record]) -> list[tuple[list[Record], list[Record]]]:
    """For each network, the images it was trained on and those that its answers are measured on.

    These are the validation images of a run, and of a cross-validation the images held out from each fold.

    Raises:
        HamError: an image of a split is not among the records.
    """
    held_out = "val" if len(ensemble.members) == 1 else "test"
    sides = []
    for member in ensemble.members:
        ids = load_split(member.run.split)
        train, unseen = (select(records, ids[side], f"{member.run.split}: {side}") for side in ("train", held_out))
        sides.append((train, unseen))
    return sides


def calibrate_own(
    ensemble: Ensemble, records: Sequence[Record], *, folds: Path | None = None, visible: bool = True
) -> dict[str, Any]:
    """Write trust.json of a run or a cross-validation from its own data, `records`; see `unseen_sides`.

    Raises:
        HamError: too few lesions, or a file cannot be read.
    """
    table, sides = ensemble.trust_table, unseen_sides(ensemble, records)
    made_from = {"data": str(ensemble.config.data.root), "split": "val" if len(sides) == 1 else "test"}
    if len(sides) == 1:
        return calibrate_run(ensemble, *sides[0], table, made_from, folds=folds, visible=visible)
    return calibrate_folds(ensemble, sides, table, made_from, visible=visible)


def calibrate_if_possible(ensemble: Ensemble, records: Sequence[Record], *, visible: bool = True) -> None:
    """As `calibrate_own`, or say why there is no trust.json: a run is complete without it.

    A trust.json of the weights before a continued training is removed then.
    """
    assert ensemble.trust is not None
    try:
        calibrate_own(ensemble, records, visible=visible)
    except HamError as error:
        removed = ""
        if is_stale(ensemble.trust, ensemble.weights_digest()):
            for path in (ensemble.trust, ensemble.trust_table):
                path.unlink(missing_ok=True)
            removed = " (that of the former weights is removed)"
        print(f"no {ensemble.trust}{removed}: {error}; for others: python -m ham_keras.calibrate RUN --data ROOT")


def _answers_about_others(table: Path, unseen: Sequence[Record]) -> Answers | None:
    """The answers in a table, except those about the lesions of these images; None if they are of too few lesions.

    All former answers together have the weight of those about these images.
    """
    answers = read_answers(table)
    others = np.flatnonzero(~np.isin(answers.lesions, [record.lesion_id for record in unseen]))
    return answers.take(others) if has_enough(answers.lesions[others]) else None


def recalibrate(
    ensemble: Ensemble,
    records: Sequence[Record],
    tables: Sequence[Path],
    made_from: dict[str, Any],
    *,
    visible: bool = True,
) -> dict[str, Any]:
    """Write a trust.json that exists again so that its bounds hold for images like these.

    The trees also learn from the answers in `tables`, except those about the lesions of these images; bounds, input
    check and blur are measured on these images alone. A cross-validation answers with its first fold's network.

    Raises:
        HamError: see `calibrate_run`.
    """
    assert ensemble.trust is not None
    trust = load_trust(ensemble.trust, ensemble.weights_digest())
    assert trust is not None
    check_enough(record.lesion_id for record in records)
    observed = observe_images(ensemble.members[0], records, visible=visible)
    limit = input_limit(trust.input_check, observed.encodings, observed.answers.lesions)
    check = trust.input_check.model_copy(update={"limit": limit})
    former = [answers for table in tables if (answers := _answers_about_others(table, records)) is not None]
    return _write(ensemble, observed, check, made_from, None, join_answers(former) if former else None)


def _write(
    ensemble: Ensemble,
    observed: Observed,
    check: InputCheck,
    made_from: dict[str, Any],
    table: Path | None,
    former: Answers | None = None,
) -> dict[str, Any]:
    assert ensemble.trust is not None
    answers, threshold = observed.answers, ensemble.config.outline.threshold
    quality = fit_quality(answers, former)
    temperature, before, after = fit_temperature(observed.band_probability, observed.band_lesion, threshold)
    measured = measure_quality(
        answers.jaccard,
        quality.out_of_fold["expected_jaccard"],
        quality.out_of_fold["jaccard_at_least"],
        quality.out_of_fold["margin"] >= answers.distance,
        quality.out_of_fold["expected_jaccard"] < THRESHOLD,
        answers.lesions,
    )
    trust = Trust(
        version=VERSION,
        made_from={
            **made_from,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "images": len(answers),
            "lesions": len(set(answers.lesions)),
            "also_learnt_from": 0 if former is None else len(former),
            "band_calibration_error": {"without_temperature": before, "with_temperature": after},
            "out_of_fold": measured,
        },
        weights_sha256=ensemble.weights_digest(),
        threshold=threshold,
        features=list(FEATURES),
        lowest=quality.lowest,
        highest=quality.highest,
        trees=quality.trees,
        jaccard_factor=quality.jaccard_factor,
        margin_factor=quality.margin_factor,
        input_check=check,
        blurred_below=-conformal_quantile(-answers.feature("focus").astype(float), answers.lesions, 1 - BLURRED_SHARE),
        temperature=temperature,
    )
    with ExitStack() as stack:  # both are there before the first replaces an old one
        save_trust(stack.enter_context(replacing(ensemble.trust)), trust)
        if table is not None:
            save_answers(stack.enter_context(replacing(table)), observed, quality.out_of_fold)
    return measured
