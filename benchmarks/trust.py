"""Measure how far expected Jaccard, its bounds and the input check of a calibrated run hold on further images.

    python benchmarks/trust.py RUN --data isic2018 --data pad_ufes
    python benchmarks/trust.py RUN --split test --repeats 20 --masks 50
    python benchmarks/trust.py RUN --unlike pad_ufes/images --unlike text_pages
    python benchmarks/trust.py RUN --timing

`--masks M` calibrates again with the masks of M lesions of each set, drawn at random, and scores the bounds on the
others; repeated. `--unlike` are folders of images that are no dermoscopy, beside those drawn here: plain colours,
noise, text. `--timing` alternates predictions with and without trust.json. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from ham_keras.data.images import read_image
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import decide_masks
from ham_keras.data.splits import load_split, select
from ham_keras.experiments.answers import observe_images, read_answers
from ham_keras.prediction.ensemble import Ensemble, load_ensemble
from ham_keras.prediction.evaluation import evaluate_images
from ham_keras.prediction.folder import PredictionFolder
from ham_keras.prediction.inputs import find_inputs
from ham_keras.prediction.predictor import Predictor, load_members, load_predictor
from ham_keras.scores.quality import area_under_roc, quality_of_rows
from ham_keras.trust.assess import deviation, distance_scale
from ham_keras.trust.feature_names import FEATURES
from ham_keras.trust.fitting import Answers, fit_quality

SIZE = (450, 600)
DRAWN = 40  # images of each kind


def records_of(ensemble: Ensemble, root: Path | str, split: str | None = None) -> list[Record]:
    settings = ensemble.config.data
    known = decide_masks(find_records(root).records, settings.repair_masks, settings.lesion_values)
    return select(known, load_split(ensemble.split)[split], split) if split else known


def score_sets(ensemble: Ensemble, sets: dict[str, list[Record]]) -> None:
    predictor = load_predictor(ensemble)
    print("| | images | Pearson | MAE | AUROC < 0.65 | AURC (perfect, none) | review: below 0.65 | below: caught | "
          "at least holds | margin holds |\n|---|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    for name, records in sets.items():
        quality = quality_of_rows([row for row, _, _ in evaluate_images(predictor, records)])
        assert quality is not None
        print(
            f"| {name} | {quality['images']} | {quality['pearson']:.3f} | {quality['mae']:.4f} | "
            f"{quality['auroc']:.3f} | "
            f"{quality['aurc']:.4f} ({quality['aurc_perfect']:.4f}, {quality['aurc_random']:.4f}) | "
            f"{quality['review']}: {quality['caught']} | {quality['failures']}: {quality['caught']} | "
            f"{quality['at_least_coverage']:.3f} | {quality['margin_coverage']:.3f} |"
        )


def recalibrate_sets(ensemble: Ensemble, sets: dict[str, list[Record]], masks: int, repeats: int) -> None:
    """Coverage of both bounds after a calibration with few masks, on the other images of the set."""
    former = read_answers(ensemble.trust_table)
    print(f"\n| calibrated with {masks} lesions, {repeats} draws | at least holds | margin holds |\n|---|---|---|")
    for name, records in sets.items():
        answers = observe_images(ensemble.members[0], records).answers
        found = np.array([coverage_after(answers, former, masks, seed) for seed in range(repeats)])
        mean, spread = found.mean(axis=0), found.std(axis=0)
        print(f"| {name} | {mean[0]:.3f} +- {spread[0]:.3f} | {mean[1]:.3f} +- {spread[1]:.3f} |", flush=True)


def coverage_after(answers: Answers, former: Answers, masks: int, seed: int) -> tuple[float, float]:
    lesions = np.random.default_rng(seed).permutation(np.unique(answers.lesions))
    drawn = np.isin(answers.lesions, lesions[:masks])
    quality = fit_quality(answers.take(np.flatnonzero(drawn)), former, seed=seed)
    others = answers.take(np.flatnonzero(~drawn))
    outputs = quality.trees.predict(tf.clip_by_value(others.features, quality.lowest, quality.highest))
    mean, squared, distance = tf.unstack(outputs, axis=-1)
    at_least = mean - quality.jaccard_factor * deviation(mean, squared)
    margin = quality.margin_factor * distance_scale(distance, others.features[:, FEATURES.index("soft_fraction")])
    return float(np.mean(others.jaccard >= at_least)), float(np.mean(others.distance <= margin))


def check_inputs(ensemble: Ensemble, records: list[Record], folders: Sequence[Path]) -> None:
    """AUROC and share recognised of images that are no dermoscopy, against images like those of the training."""
    predictor = load_predictor(ensemble)

    def distances(images: Sequence[np.ndarray]) -> np.ndarray:
        return np.array([predictor.answer(image).observed["input_distance"] for image in images])

    like = distances([read_image(record.image_path) for record in records])
    print("\n| kind | images | AUROC | recognised |\n|---|---|---|---|")
    print(f"| dermoscopy | {len(like)} | | {np.mean(like > 1):.3f} |")
    kinds: dict[str, Callable[[], list[np.ndarray]]] = {name: drawer for name, drawer in DRAWERS.items()}
    for folder in folders:
        paths = list(find_inputs([folder], PredictionFolder(Path("no-output"))).ids)
        kinds[folder.name] = lambda paths=paths: [read_image(path) for path in paths]  # type: ignore[misc]
    for name, draw in kinds.items():
        unlike = distances(draw())
        labels = np.r_[np.zeros(len(like), bool), np.ones(len(unlike), bool)]
        auroc = area_under_roc(labels, np.r_[like, unlike])
        print(f"| {name} | {len(unlike)} | {auroc:.3f} | {np.mean(unlike > 1):.3f} |", flush=True)


def draw_colours() -> list[np.ndarray]:
    colours = np.random.default_rng(0).integers(0, 256, (DRAWN, 3), dtype=np.uint8)
    return [np.broadcast_to(colour, (*SIZE, 3)).copy() for colour in colours]


def draw_noise() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(DRAWN)]


def draw_text() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    pages = []
    for _ in range(DRAWN):
        page = Image.new("RGB", SIZE[::-1], "white")
        lines = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz     "), 60)) for _ in range(20)]
        ImageDraw.Draw(page).text((20, 10), "\n".join(lines), "black", ImageFont.load_default(17))
        pages.append(np.asarray(page))
    return pages


def draw_phantoms() -> list[np.ndarray]:
    return [draw_phantom(0, index, index, SIZE[::-1])[0] for index in range(DRAWN)]


DRAWERS = {"plain colours": draw_colours, "noise": draw_noise, "text": draw_text, "phantoms": draw_phantoms}


def time_predictions(ensemble: Ensemble, image: np.ndarray, rounds: int = 200) -> None:
    """Median of `Predictor.predict` with and without trust.json, alternating, one image at a time."""
    without = Predictor(load_members(ensemble), ensemble.config.outline)
    predictors = {"without": without, "with": load_predictor(ensemble)}
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    for number in range(rounds + 5):
        for name, predictor in predictors.items():
            start = time.perf_counter()
            predictor.predict(image)
            if number >= 5:
                seconds[name].append(time.perf_counter() - start)
    medians = {name: 1000 * float(np.median(each)) for name, each in seconds.items()}
    print(f"\none image, median of {rounds}: {medians['without']:.2f} ms without, {medians['with']:.2f} ms with trust "
          f"({medians['with'] / medians['without'] - 1:+.1%})")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run")
    parser.add_argument("--split", choices=("val", "test"), help="score this split of the run")
    parser.add_argument("--data", action="append", default=[], type=Path, help="score this folder of images and masks")
    parser.add_argument("--unlike", action="append", default=[], type=Path, help="images that are no dermoscopy")
    parser.add_argument("--inputs", action="store_true", help="score the input check, against the validation images")
    parser.add_argument("--masks", type=int, default=0, help="calibrate again with this many lesions of each set")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--timing", action="store_true")
    args = parser.parse_args()
    ensemble = load_ensemble(args.run)
    root: Any = ensemble.config.data.root
    sets = {str(root.name): records_of(ensemble, root) for root in args.data}
    if args.split:
        sets = {args.split: records_of(ensemble, root, args.split), **sets}
    if sets:
        score_sets(ensemble, sets)
    if sets and args.masks:
        recalibrate_sets(ensemble, sets, args.masks, args.repeats)
    if args.inputs or args.unlike:
        check_inputs(ensemble, records_of(ensemble, root, "val"), args.unlike)
    if args.timing:
        time_predictions(ensemble, draw_phantom(0, 0, 0, SIZE[::-1])[0])


if __name__ == "__main__":
    main()
