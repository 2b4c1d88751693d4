"""Pack a trained run as a model that others can use by its name: half the size, no images, ids or paths.

python -m ham_keras.pack runs/base -o models/clinic --licence "CC BY-NC 4.0" --trained-on "200 images of our clinic"
HAM_KERAS_MODELS=models python -m ham_keras.predict clinic photos/ -o predictions

The folder holds config.json, model.weights.h5, trust.json, scores, model.json and README.md, a model card. Copy it to
hand it on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ham_keras.errors import HamError, program, run_command, shown
from ham_keras.prediction.ensemble import load_ensemble
from ham_keras.runs.named import MODELS, About, NamedModel, check_is_run

UNKNOWN_LICENCE = "not stated; ask whoever packed it"
NOT_FOR = ("diagnosis, triage or any decision about a patient", "images unlike those it was trained on")


def pack(
    folder: Path | str,
    output: Path | str,
    *,
    description: str | None = None,
    trained_on: str | None = None,
    licence: str = UNKNOWN_LICENCE,
    not_for: Sequence[str] = NOT_FOR,
) -> NamedModel:
    """Write a trained run as the new folder `output`, whose name is the model's; see `serving.packing.pack_run`.

    Args:
        description: one line that says what it is; that of the run's config if None.
        trained_on: which images; the name of the run's data folder if None.
        not_for: what it must not be used for, one line each.

    Raises:
        HamError: `folder` is not one run or has no weights, or `output` exists or cannot be written.
    """
    ensemble = load_ensemble(folder)
    target = Path(output)
    if len(ensemble.members) > 1:
        raise HamError(f"{folder}: {len(ensemble.members)} runs; expected one, e.g. {ensemble.members[0].run.folder}")
    if target.exists():
        raise HamError(f"{target}: already exists; choose another --output")
    (member,) = ensemble.members
    check_is_run(member.run.folder, "pack")
    size = "x".join(map(str, member.config.data.image_size))
    network = f"{member.config.model.architecture} {member.config.model.backbone}, {size}"
    given = {
        "description": description or member.config.description or network,
        "trained_on": trained_on or Path(str(member.config.data.root)).name,
        "licence": licence,
        "not_for": list(not_for),
    }
    try:
        about = About.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise HamError(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}") from None
    from ham_keras.serving.packing import pack_run

    try:
        return pack_run(member, ensemble.load_trust(), about, target)
    except OSError as error:
        raise HamError(f"{target}: cannot be written: {error.strerror or error}") from None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("pack"), description="Pack a trained run as a model that others can use by its name."
    )
    parser.add_argument("run", metavar="RUN", help="a run folder, e.g. runs/base")
    parser.add_argument("-o", "--output", metavar="FOLDER/NAME", required=True, help="the model's new folder")
    parser.add_argument("--description", metavar="TEXT", help="what it is (default: the description of its config)")
    parser.add_argument("--trained-on", metavar="TEXT", help="which images (default: the name of the data folder)")
    parser.add_argument("--licence", metavar="TEXT", default=UNKNOWN_LICENCE, help="of the weights (%(default)s)")
    parser.add_argument(
        "--not-for", metavar="TEXT", action="append", help=f"repeatable (default: {', and '.join(NOT_FOR)})"
    )
    args = parser.parse_args(argv)
    options = {name: getattr(args, name) for name in ("description", "trained_on", "licence")}
    model = pack(args.run, args.output, not_for=args.not_for or NOT_FOR, **options)
    folder = shown(model.folder.parent)
    print(f"{model}\n\nuse it by its name: {MODELS}={folder} ham-keras predict {shown(model.name)} photos/ -o OUT")
    return 0


if __name__ == "__main__":
    run_command(main)
