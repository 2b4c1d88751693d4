"""Export a network, or the mean of several: for TensorFlow Serving, ONNX Runtime, OpenVINO or LiteRT.

python -m ham_keras.export runs/base                  # export/base/1, then 2, ...
python -m ham_keras.export runs/base --output /models/lesion --version 7
python -m ham_keras.export runs/base --format onnx    # export/base-onnx/1
python -m ham_keras.export runs/base --format openvino --precision int8    # export/base-openvino-int8/1
python -m ham_keras.export runs/base --format litert --precision float16    # export/base-litert-float16/1
python -m ham_keras.export runs/base outline.tta=true outline.fill_holes=true
python -m ham_keras.export runs/base runs/other --output export/both
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.errors import HamError, is_utf8, program, run_command, shown
from ham_keras.files import creating_folder, load_json, remove_parts, save_json
from ham_keras.prediction.arguments import add_runs_argument, split_overrides
from ham_keras.prediction.ensemble import Ensemble, Folders, load_ensemble
from ham_keras.runs import check_overrides
from ham_keras.serving.metadata import INTENDED_USE, describe_export
from ham_keras.serving.representative import describe_representative, find_representative, read_representative

PRECISIONS = {  # by format
    "saved_model": ("float32",),
    "onnx": ("float32",),
    "openvino": ("float32", "int8"),
    "litert": ("float32", "float16", "int8"),
}
SETTABLE = ("outline", "data.root")


def export(
    folder: Folders,
    output: Path | str | None = None,
    *,
    version: int | None = None,
    form: str = "saved_model",
    precision: str = "float32",
    overrides: Sequence[str] = (),
) -> Path:
    """Write `output`/<version>/ atomically; `version` defaults to the next free one.

    `folder` is a run or a cross-validation, whose folds are averaged, or several of these, with their mean as one
    network. `output` defaults to export/<run name>, with a suffix such as -onnx or -openvino-int8 for another format or
    precision, because a server loads every version in the folder that it watches; it has no default for several. The
    network has the run's best weights, frozen. A SavedModel includes the post-processing of the config's `outline`; the
    other formats contain only the network, and metadata.json lists what is left to the caller. With `precision` "int8",
    the network is quantised after training, calibrated on training images of the (first) run; with "float16" only its
    weights are. `overrides` may set outline.*, and data.root if these images have moved.

    Returns:
        The folder of the version.

    Raises:
        HamError: `folder` is not a run or has no weights, the version exists, the folder cannot be written, or the
            format's packages are not installed or it does not support these runs or this precision; or the images that
            int8 needs are not found; or the format has only the network of a run that removes hairs.
    """
    ensemble = load_ensemble(folder, check_overrides(overrides, SETTABLE))
    name = ensemble.name
    if form not in PRECISIONS:
        raise HamError(f"--format: expected one of {', '.join(PRECISIONS)}, got {form!r}")
    if precision not in PRECISIONS[form]:
        others = [other for other, precisions in PRECISIONS.items() if precision in precisions]
        fitting = f"; --format {' or '.join(others)} has it" if others else ""
        raise HamError(f"--precision {precision}: --format {form} has only {', '.join(PRECISIONS[form])}{fitting}")
    if form != "saved_model" and any(member.config.data.hair_removal for member in ensemble.members):
        raise HamError(
            f"--format {form}: {name} removes hairs (data.hair_removal), but this format has only the network; use "
            f"--format saved_model, or train without hair removal"
        )
    if output is None and ensemble.home is None:
        raise HamError(f"--output DIR: missing; it takes the mean of the {len(ensemble.members)} runs")
    suffixes = [each for each in (form, precision) if each not in ("saved_model", "float32")]
    target = Path(output or Path("export", "-".join([name, *suffixes])))
    if not is_utf8(target):
        raise HamError(f"{shown(target)}: not UTF-8; choose another --output")
    if version is not None and version < 0:
        raise HamError(f"--version: expected 0 or more, got {version}")
    place = target / str(next_version(target) if version is None else version)
    if place.exists():
        raise HamError(f"{place}: already exists; choose another --version, or omit it for the next free one")
    ensemble.agreed_outline()
    remove_parts(target)
    try:
        with creating_folder(place) as part:  # a server loads only folders whose name is a number
            _write(ensemble, part, form, precision)
    except OSError as error:
        raise HamError(f"{place}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            target.rmdir()  # succeeds only if it is empty
    return place


def next_version(target: Path) -> int:
    """One more than the highest TensorFlow Serving version in the folder; 1 if there is none."""
    versions = [int(child.name) for child in target.glob("*") if child.name.isdecimal()]
    return max(versions, default=0) + 1


def _write(ensemble: Ensemble, part: Path, form: str, precision: str) -> None:
    from ham_keras.prediction.predictor import load_members
    from ham_keras.serving.formats import WRITERS, require_packages

    require_packages(form, precision)
    options: dict[str, Any] = {"precision": precision} if form == "litert" else {}
    calibration = None
    if precision == "int8":
        records = find_representative(ensemble)
        options["images"] = read_representative(ensemble, records)
        calibration = describe_representative(ensemble, records)
    trust = ensemble.load_trust()
    WRITERS[form](load_members(ensemble), ensemble.config.outline, part, ensemble.name, trust, **options)
    described = describe_export(ensemble, form, precision, calibration)
    save_json(part / "assets.extra" / "metadata.json", described)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("export"),
        description="Export a run's network, or the mean of several, for TensorFlow Serving or another runtime.",
    )
    add_runs_argument(parser)
    parser.add_argument(
        "overrides", nargs="*", metavar="outline.key=value",
        help="override the run's post-processing; or data.root=FOLDER, for --precision int8",
    )  # fmt: skip
    parser.add_argument(
        "--output", metavar="DIR", help="the model's folder (default: export/<run name>[-FORMAT][-PRECISION])"
    )
    parser.add_argument("--format", choices=PRECISIONS, default="saved_model", help="(default: %(default)s)")
    parser.add_argument(
        "--precision", choices=sorted({each for some in PRECISIONS.values() for each in some}), default="float32",
        help="float16: of litert; int8: of litert and openvino, calibrated on training images (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--version", type=int, metavar="N", help="the model's version (default: the next free one)")
    args = parser.parse_intermixed_args(argv)
    runs, overrides = split_overrides([*args.runs, *args.overrides])
    place = export(
        runs, args.output, version=args.version, form=args.format, precision=args.precision,
        overrides=overrides,
    )  # fmt: skip
    signatures = load_json(place / "assets.extra" / "metadata.json")["signatures"]
    print(f"{shown(place)}: {args.format}, {args.precision}, {', '.join(signatures)}; {INTENDED_USE}")
    if args.format != "saved_model":
        (only,) = signatures.values()
        print(f"left to the caller: {', '.join(only['left_to_the_caller'])}")
    return 0


if __name__ == "__main__":
    run_command(main)
