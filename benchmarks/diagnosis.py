"""Does the outline help a diagnosis? Train variants of a diagnosis run and compare them on the same images.

    python benchmarks/diagnosis.py configs/diagnosis.json segmentation=runs/base
    python benchmarks/diagnosis.py configs/diagnosis.json --set val --variants "true masks" --output masks.json

Variants that see other pixels are diagnosis runs of their own, <name>-<variant>, which are kept and resumed: the whole
image, the lesion with grey skin, the image with the lesion in grey, true masks, masks by the segmentation run that
knows the images. With features.trained, each trains networks of its own, some 40 minutes for 3,800 images. Those that
use fewer features learn from the cached ones: no encoder and no trained network, these only, no shape (asymmetry,
border and diameter), the mean colour of the lesion. Prior: the frequencies of the training images. Network: with
features.trained, its own softmax. Prints the scores of each and the differences from the config itself, with 95 %
bootstrap intervals over lesions; writes benchmarks/results/diagnosis.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.config import load_config_as
from ham_keras.data.records import find_records
from ham_keras.diagnose import diagnose
from ham_keras.diagnosis.config import DiagnosisConfig
from ham_keras.diagnosis.folder import DiagnosisFolder
from ham_keras.diagnosis.measures import ASYMMETRY, BORDER, DIAMETER, NETWORK, group_of
from ham_keras.diagnosis.patients import common_name
from ham_keras.diagnosis.scoring import read_probabilities
from ham_keras.diagnosis.trees import Trees, load_trees, train_trees
from ham_keras.environment import describe_environment, without_paths
from ham_keras.files import save_json
from ham_keras.scores.bootstrap import show_interval
from ham_keras.scores.classification import paired_difference, summarise_diagnoses

WITHOUT_LESION = {"features.outline": False, "features.texture": False, "features.doubt": False}
# Variants with runs of their own: what to override.
RUNS: dict[str, dict[str, Any]] = {
    "whole image": {"features.crop": "image"},
    "lesion, skin in grey": {"features.crop": "blanked"},
    "skin only": {"features.crop": "skin", **WITHOUT_LESION},
    "true masks": {
        "features.masks": "annotated",
        "features.scored_masks": "annotated",
        "features.cross_validation": None,
    },
    "masks of known images": {"features.masks": "predicted", "features.cross_validation": None},
}
SHAPE = (ASYMMETRY, BORDER, DIAMETER)
# Variants that use some of the cached features.
COLUMNS: dict[str, Callable[[str], bool]] = {
    "encoder only": lambda name: "/" in name or group_of(name) == NETWORK,
    "no encoder": lambda name: "/" not in name and group_of(name) != NETWORK,
    "no shape": lambda name: group_of(name) not in SHAPE,
    "mean colour only": lambda name: name.startswith("lesion_") and name.endswith("_mean"),
}
SHOWN = (
    "macro_auc", "melanoma_auc", "balanced_accuracy", "melanoma_sensitivity_at_90", "melanoma_sensitivity_at_95",
    "accuracy", "log_loss", "calibration_error",
)  # fmt: skip
OWN = "this config"
RESULTS = Path(__file__).parent / "results" / "diagnosis.json"


def cached(run: DiagnosisFolder, side: str) -> np.ndarray:
    """The features [N, F] of a side that the run has cached, the answers of trained networks included."""
    chunks = sorted((run.features / side).glob("chunk_*.npz"))
    features = np.concatenate([np.load(path, allow_pickle=False)["features"] for path in chunks])
    answers = run.answers(side)
    return np.concatenate([features, np.load(answers)], 1) if answers.exists() else features


def from_columns(config: DiagnosisConfig, run: DiagnosisFolder, wanted: Callable[[str], bool], side: str) -> np.ndarray:
    """Probabilities [N, K] of a side by trees that learn from the wanted features."""
    trees, _ = load_trees(run.classifier)
    scale = trees.margin_scale if any(wanted(name) for name in trees.names if group_of(name) == NETWORK) else None
    places = [place for place, name in enumerate(trees.names) if wanted(name)]
    features = {each: cached(run, each)[:, places] for each in ("train", "val", "test")}
    labels = {each: training_labels(run, trees, each, config) for each in ("train", "val")}
    # The share of the features for each tree is for hundreds of them.
    settings = config.classifier.model_copy(
        update={"colsample": 1.0 if len(places) < 100 else config.classifier.colsample}
    )
    kept = [trees.names[place] for place in places]
    boosters = [
        train_trees(
            (features["train"], labels["train"]), (features["val"], labels["val"]), trees.classes, kept, settings,
            settings.seed + place, scale,
        )
        for place in range(settings.seeds)
    ]  # fmt: skip
    return Trees(trees.classes, kept, boosters, trees.odds, scale).probabilities(features[side])


def training_labels(run: DiagnosisFolder, trees: Trees, side: str, config: DiagnosisConfig) -> np.ndarray:
    """The labels [N] of a side, in the order of the cached features."""
    chunks = sorted((run.features / side).glob("chunk_*.npz"))
    ids = np.concatenate([np.load(path, allow_pickle=False)["ids"] for path in chunks])
    diagnoses = {each.image_id: common_name(each.diagnosis) for each in find_records(str(config.data.root)).records}
    return np.array([trees.classes.index(diagnoses[image_id]) for image_id in ids])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="e.g. configs/diagnosis.json")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument("--set", choices=("val", "test"), default="test", dest="side")
    parser.add_argument("--variants", nargs="*", choices=RUNS, default=list(RUNS), help="with runs of their own")
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_intermixed_args(argv)
    if len(args.variants) < len(RUNS) and args.output == RESULTS:
        parser.error("--variants: some of them need an --output of their own")
    given = load_config_as(DiagnosisConfig, args.config, args.overrides)
    own = diagnose(given, visible=False).run
    config = load_config_as(DiagnosisConfig, own.config)
    ids, lesions, classes, labels, probabilities = read_probabilities(own.scores(args.side) / "per_image.csv")
    found = {OWN: probabilities}
    for name in args.variants:
        settings = {**RUNS[name], "run.name": f"{given.run.name}-{name.replace(', ', '-').replace(' ', '-')}"}
        variant = load_config_as(DiagnosisConfig, own.config, {**settings, "run.dir": given.run.dir})
        run = diagnose(variant, visible=False).run
        variant_ids, *_, found[name] = read_probabilities(run.scores(args.side) / "per_image.csv")
        assert variant_ids == ids
    trees, _ = load_trees(own.classifier)
    for name, wanted in COLUMNS.items():
        if any(wanted(name) for name in trees.names if trees.margin_scale is None or group_of(name) != NETWORK):
            found[name] = from_columns(config, own, wanted, args.side)
    counts = np.bincount(training_labels(own, trees, "train", config), minlength=len(classes))
    found["prior"] = np.tile(counts / counts.sum(), (len(labels), 1))
    if config.features.trained:
        *_, found["network"] = read_probabilities(own.scores(args.side) / "network.csv")
    options: dict[str, Any] = {"odds": trees.odds, "resamples": config.score.bootstrap_resamples}
    scores = {name: summarise_diagnoses(each, labels, classes, lesions, **options) for name, each in found.items()}
    differences = {
        name: paired_difference(found[OWN], each, labels, classes, lesions, **options)
        for name, each in found.items()
        if name != OWN
    }
    print(f"\n{len(ids)} images of the {args.side} side, {config.classifier.seeds} seeds, {config.segmentation}\n")
    print(markdown(scores))
    print("\nThis config minus the others:\n")
    print(markdown(differences, sign="+"))
    content = {
        "environment": describe_environment("CPU", "float32"),
        "config": without_paths(config.model_dump(by_alias=True)),
        "set": args.side,
        "scores": scores,
        "differences": differences,
    }
    save_json(args.output, content)


def markdown(rows: dict[str, dict[str, Any]], sign: str = "") -> str:
    """A table with a row per variant and a column per score."""

    def cell(score: dict[str, Any] | None) -> str:
        if score is None or score["value"] is None:
            return ""
        interval = f" ({show_interval(score['interval'])})" if score["interval"] else ""
        return f"{score['value']:{sign}.4f}{interval}"

    names = [name for name in SHOWN if any(name in row for row in rows.values())]
    lines = [
        f"| | {' | '.join(name.replace('_', ' ') for name in names)} |",
        "|---" * (len(names) + 1) + "|",
        *(f"| {name} | {' | '.join(cell(row.get(key)) for key in names)} |" for name, row in rows.items()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
