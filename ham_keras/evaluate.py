"""Score a run, or the mean of several, on its own split or on another folder of images and masks.

python -m ham_keras.evaluate runs/base --split val
python -m ham_keras.evaluate runs/base --data PH2
python -m ham_keras.evaluate runs/base outline.tta=true outline.fill_holes=true --name tta
python -m ham_keras.evaluate phantom --data PH2    # a model by its name: writes evaluations/phantom
python -m ham_keras.evaluate runs/base runs/other --output ensembles/two    # the mean of their probabilities
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.data.splits import NAMES
from ham_keras.errors import HamError, program, run_command
from ham_keras.files import load_json
from ham_keras.prediction.arguments import add_runs_argument, split_overrides
from ham_keras.prediction.ensemble import Ensemble, Folders, is_run_folder, load_ensemble
from ham_keras.prediction.scored_images import MASK_KEYS, choose_images
from ham_keras.runs import Run, check_name, check_overrides
from ham_keras.runs.named import is_named
from ham_keras.scores.summary import describe_scoring, format_summary, scored_outline

EVALUATIONS = Path("evaluations")  # of named models, whose folders are not written to
SETTABLE = ("outline", "score", "data.root", *(f"data.{key}" for key in MASK_KEYS))


def evaluate(
    folder: Folders,
    split: str | None = None,
    *,
    data_root: Path | str | None = None,
    name: str | None = None,
    output: Path | str | None = None,
    overrides: Sequence[str] = (),
    save_masks: bool = False,
    visible: bool = True,
) -> dict[str, Any]:
    """Score a run, or the mean of several, in float32 and write scores/<name>/per_image.csv and summary.json.

    `folder` is a run, whose folder takes the scores; a named model, with the scores in evaluations/<name>; a
    cross-validation, whose folds are averaged, with the scores in its folder's ensemble/; or several of these, with the
    scores in `output`.

    Scores the images of `split`, by default "test", of the first folder; no other run may have been trained on them.
    With `data_root`, scores the images in that folder: those of `split`, or all if it is None. `name` defaults to
    <split>, <folder> or <folder>-<split>. Each image is scored at the network's size (the largest, if there are
    several) and at its mask's own size, to which the probability is resized. `overrides` may set outline.*, score.*,
    data.repair_masks, data.lesion_values, and data.root if the run's own images have moved. `save_masks` also writes
    masks/<id>_segmentation.png.

    Returns:
        The content of summary.json, see `scores.summary.summarise`.

    Raises:
        HamError: `folder` is not a run or has no weights, a file cannot be read, a run was trained on images of the
            split, or scores/<name> holds other scores.
    """
    ensemble = load_ensemble(folder, check_overrides(overrides, SETTABLE))
    home, config = _home(ensemble, output), ensemble.config
    if split is not None and split not in NAMES:
        raise HamError(f"split: expected one of {', '.join(NAMES)}, got {split!r}")
    without_split = next((each for each in ensemble.members if is_named(each.run.folder)), None)
    if without_split is not None and (data_root is None or split is not None):
        raise HamError(f"{without_split.name}: a model, without a split of its own; give --data ROOT and no --split")
    root = Path(data_root or str(config.data.root)).resolve()
    records = choose_images(ensemble, root, split, own_data=data_root is None)
    split = split or ("test" if data_root is None else None)
    name = name or "-".join(part for part in (data_root and root.name, split) if part)
    own = set(NAMES) - ({split} if data_root is None else set())
    check_name("--name", name, reserved=own)
    masks = {key: getattr(config.data, key) for key in MASK_KEYS}
    masks_overridden = any(override.startswith(f"data.{key}=") for override in overrides for key in MASK_KEYS)
    ensemble.agreed_outline()
    made_from = describe_scoring(root, split, config, masks if masks_overridden else None)
    if len(ensemble.members) > 1:
        made_from["members"] = ensemble.names
    _check_same_scoring(home.scores(name), made_from, moved=data_root is None)
    from ham_keras.prediction.evaluation import evaluate_ensemble

    return evaluate_ensemble(ensemble, home, records, name, made_from, save_masks=save_masks, visible=visible)


def _home(ensemble: Ensemble, output: Path | str | None) -> Run:
    """The folder that the scores are written to."""
    if output is None:
        if ensemble.home is not None and is_named(ensemble.home.folder):
            return Run(EVALUATIONS / ensemble.name)
        if ensemble.home is None:
            raise HamError(f"--output DIR: missing; it takes the scores of the {len(ensemble.members)} runs")
        return ensemble.home
    if ensemble.home is not None and len(ensemble.members) == 1 and not is_named(ensemble.home.folder):
        raise HamError(f"--output {output}: only for several runs; the scores of one are written to its folder")
    if is_run_folder(output):
        raise HamError(f"--output {output}: is a run; choose another folder for the scores of several")
    return Run(Path(output))


def _check_same_scoring(target: Path, made_from: dict[str, Any], *, moved: bool) -> None:
    """Raise if the scores there were made otherwise; `moved` allows another data folder."""
    if not (target / "summary.json").exists():
        return
    summary = load_json(target / "summary.json")
    found = {**summary, **scored_outline(summary).model_dump()}
    different = [key for key in made_from if found.get(key) != made_from[key] and not (moved and key == "data")]
    if different:
        existing = ", ".join(f"{key} {found.get(key)}" for key in different)
        raise HamError(f"{target}: holds scores made with {existing}; choose --name NAME")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("evaluate"),
        description="Score a run, or the mean of several, on its own split or on another data folder.",
    )
    add_runs_argument(parser)
    parser.add_argument(
        "overrides", nargs="*", metavar="outline.key=value", help="override the run's settings, e.g. outline.tta=true"
    )
    parser.add_argument("--data", metavar="ROOT", help="score this folder of images and masks")
    parser.add_argument(
        "--split", choices=NAMES, help="score only this split of the run (default without --data: test)"
    )
    parser.add_argument("--name", help="write to scores/NAME (default: the split's or the folder's name)")
    parser.add_argument(
        "--output", metavar="DIR", help="write to DIR/scores/NAME; for several runs (default: RUN/scores/NAME)"
    )
    parser.add_argument("--save-masks", action="store_true", help="also write the predicted masks as PNGs")
    args = parser.parse_intermixed_args(argv)
    runs, overrides = split_overrides([*args.runs, *args.overrides])
    summary = evaluate(
        runs,
        args.split,
        data_root=args.data,
        name=args.name,
        output=args.output,
        overrides=overrides,
        save_masks=args.save_masks,
    )
    title = f"{' + '.join(runs)}: {summary['set']}"
    print(f"\n{format_summary(summary, title)}")
    print("\nResearch use; not a medical device.")
    return 0


if __name__ == "__main__":
    run_command(main)
