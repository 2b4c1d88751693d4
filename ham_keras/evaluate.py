"""Score a run on its own split, or on another folder of images and masks.

python -m ham_keras.evaluate runs/base --split val
python -m ham_keras.evaluate runs/base --data PH2
python -m ham_keras.evaluate runs/base outline.tta=true outline.fill_holes=true --name tta
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.data.mask_warnings import mask_warnings
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import NAMES, load_split, select
from ham_keras.errors import HamError, program, run_command, warn
from ham_keras.files import load_json
from ham_keras.runs import check_overrides, load_run
from ham_keras.scores.summary import describe_scoring, format_summary, scored_outline

MASK_KEYS = ("repair_masks", "lesion_values")  # keys of the data section that control how masks are read
SETTABLE = ("outline", "score", "data.root", *(f"data.{key}" for key in MASK_KEYS))


def evaluate(
    folder: Path | str,
    split: str | None = None,
    *,
    data_root: Path | str | None = None,
    name: str | None = None,
    overrides: Sequence[str] = (),
    save_masks: bool = False,
    visible: bool = True,
) -> dict[str, Any]:
    """Score a run in float32 and write scores/<name>/per_image.csv and summary.json.

    Scores the images of `split`, by default "test". With `data_root`, scores the images in that folder: those of
    `split`, or all if it is None. `name` defaults to <split>, <folder> or <folder>-<split>. Each image is scored at
    the network's size and at its mask's own size, to which the probability is resized. `overrides` may set outline.*,
    score.*, data.repair_masks, data.lesion_values, and data.root if the run's own images have moved. `save_masks` also
    writes masks/<id>_segmentation.png.

    Returns:
        The content of summary.json, see `scores.summary.summarise`.

    Raises:
        HamError: `folder` is not a run or has no weights, a file cannot be read, or scores/<name> holds other scores.
    """
    run, config = load_run(folder, check_overrides(overrides, SETTABLE))
    if split is not None and split not in NAMES:
        raise HamError(f"split: expected one of {', '.join(NAMES)}, got {split!r}")
    if name is not None and (Path(name).name != name or name.startswith(".")):
        raise HamError(f"--name {name}: expected a name without slashes and without a leading dot")
    root = Path(data_root or str(config.data.root)).resolve()
    if data_root is None and not root.is_dir():
        raise HamError(f"data.root: {root}: no such data folder; if it has moved, set data.root=FOLDER")
    pairing = find_records(root)
    # Training has already reported those of the run's own data.
    for line in pairing.warnings() if data_root is not None else ():
        warn(line)
    masks = {key: getattr(config.data, key) for key in MASK_KEYS}
    records, sides = decide_masks(pairing.records, **masks), load_split(run.split)
    if split is not None or data_root is None:
        split = split or "test"
        records = select(records, sides[split], f"{run.split}: {split}")
    else:
        warn_about_leakage(records, {*sides["train"], *sides["val"]})
    for line in mask_warnings(records):
        warn(line)
    name = name or "-".join(part for part in (data_root and root.name, split) if part)
    if data_root is not None and name in NAMES:
        raise HamError(f"{root}: {name!r} is the name of the run's own split; choose --name NAME")
    masks_overridden = any(override.startswith(f"data.{key}=") for override in overrides for key in MASK_KEYS)
    made_from = describe_scoring(root, split, config, masks if masks_overridden else None)
    _check_same_scoring(run.scores(name), made_from, moved=data_root is None)
    from ham_keras.prediction.evaluation import evaluate_run

    return evaluate_run(run, config, records, name, made_from, save_masks=save_masks, visible=visible)


def warn_about_leakage(records: Sequence[Record], image_ids: set[str]) -> None:
    """Warn about records with these ids, or of lesions that also have images with these ids."""
    lesions = {record.lesion_id for record in records if record.image_id in image_ids}
    known = sum(record.lesion_id in lesions for record in records)
    if known:
        warn(
            f"{known} of these {len(records)} images are, by their ids, images or lesions used for training or "
            f"validation; --split test leaves them out"
        )


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
        prog=program("evaluate"), description="Score a run on its own split or on another data folder."
    )
    parser.add_argument("run", help="a run folder, e.g. runs/base")
    parser.add_argument(
        "overrides", nargs="*", metavar="outline.key=value", help="override the run's settings, e.g. outline.tta=true"
    )
    parser.add_argument("--data", metavar="ROOT", help="score this folder of images and masks")
    parser.add_argument(
        "--split", choices=NAMES, help="score only this split of the run (default without --data: test)"
    )
    parser.add_argument("--name", help="write to scores/NAME (default: the split's or the folder's name)")
    parser.add_argument("--save-masks", action="store_true", help="also write the predicted masks as PNGs")
    args = parser.parse_intermixed_args(argv)
    summary = evaluate(
        args.run,
        args.split,
        data_root=args.data,
        name=args.name,
        overrides=args.overrides,
        save_masks=args.save_masks,
    )
    title = f"{args.run}: {summary['set']}"
    print(f"\n{format_summary(summary, title)}")
    print("\nResearch use; not a medical device.")
    return 0


if __name__ == "__main__":
    run_command(main)
