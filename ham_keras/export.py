"""Write a run's network as a SavedModel that TensorFlow Serving takes, for ONNX Runtime or for OpenVINO.

python -m ham_keras.export runs/base                  # export/base/1, then 2, ...
python -m ham_keras.export runs/base --output /models/lesion --version 7
python -m ham_keras.export runs/base --format onnx    # export/base-onnx/1
python -m ham_keras.export runs/base outline.tta=true outline.fill_holes=true
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path

from ham_keras.config import Config
from ham_keras.errors import HamError, program, run_command
from ham_keras.files import creating_folder, load_json, remove_parts, save_json
from ham_keras.runs import Run, check_overrides, load_run
from ham_keras.serving.metadata import INTENDED_USE, describe_export

FORMATS = ("saved_model", "onnx", "openvino")


def export(
    folder: Path | str,
    output: Path | str | None = None,
    *,
    version: int | None = None,
    form: str = "saved_model",
    overrides: Sequence[str] = (),
) -> Path:
    """Write `output`/<version>/, whole or not at all; the next free version when none is named.

    `output` defaults to export/<run name>, with -onnx or -openvino behind it for those: a server that watches a
    folder takes each version in it for its own. The network is float32 with the run's best weights, frozen. A
    SavedModel holds the run's outline too; the other formats hold the network alone, and metadata.json says what is
    left to the caller. `overrides` are outline.key=value.

    Returns:
        the version's folder.

    Raises:
        HamError: not a run, no weights yet, the version is there already, the folder cannot be written, the
            format's packages are not installed.
    """
    run, config = load_run(folder, check_overrides(overrides, ("outline",)))
    name = run.folder.resolve().name
    target = Path(output or Path("export", name if form == "saved_model" else f"{name}-{form}"))
    if version is not None and version < 0:
        raise HamError(f"--version: expected 0 or more, got {version}")
    place = target / str(next_version(target) if version is None else version)
    if place.exists():
        raise HamError(f"{place}: is there already; name another --version, or none for the next free one")
    remove_parts(target)
    try:
        with creating_folder(place) as part:  # a server reads only folders whose name is a number
            _write(run, config, part, form)
    except OSError as error:
        raise HamError(f"{place}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            target.rmdir()  # only where it stayed empty
    return place


def next_version(target: Path) -> int:
    """One more than the highest version in the folder, as TensorFlow Serving counts them; 1 in a new one."""
    versions = [int(child.name) for child in target.glob("*") if child.name.isdecimal()]
    return max(versions, default=0) + 1


def _write(run: Run, config: Config, part: Path, form: str) -> None:
    from ham_keras.models.loading import load_model
    from ham_keras.serving.formats import WRITERS

    WRITERS[form](load_model(run, config), config, part, run.folder.resolve().name)
    save_json(part / "assets.extra" / "metadata.json", describe_export(run, config, form))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("export"),
        description="Write a run's network for TensorFlow Serving or another runtime.",
    )
    parser.add_argument("run", help="a run folder, e.g. runs/base")
    parser.add_argument(
        "overrides", nargs="*", metavar="outline.key=value", help="export another outline than that of the run's config"
    )
    parser.add_argument("--output", metavar="DIR", help="the model's folder (default: export/<run name>[-FORMAT])")
    parser.add_argument("--format", choices=FORMATS, default="saved_model", help="(default: %(default)s)")
    parser.add_argument("--version", type=int, metavar="N", help="its version (default: the next free one)")
    args = parser.parse_intermixed_args(argv)
    place = export(args.run, args.output, version=args.version, form=args.format, overrides=args.overrides)
    signatures = load_json(place / "assets.extra" / "metadata.json")["signatures"]
    print(f"{place}: {args.format}, {', '.join(signatures)}; {INTENDED_USE}")
    if "network" in signatures:
        print(f"left to the caller: {', '.join(signatures['network']['left_to_the_caller'])}")
    return 0


if __name__ == "__main__":
    run_command(main)
