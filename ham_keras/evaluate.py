"""Score a run on its own split, or on another folder of images and masks.

python -m ham_keras.evaluate runs/base --split val
python -m ham_keras.evaluate runs/base --data PH2
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ham_keras.config import Config
from ham_keras.data.oddities import mask_warnings
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import NAMES, load_split, select
from ham_keras.data.truth import read_truth
from ham_keras.errors import HamError, run_command, warn
from ham_keras.runs import Run, load_json, load_run, save_csv, save_json
from ham_keras.scores.scores import SCORES, count, score, show_interval, summarise

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 16
MASK_KEYS = ("repair_masks", "lesion_values")  # of the config's data section: how masks are read


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
    """Score a run in float32; writes scores/<name>/per_image.csv and summary.json into it.

    Scored are the images of this split of the run's own, "test" when none is named. With `data_root` it is all
    images of that folder, or those of the split that now lie there. `name` defaults to the split's, the folder's,
    or <folder>-<split>. Each image is scored at the network's size and at its mask's own size, to which the
    probability is resized. `overrides` are score.key=value, data.repair_masks=... and data.lesion_values=...
    `save_masks` also writes masks/<id>_segmentation.png.

    Returns:
        the content of summary.json, see `scoring.summarise`.

    Raises:
        HamError: not a run, no weights yet, a file that cannot be read, the name holds other scores.
    """
    run, config = load_run(folder, _only_scores(overrides))
    root = Path(data_root or str(config.data.root)).resolve()
    pairing = find_records(root)
    for line in pairing.warnings() if data_root is not None else ():  # of its own data training has told
        warn(line)
    masks = {key: getattr(config.data, key) for key in MASK_KEYS}
    records, sides = decide_masks(pairing.records, **masks), load_split(run.split)
    if split is not None or data_root is None:
        split = split or "test"
        records = select(records, sides[split], f"{run.split}: {split}")
    else:
        warn_of_trained(records, {*sides["train"], *sides["val"]})
    for line in mask_warnings(records):
        warn(line)
    name = name or "-".join(part for part in (data_root and root.name, split) if part)
    if data_root is not None and name in NAMES:
        raise HamError(f"{root}: its scores cannot be kept as {name!r}, the run's own; choose --name NAME")
    read_otherwise = any(override.startswith("data.") for override in overrides)
    made_from: dict[str, Any] = {"data": str(root), "split": split, "threshold": config.score.threshold}
    made_from["masks"] = masks if read_otherwise else None
    target = run.scores(name)
    _refuse_other_scores(target, made_from)
    if save_masks:
        shutil.rmtree(target / "masks", ignore_errors=True)
        (target / "masks").mkdir(parents=True)
    rows = []
    for row, record, lesion in score_images(load_model(run, config), records, config, visible=visible):
        rows.append(row)
        if save_masks:
            Image.fromarray(255 * lesion).save(target / "masks" / f"{record.image_id}_segmentation.png")
    save_csv(target / "per_image.csv", rows)
    summary = {"run": run.folder.name, "set": name, **made_from}
    summary |= summarise(rows, resamples=config.score.bootstrap_resamples)
    save_json(target / "summary.json", summary)
    return summary


def _only_scores(overrides: Sequence[str]) -> Sequence[str]:
    for override in overrides:
        key = override.partition("=")[0]
        if not key.startswith("score.") and key not in {f"data.{name}" for name in MASK_KEYS}:
            raise HamError(f"{override}: a trained run can only be scored otherwise: score.threshold=0.4")
    return overrides


def warn_of_trained(records: Sequence[Record], image_ids: set[str]) -> None:
    """Tell how many records are of these ids, or of the lesions that these ids show."""
    lesions = {record.lesion_id for record in records if record.image_id in image_ids}
    known = sum(record.lesion_id in lesions for record in records)
    if known:
        warn(
            f"{known} of these {len(records)} images are, by their ids, images or lesions that were trained or "
            f"validated on; --split test leaves them out"
        )


def _refuse_other_scores(target: Path, made_from: dict[str, Any]) -> None:
    if not (target / "summary.json").exists():
        return
    found = load_json(target / "summary.json")
    different = [key for key in made_from if found.get(key) != made_from[key]]
    if different:
        there = ", ".join(f"{key} {found.get(key)}" for key in different)
        raise HamError(f"{target}: holds the scores of {there}; choose --name NAME")


def load_model(run: Run, config: Config) -> keras.Model:
    """The run's network in float32 with its best weights, built anew.

    Raises:
        HamError: the run has no weights yet, or they are of another network.
    """
    from ham_keras.models.precision import dtype_policy
    from ham_keras.models.unet import build_model

    if not run.weights.exists():
        raise HamError(f"{run.weights}: not there yet; train the run first")
    with dtype_policy("float32"):
        model = build_model(config.model.model_copy(update={"encoder_weights": None}))
    try:
        model.load_weights(run.weights)
    except (ValueError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise HamError(f"{run.weights}: does not fit {run.config} ({first})") from None
    return model


def score_images(
    model: keras.Model, records: Sequence[Record], config: Config, *, visible: bool = True
) -> Iterator[tuple[dict[str, Any], Record, np.ndarray]]:
    """Yield, for each record, its row of per_image.csv, itself, and the predicted mask at native size.

    The mask is uint8 [H, W] in {0, 1}.
    """
    import tensorflow as tf
    from tqdm import tqdm

    from ham_keras.data.images import resize_probability
    from ham_keras.data.pipeline import Examples, make_eval_dataset

    predict = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    resize = tf.function(resize_probability, reduce_retracing=True)
    examples = Examples(records, config.data.model_copy(update={"cache": "none"}), visible=False)
    remaining = iter(records)
    with tqdm(total=len(records), desc="scoring", unit=" images", disable=not visible) as bar, examples.explained():
        for images, masks in make_eval_dataset(examples, batch_size=BATCH_SIZE):
            for probability, small in zip(predict(images), masks.numpy(), strict=True):
                record = next(remaining)
                mask = read_truth(record)
                height, width = mask.lesion.shape
                native = resize(probability[None], height, width).numpy()[0, ..., 0] > config.score.threshold
                network = probability.numpy() > config.score.threshold
                row = {
                    "image_id": record.image_id,
                    "lesion_id": record.lesion_id,
                    "diagnosis": record.diagnosis,
                    "height_px": height,
                    "width_px": width,
                    "lesion_fraction": round(float(mask.lesion.mean()), 6),
                    "mask_repaired": int(mask.repaired),
                }
                scores = {"native": score(*count(mask.lesion, native)), "network": score(*count(small, network))}
                row |= {f"{name}_{size}": scores[size][name] for size in scores for name in SCORES}
                bar.update()
                yield row, record, native.astype(np.uint8)


def print_summary(summary: dict[str, Any], title: str) -> None:
    """Print a summary as a table."""
    print(f"\n{title}: {summary['images']} images of {summary['lesions']} lesions")
    print(f"{'':20}{'mean':>8}{'median':>8}  {'95 % interval':18}{'network size':>12}")
    for name in SCORES:
        native, network = summary["native"][name], summary["network"][name]
        print(
            f"{name:20}{native['mean']:8.4f}{native['median']:8.4f}  "
            f"{show_interval(native['interval']):18}{network['mean']:12.4f}"
        )
    print(f"{'share below 0.65':20}{summary['native']['below_0.65']:8.4f}")
    for kind in ("by_diagnosis", "by_size"):
        print(f"\nJaccard {kind.replace('_', ' ')}")
        for name, group in summary[kind].items():
            spread = group["jaccard"]
            print(f"  {name:18}{spread['mean']:8.4f}  {show_interval(spread['interval']):18}{group['images']:5} images")
    print("\nResearch use; not a medical device.")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ham_keras.evaluate", description="Score a run on its own split or on another data folder."
    )
    parser.add_argument("run", help="a run folder, e.g. runs/base")
    parser.add_argument("overrides", nargs="*", metavar="score.key=value", help="score otherwise than in training")
    parser.add_argument("--data", metavar="ROOT", help="score this folder of images and masks")
    parser.add_argument(
        "--split", choices=NAMES, help="only these of the run's own images (default without --data: test)"
    )
    parser.add_argument("--name", help="keep the scores as scores/NAME (default: the split's or the folder's name)")
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
    print_summary(summary, f"{args.run}: {summary['set']}")
    return 0


if __name__ == "__main__":
    run_command(main)
