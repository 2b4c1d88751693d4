"""Outline lesions in image files: a mask, an overlay and a row of measurements for each.

python -m ham_keras.predict runs/base photos/ -o predictions
python -m ham_keras.predict runs/base a.jpg 'clinic/**/*.tif' -o predictions --tta --keep largest --fill-holes

Without flags the outline is that of the run's config. The same command continues what was interrupted; --overwrite
starts again. Research use; not a medical device.
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

from ham_keras.errors import HamError, program, run_command, shown, warn
from ham_keras.files import LONGEST_PART_PREFIX, save_csv
from ham_keras.prediction.arguments import add_outline_arguments, outline_from_arguments
from ham_keras.prediction.folder import PredictionFolder, describe_settings
from ham_keras.prediction.inputs import find_inputs
from ham_keras.runs import load_run
from ham_keras.settings import Outline

ENGINES = ("local", "ray")
LONGEST_STEM_BYTES = 255 - LONGEST_PART_PREFIX - len("_segmentation.png")  # of the 255 that file systems allow


@dataclass(frozen=True)
class Outcome:
    """What came of a prediction, in numbers of images; `failures` say why, by file."""

    images: int
    predicted: int
    skipped: int
    failures: dict[Path, str]


def predict(
    folder: Path | str,
    inputs: Sequence[Path | str],
    output: Path | str,
    outline: Outline | None = None,
    *,
    probability_bits: int | None = None,
    overwrite: bool = False,
    engine: str = "local",
    workers: int | None = None,
    visible: bool = True,
) -> Outcome:
    """Outline the lesions of image files with a run's network, in float32.

    Writes <id>_segmentation.png (0 and 255, at the image's own size), overlays/<id>.jpg, predictions.csv (see
    `prediction.measurements.measure_mask`) and, where files cannot be read, failures.csv. An image whose files and row
    are all there is skipped, whatever became of its file; with `overwrite` all are predicted again, and what is there
    of one that can no longer be read goes.

    Args:
        inputs: files, folders (searched with all below them; masks beside their images are left out), globs. Where
            names repeat, ids keep the folders, see `inputs.find_inputs`.
        outline: how probabilities become masks; the run's config decides when None.
        probability_bits: 8 or 16 also writes probabilities/<id>.png, 0 to 255 or to 65535, at the image's own size.
        engine: "local", or "ray" for `workers` processes on Ray, on this machine or the cluster that RAY_ADDRESS
            names, whose machines all see run, images and output under the same paths.

    Raises:
        HamError: not a run, no weights, no images, two images of one name, an output made otherwise or with files
            that are not this command's.
    """
    run, config = load_run(folder)
    outline = outline or config.outline
    if not run.weights.exists():
        raise HamError(f"{run.weights}: not there yet; train the run first")
    predictions = PredictionFolder(Path(output), probability_bits)
    found = find_inputs(inputs, predictions)
    for line in found.warnings():
        warn(line)
    failures = {path: reason for path in found.ids if (reason := _misnamed(path))}
    for reason in failures.values():
        _tell(reason)
    paths = [path for path in found.ids if path not in failures]
    with predictions.opened():
        predictions.assign_ids(found.ids)
        made_with = describe_settings(run, outline, probability_bits)
        anew = not predictions.check_settings(made_with, paths, overwrite=overwrite) or overwrite
        waiting = [path for path in paths if anew or not predictions.is_done(path)]
        if waiting:
            results = _segment(run.folder, outline, waiting, predictions, engine, workers)
            predictions.start(made_with, waiting)
            with tqdm(total=len(waiting), desc="predicting", unit=" images", disable=None if visible else True) as bar:
                for path, result in results:
                    if isinstance(result, HamError):
                        failures[path] = str(result)
                        _tell(str(result))
                    else:
                        predictions.add(result)
                    bar.update()
        predictions.failures.unlink(missing_ok=True)
        if failures:
            save_csv(predictions.failures, [{"image": shown(path), "error": failures[path]} for path in failures])
    failed = len(failures)
    return Outcome(
        len(found.ids), len(waiting) + len(found.ids) - len(paths) - failed, len(paths) - len(waiting), failures
    )


def _tell(reason: str) -> None:
    tqdm.write(f"error: {reason}", file=sys.stderr)


def _misnamed(path: Path) -> str:
    """Why an image's name cannot be that of its mask; empty where it can."""
    if shown(path) != str(path):
        return f"{shown(path)}: its name is not UTF-8; rename it"
    if len(os.fsencode(path.stem)) > LONGEST_STEM_BYTES:
        return f"{path}: its name is too long for that of its mask; rename it to at most {LONGEST_STEM_BYTES} bytes"
    return ""


def _segment(
    folder: Path,
    outline: Outline,
    paths: Sequence[Path],
    predictions: PredictionFolder,
    engine: str,
    workers: int | None,
) -> Iterator[tuple[Path, Any]]:
    if engine == "ray":
        from ham_keras.prediction.ray_engine import predict_on_ray

        return predict_on_ray(folder, outline, paths, predictions, workers)
    from ham_keras.prediction.predictor import load_predictor

    return load_predictor(folder, outline).predict_files(paths, predictions.save)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 1 when an image failed."""
    parser = argparse.ArgumentParser(
        prog=program("predict"),
        description="Outline lesions in image files: masks, overlays and measurements. Not a medical device.",
    )
    parser.add_argument("run", metavar="RUN", help="a run folder, e.g. runs/base")
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="image files, folders or quoted globs")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="folder of the predictions")
    add_outline_arguments(parser)
    parser.add_argument(
        "--save-probabilities", type=int, choices=(8, 16), nargs="?", const=8, dest="probability_bits",
        help="also write probabilities/<id>.png in 8 (default) or 16 bits",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="predict the inputs again, whatever is there of them")
    parser.add_argument("--engine", choices=ENGINES, default="local", help="ray: in processes on Ray (extra `ray`)")
    parser.add_argument("--workers", type=_count, metavar="N", help="of --engine ray (default: one for each two cores)")
    args = parser.parse_args(argv)
    config = load_run(args.run)[1]
    outcome = predict(
        args.run,
        args.inputs,
        args.output,
        outline_from_arguments(args, config.outline),
        probability_bits=args.probability_bits,
        overwrite=args.overwrite,
        engine=args.engine,
        workers=args.workers,
    )
    failed = len(outcome.failures)
    print(
        f"{args.output}: {outcome.predicted} images predicted, {outcome.skipped} were there already, {failed} failed"
        + (f", see {PredictionFolder(args.output).failures}" if failed else "")
        + ". Research use; not a medical device."
    )
    return 1 if failed else 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text}")
    return int(text)


if __name__ == "__main__":
    run_command(main)
