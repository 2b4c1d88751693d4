"""Segment lesions in image files: write a mask, an overlay and measurements for each.

python -m ham_keras.predict runs/base photos/ -o predictions
python -m ham_keras.predict phantom photos/ -o predictions    # a model by its name; --list shows them
python -m ham_keras.predict runs/base a.jpg 'clinic/**/*.tif' -o predictions --tta --keep largest --fill-holes
python -m ham_keras.predict runs/base photos/ -o predictions --review-first --margin    # after calibrate
python -m ham_keras.predict runs/base runs/other photos/ -o predictions    # the mean of their probabilities

Post-processing defaults to that of the run's config. Run the same command again to resume an interrupted prediction;
--overwrite starts over. Research use; not a medical device.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ham_keras.diagnosis.folder import describe_classifier
from ham_keras.errors import HamError, is_utf8, program, run_command, shown, warn
from ham_keras.files import load_csv, save_csv
from ham_keras.prediction.arguments import (
    add_outline_arguments,
    add_runs_argument,
    outline_from_arguments,
    split_inputs,
)
from ham_keras.prediction.ensemble import Ensemble, Folders, describe_settings, load_ensemble
from ham_keras.prediction.folder import PredictionFolder
from ham_keras.prediction.inputs import find_inputs
from ham_keras.prediction.replacement import finish_replacement, is_unfinished, place_for
from ham_keras.prediction.review import check_trust, save_review
from ham_keras.settings import Outline

LISTED = 10  # of the least trusted masks
ENGINES = ("local", "ray")
LONGEST_STEM_BYTES = 224  # file systems allow 255 for a name, with "_segmentation.png" or another ending


@dataclass(frozen=True)
class Outcome:
    """Numbers of images of a prediction; `failures` maps failed files to their errors."""

    images: int
    predicted: int
    skipped: int
    failures: dict[Path, str]


def predict(
    folder: Folders,
    inputs: Sequence[Path | str] | Path | str,
    output: Path | str,
    outline: Outline | None = None,
    *,
    probability_bits: int | None = None,
    diagnosis: Path | str | None = None,
    margin: bool = False,
    review_first: bool = False,
    overwrite: bool = False,
    engine: str = "local",
    workers: int | None = None,
    visible: bool = True,
) -> Outcome:
    """Segment image files in float32 with a run's network, or with the mean of several.

    Writes <id>_segmentation.png (0 and 255, at the image's own size), overlays/<id>.jpg, predictions.csv (see
    `prediction.measurements.measure_mask`) and, if files cannot be read, failures.csv. Images whose outputs exist are
    skipped, even if the image file has changed since. With `overwrite`, all images are predicted again; the old outputs
    and rows stay until all new ones are there, and those of images that can no longer be read are deleted then.

    Args:
        folder: a run folder, or several, whose probabilities are averaged. A cross-validation counts as its folds.
        inputs: files, folders (searched recursively; masks beside images are ignored) or globs. If names repeat, ids
            include folders; see `inputs.find_inputs`.
        outline: the post-processing; that of the (first) run's config if None.
        probability_bits: 8 or 16 to also write probabilities/<id>.png, 0..255 or 0..65535, at the image's own size.
        diagnosis: a diagnosis run that adds the columns p_<diagnosis> to predictions.csv; not with engine "ray".
        margin: draw the band in which the true outline is expected on the overlays. Needs a trust.json.
        review_first: also write review.csv and review.jpg, see `prediction.review`. Needs a trust.json.
        engine: "local", or "ray" to run `workers` processes on Ray, on this machine or on the cluster at RAY_ADDRESS.
            All machines of a cluster must see run, images and output under the same paths.

    Raises:
        HamError: `folder` is not a run or has no weights, no images are found, two images have the same name, or
            `output` was made with other settings or holds files not written by this command; or `diagnosis` is not a
            trained diagnosis run.
    """
    if diagnosis is not None and engine == "ray":
        raise HamError("--diagnosis: not with --engine ray; leave out one of them")
    ensemble = load_ensemble(folder)
    outline = outline or ensemble.agreed_outline()
    check_trust(ensemble, outline, needed=margin or review_first)
    predictions = PredictionFolder(Path(output), probability_bits, margin=margin)
    found = find_inputs([inputs] if isinstance(inputs, str | Path) else inputs, predictions)
    for line in found.warnings():
        warn(line)
    failures = {path: reason for path in found.ids if (reason := _name_error(path))}
    for reason in failures.values():
        _report_error(reason)
    paths = [path for path in found.ids if path not in failures]
    with predictions.opened():
        finish_replacement(predictions)
        predictions.assign_ids(found.ids)
        made_with = describe_settings(ensemble, outline, probability_bits, margin=margin)
        if diagnosis is not None:
            made_with["diagnosis"] = describe_classifier(diagnosis)
        overwrite = overwrite or is_unfinished(predictions, made_with)
        from_scratch = not predictions.check_settings(made_with, paths, overwrite=overwrite) or overwrite
        pending = [path for path in paths if from_scratch or not predictions.is_done(path)]
        missing: list[Path] = []
        if pending:
            with place_for(predictions, pending, made_with) as (place, missing):
                results = _segment(ensemble, outline, missing, place, diagnosis, engine, workers)
                place.start(made_with, missing)
                hidden = None if visible else True
                with tqdm(total=len(missing), desc="predicting", unit=" images", disable=hidden) as bar:
                    for path, result in results:
                        if isinstance(result, HamError):
                            failures[path] = str(result)
                            place.discard(place.id_of(path))
                            _report_error(str(result))
                        else:
                            place.add(result)
                        bar.update()
        if review_first:
            save_review(predictions)
        predictions.failures.unlink(missing_ok=True)
        if failures:
            save_csv(predictions.failures, [{"image": shown(path), "error": failures[path]} for path in failures])
    readable, skipped = len(found.ids) - len(failures), len(paths) - len(missing)
    return Outcome(len(found.ids), readable - skipped, skipped, failures)


def _report_error(reason: str) -> None:
    tqdm.write(f"error: {reason}", file=sys.stderr)


def _name_error(path: Path) -> str:
    """Why no mask can be named after an image; empty if one can."""
    if not is_utf8(path):
        return f"{shown(path)}: its name is not UTF-8; rename it"
    if len(os.fsencode(path.stem)) > LONGEST_STEM_BYTES:
        return f"{shown(path)}: the name of its mask would be too long; rename it to at most {LONGEST_STEM_BYTES} bytes"
    return ""


def _segment(
    ensemble: Ensemble,
    outline: Outline,
    paths: Sequence[Path],
    predictions: PredictionFolder,
    diagnosis: Path | str | None,
    engine: str,
    workers: int | None,
) -> Iterator[tuple[Path, Any]]:
    if engine == "ray":
        from ham_keras.prediction.ray_engine import predict_on_ray

        return predict_on_ray(ensemble, outline, paths, predictions, workers)
    from ham_keras.prediction.predictor import load_predictor

    predictor = load_predictor(ensemble, outline)
    if diagnosis is None:
        return predictor.predict_files(paths, predictions.save)
    from ham_keras.diagnosis.diagnoser import Diagnoser

    diagnoser = Diagnoser(diagnosis)
    diagnoser.warn_of_another(ensemble, outline)
    return diagnoser.diagnose_files(predictor, paths, predictions.save)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 1 if an image failed."""
    parser = argparse.ArgumentParser(
        prog=program("predict"),
        description="Segment lesions in image files: masks, overlays and measurements. Not a medical device.",
    )
    add_runs_argument(parser)
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="image files, folders or quoted globs")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="output folder")
    add_outline_arguments(parser)
    parser.add_argument(
        "--save-probabilities", type=int, choices=(8, 16), nargs="?", const=8, dest="probability_bits",
        help="also write probabilities/<id>.png in 8 (default) or 16 bits",
    )  # fmt: skip
    parser.add_argument(
        "--diagnosis", metavar="RUN", help="a diagnosis run, e.g. runs/diagnosis: adds columns p_<diagnosis>"
    )
    parser.add_argument(
        "--margin", action="store_true", help="draw the band in which the true outline is expected on the overlays"
    )
    parser.add_argument(
        "--review-first", action="store_true",
        help="also write review.csv, with the least trusted masks first, and a contact sheet of them, review.jpg",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="predict the inputs again, replacing existing outputs")
    parser.add_argument("--engine", choices=ENGINES, default="local", help="ray: run in parallel on Ray (extra `ray`)")
    parser.add_argument(
        "--workers", type=_count, metavar="N",
        help="processes of --engine ray (default: one per GPU, or per two cores without one)",
    )  # fmt: skip
    args = parser.parse_args(argv)
    runs, inputs = split_inputs([*args.runs, *args.inputs])
    outcome = predict(
        runs,
        inputs,
        args.output,
        outline_from_arguments(args, load_ensemble(runs).agreed_outline()),
        probability_bits=args.probability_bits,
        diagnosis=args.diagnosis,
        margin=args.margin,
        review_first=args.review_first,
        overwrite=args.overwrite,
        engine=args.engine,
        workers=args.workers,
    )
    failed = len(outcome.failures)
    print(
        f"{shown(args.output)}: {outcome.predicted} images predicted, {outcome.skipped} skipped, {failed} failed"
        + (f", see {shown(PredictionFolder(args.output).failures)}" if failed else "")
        + ". Research use; not a medical device."
    )
    review = PredictionFolder(args.output).review_table
    if args.review_first and review.exists():
        print(f"\nleast trusted, see {review} and {review.with_suffix('.jpg').name}:")
        for row in load_csv(review)[:LISTED]:
            print(f"  {float(row['expected_jaccard']):.2f}  {row['image_id']}  {row['review_reason']}")
    return 1 if failed else 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text}")
    return int(text)


if __name__ == "__main__":
    run_command(main)
