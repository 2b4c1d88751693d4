"""Write a run's network as a SavedModel that TensorFlow Serving takes, for ONNX Runtime or for OpenVINO.

python -m ham_keras.export runs/base                  # export/base/1, then 2, ...
python -m ham_keras.export runs/base --output /models/lesion --version 7
python -m ham_keras.export runs/base --format onnx    # export/base-onnx/1
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.config import Config
from ham_keras.environment import describe_environment
from ham_keras.errors import HamError, run_command
from ham_keras.runs import Run, load_json, load_run, save_json

INTENDED_USE = "Research use; not a medical device. Not validated for any clinical decision."
LICENCE = (
    "Code: Apache-2.0. Weights trained on HAM10000 (CC BY-NC 4.0: Tschandl, Rosendahl, Kittler, Scientific Data "
    "5:180161, 2018) are for non-commercial use."
)


FORMATS = ("saved_model", "onnx", "openvino")


def export(
    folder: Path | str, output: Path | str | None = None, *, version: int | None = None, form: str = "saved_model"
) -> Path:
    """Write `output`/<version>/, whole or not at all; the next free version when none is named.

    `output` defaults to export/<run name>, with -onnx or -openvino behind it for those: a server that watches a
    folder takes each version in it for its own. The network is float32 with the run's best weights, frozen.

    Returns:
        the version's folder.

    Raises:
        HamError: not a run, no weights yet, the version is there already, the folder cannot be written, the
            format's packages are not installed.
    """
    run, config = load_run(folder)
    name = run.folder.resolve().name
    target = Path(output or Path("export", name if form == "saved_model" else f"{name}-{form}"))
    if version is not None and version < 0:
        raise HamError(f"--version: expected 0 or more, got {version}")
    place = target / str(next_version(target) if version is None else version)
    if place.exists():
        raise HamError(f"{place}: is there already; name another --version, or none for the next free one")
    part = target / f".part-{os.getpid()}"  # servers take folders with a number for a name
    try:
        target.mkdir(parents=True, exist_ok=True)
        _write(run, config, part, form)
        os.rename(part, place)
    except OSError as error:
        raise HamError(f"{place}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            target.rmdir()  # only where it stayed empty
    return place


def next_version(target: Path) -> int:
    """One more than the highest version in the folder, as TensorFlow Serving counts them; 1 in a new one."""
    versions = [int(child.name) for child in target.glob("*") if child.name.isdecimal()]
    return max(versions, default=0) + 1


def _write(run: Run, config: Config, part: Path, form: str) -> None:
    from ham_keras.evaluate import load_model
    from ham_keras.serving.formats import WRITERS

    WRITERS[form](load_model(run, config), config, part, run.folder.resolve().name)
    save_json(part / "assets.extra" / "metadata.json", describe_service(run, config, form))


def describe_service(run: Run, config: Config, form: str = "saved_model") -> dict[str, Any]:
    """What stands in metadata.json: every input and output, how the network came to be and what it reached."""
    height_px, width_px = config.data.image_size
    rgb = {"channels": "RGB", "range": [0, 255]}
    files = {"dtype": "string", "shape": ["N"], "holds": "JPEG or PNG files; EXIF turns are ignored"}
    photographs = {"dtype": "uint8", "shape": ["N", "H", "W", 3], **rgb}
    resized = {"dtype": "float32", "shape": ["N", height_px, width_px, 3], **rgb}
    probability = {"dtype": "float32", "range": [0, 1], "meaning": "probability that a pixel is lesion"}
    small = {**probability, "shape": ["N", height_px, width_px]}
    masks = {"dtype": "string", "shape": ["N"], "holds": "PNG files at each image's size: 255 lesion, 0 skin"}
    signatures = {
        "serving_default": {
            "inputs": {"images": photographs},
            "outputs": {"probability": {**probability, "shape": ["N", "H", "W"]}},
        },
        "serve_bytes": {
            "inputs": {"image_bytes": files},
            "outputs": {"probability": small, "mask_bytes": masks},
        },
        "serve_network": {"inputs": {"images": resized}, "outputs": {"probability": small}},
    }
    if form != "saved_model":
        only = {**probability, "shape": ["N", height_px, width_px, 1], "name": "the first output"}
        signatures = {"network": {"inputs": {"images": resized}, "outputs": {"probability": only}}}
    return {
        "name": run.folder.resolve().name,
        "intended_use": INTENDED_USE,
        "licence": LICENCE,
        "format": form,
        "signatures": signatures,
        "preprocessing": f"RGB 0..255, bilinear with antialias to {height_px}x{width_px}, rounded; nothing is divided",
        "threshold": config.score.threshold,
        "precision": "float32",
        "config": config.model_dump(by_alias=True, exclude={"schema_"}),
        "trained": load_json(run.environment),
        "exported": describe_environment("CPU", "float32"),
        "scores": load_json(run.summary("test")) if run.summary("test").exists() else None,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ham_keras.export",
        description="Write a run's network for TensorFlow Serving or another runtime.",
    )
    parser.add_argument("run", help="a run folder, e.g. runs/base")
    parser.add_argument("--output", metavar="DIR", help="the model's folder (default: export/<run name>[-FORMAT])")
    parser.add_argument("--format", choices=FORMATS, default="saved_model", help="(default: %(default)s)")
    parser.add_argument("--version", type=int, metavar="N", help="its version (default: the next free one)")
    args = parser.parse_args(argv)
    place = export(args.run, args.output, version=args.version, form=args.format)
    described = load_json(place / "assets.extra" / "metadata.json")
    print(f"{place}: {args.format}, {', '.join(described['signatures'])}; {INTENDED_USE}")
    return 0


if __name__ == "__main__":
    run_command(main)
