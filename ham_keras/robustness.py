"""Score a run on images that are changed in many ways, and by what is in them: what does it withstand?

python -m ham_keras.robustness runs/base                        # all changes, on the test images
python -m ham_keras.robustness runs/base --images 100 --changes blur rotation    # a quick look
python -m ham_keras.robustness runs/base runs/other             # two runs side by side
python -m ham_keras.robustness runs/base --data ROOT --properties ratings.csv
python -m ham_keras.robustness --show photo.jpg -o sheet.png    # what the changes look like; needs no run
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.data.splits import NAMES
from ham_keras.errors import HamError, program, run_command, shown
from ham_keras.files.outputs import PICTURES, check_output
from ham_keras.prediction.arguments import split_overrides
from ham_keras.prediction.ensemble import load_ensemble
from ham_keras.prediction.scored_images import MASK_KEYS, choose_images
from ham_keras.runs import Run, check_name, check_overrides
from ham_keras.runs.named import check_is_run

SETTABLE = ("outline", "score", "data.root", *(f"data.{key}" for key in MASK_KEYS))
NONE = "none"


def robustness(
    folder: Path | str,
    *,
    changes: Sequence[str] | None = None,
    images: int | None = None,
    seed: int = 0,
    split: str | None = None,
    data_root: Path | str | None = None,
    name: str | None = None,
    properties: Sequence[Path | str] = (),
    overrides: Sequence[str] = (),
    overwrite: bool = False,
    visible: bool = True,
) -> dict[str, Any]:
    """Score a run, or the mean of a cross-validation's folds, on changed images; writes RUN/robustness/summary.json.

    Each condition, a change at a strength, is kept when it is finished: after an interruption the same call continues,
    and another call may add changes. Of another split or folder, the files are in RUN/robustness/<name>/; a
    cross-validation's are in its ensemble/robustness/.

    Args:
        changes: names of `data.changes.catalogue.CHANGES`, by default all; none of them measures the images unchanged.
        images: draw so many of them by lesion, with `seed`, instead of all.
        split: "test" by default; with `data_root`, all images by default.
        name: as in `evaluate`.
        properties: tables by whose columns the scores are grouped, besides those of the data folder.
        overrides: as in `evaluate`.
        overwrite: measure everything again; the former scores are kept until the new ones are there.

    Returns:
        The content of summary.json, see `experiments.robustness.measure_robustness`.

    Raises:
        HamError: `folder` is not a run or has no weights, a file cannot be read, a change does not exist, or the folder
            has scores of other weights or images.
    """
    from ham_keras.data.changes.catalogue import CHANGES
    from ham_keras.data.changes.condition import list_conditions
    from ham_keras.data.selection import draw_by_lesion
    from ham_keras.scores.summary import describe_scoring

    chosen = list(CHANGES) if changes is None else [each for each in changes if each != NONE]
    list_conditions(chosen)
    if images is not None and images < 1:
        raise HamError(f"--images {images}: expected at least 1")
    ensemble = load_ensemble(folder, check_overrides(overrides, SETTABLE))
    for member in ensemble.members:
        check_is_run(member.run.folder, "robustness")
    assert ensemble.home is not None
    root = Path(data_root or str(ensemble.config.data.root)).resolve()
    records = choose_images(ensemble, root, split, own_data=data_root is None)
    split = split or ("test" if data_root is None else None)
    name = name or "-".join(part for part in (data_root and root.name, split) if part)
    own = set(NAMES) - ({split} if data_root is None else set()) | {"conditions"}
    check_name("--name", name, reserved=own)
    ensemble.agreed_outline()
    masks = {key: getattr(ensemble.config.data, key) for key in MASK_KEYS}
    made_from = {"set": name, **describe_scoring(root, split, ensemble.config, masks), "subset": None}
    if images is not None and images < len(records):
        made_from["subset"] = {"of": len(records), "images": images, "seed": seed}
        records = draw_by_lesion(records, images, seed)
    # Imports TensorFlow.
    from ham_keras.experiments.robustness import measure_robustness

    tables = [Path(table) for table in properties]
    options = {"overwrite": overwrite, "visible": visible}
    return measure_robustness(ensemble, ensemble.home.robustness(name), records, chosen, made_from, tables, **options)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("robustness"),
        description="Score a run on images that are changed in many ways, each at five strengths, and by what is in "
        "them. Writes RUN/robustness/. An interrupted measurement continues with the same command.",
    )
    parser.add_argument(
        "runs", metavar="RUN", nargs="*", help="a run folder or a cross-validation; or two, to show side by side"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="outline.key=value", help="override the run's settings, e.g. outline.tta=true"
    )
    parser.add_argument(
        "--changes", nargs="+", metavar="CHANGE",
        help="only these, e.g. blur noise jpeg rotation; none for the images as they are (default: all; --show draws "
             "them)",
    )  # fmt: skip
    parser.add_argument("--images", type=int, metavar="N", help="draw so many images, by lesion (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of that draw (default: 0)")
    parser.add_argument(
        "--properties", nargs="+", metavar="TABLE", default=(),
        help="also group the scores by the columns of these tables, e.g. hair ratings; those of the data folder are "
             "always used",
    )  # fmt: skip
    parser.add_argument("--data", metavar="ROOT", help="use this folder of images and masks")
    parser.add_argument("--split", choices=NAMES, help="use only this split of the run (default without --data: test)")
    parser.add_argument("--name", help="write to RUN/robustness/NAME (default: the split's or the folder's name)")
    parser.add_argument(
        "--overwrite", action="store_true", help="measure again; former scores stay until the new ones are there"
    )
    parser.add_argument("--show", metavar="IMAGE", type=Path, help="only draw what the changes do to this image")
    parser.add_argument("-o", "--output", metavar="SHEET", type=Path, help="with --show: a .png or .jpg to write")
    args = parser.parse_intermixed_args(argv)
    if args.show is not None:
        return _show(args.show, args.output, args.changes)
    if args.output is not None:
        raise HamError(f"-o {args.output}: only with --show IMAGE; a run's files are in RUN/robustness")
    if not args.runs:
        raise HamError("expected a run folder, e.g. runs/base, or --show IMAGE -o SHEET.png")
    runs, overrides = split_overrides([*args.runs, *args.overrides])
    if len(runs) > 2:
        raise HamError(f"{runs[2]}: a third run; expected one, or two to show side by side")
    folders = []
    for run in runs:
        options = {key: getattr(args, key) for key in ("changes", "images", "seed", "split", "name", "properties")}
        summary = robustness(run, data_root=args.data, overrides=overrides, overwrite=args.overwrite, **options)
        folders.append(_folder(run, summary["set"]))
        _report(run, summary, folders[-1])
    if len(folders) == 2:
        from ham_keras.experiments.robustness_pair import compare_robustness

        print(compare_robustness(folders[0], folders[1]))
    print("\nResearch use; not a medical device.")
    return 0


def _folder(run: str, name: str) -> Path:
    home = load_ensemble(run).home or Run(Path(run))
    return home.robustness(name)


def _report(run: str, summary: dict[str, Any], folder: Path) -> None:
    from ham_keras.reports.robustness import format_robustness

    subset = summary["subset"]
    drawn = f", drawn from {subset['of']} with seed {subset['seed']}" if subset else ""
    print(f"\n{run}: {summary['set']}, {summary['images']} images of {summary['lesions']} lesions{drawn}")
    print(format_robustness(summary))
    print(f"\n{shown(folder)}")


def _show(image: Path, output: Path | None, changes: Sequence[str] | None) -> int:
    if output is None:
        raise HamError("--show: expected -o SHEET, a .png or .jpg to write")
    check_output(output, [image], PICTURES)
    from ham_keras.data.changes.catalogue import CHANGES
    from ham_keras.data.changes.condition import list_conditions
    from ham_keras.data.images import read_image
    from ham_keras.files import replacing
    from ham_keras.reports.changes import save_changes

    names = list(changes or CHANGES)
    list_conditions(names)
    pixels = read_image(image)
    with replacing(output) as part:
        save_changes(image.stem, pixels, None, names, part)
    print(shown(output))
    return 0


if __name__ == "__main__":
    run_command(main)
