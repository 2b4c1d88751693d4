"""A diagnosis run from features to scores and report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from ham_keras.data.records import Record
from ham_keras.diagnosis.config import DiagnosisConfig
from ham_keras.diagnosis.encoders import FeatureEncoder
from ham_keras.diagnosis.explaining import save_importances
from ham_keras.diagnosis.features import Crops, Extractor, Measured, cached_features, measure_files
from ham_keras.diagnosis.folder import DiagnosisFolder, check_inputs
from ham_keras.diagnosis.network import network_digests, network_names, train_networks
from ham_keras.diagnosis.patients import common_name, read_patients
from ham_keras.diagnosis.report import report_diagnosis
from ham_keras.diagnosis.scoring import labels_of, save_network_scores, save_scores
from ham_keras.diagnosis.segmentation import (
    SegmentationRun,
    choose_masks,
    input_digests,
    needs_network,
    network_folders,
    weights_digest,
)
from ham_keras.diagnosis.trees import (
    CLASSIFIER,
    Floats,
    Labels,
    Trees,
    class_weights,
    fit_margin_scale,
    import_xgboost,
    train_trees,
)
from ham_keras.environment import describe_environment
from ham_keras.errors import HamError, shown
from ham_keras.files import replacing, save_bytes, save_json
from ham_keras.models.devices import describe_device
from ham_keras.prediction.predictor import load_predictor

Sides = Mapping[str, Sequence[Record]]


def train_and_score(
    config: DiagnosisConfig,
    folder: DiagnosisFolder,
    segmentation: SegmentationRun,
    sides: Sides,
    *,
    visible: bool = True,
) -> None:
    """Make the features of all sides, train on "train" with early stopping on "val", score "val" and "test", report.

    Cached features and trained seeds of an interrupted call are used.

    Raises:
        HamError: an image cannot be read, or weights are not available.
    """
    import_xgboost()
    check_inputs(folder, input_digests(config, segmentation, sides))
    classes = sorted({common_name(record.diagnosis) for record in sides["train"]})
    save_json(folder.environment, describe_environment(describe_device(), "float32"))
    counts = ", ".join(f"{len(records)} {side}" for side, records in sides.items())
    print(f"{shown(folder.folder)}: {len(classes)} diagnoses ({', '.join(classes)}), {counts} images")
    labels = {side: labels_of(records, classes) for side, records in sides.items()}
    features, crops, names = make_features(config, folder, segmentation, sides, visible=visible)
    answers: dict[str, Floats] = {}
    if config.features.trained:
        networks, unseen = train_networks(
            folder.classifier, config.network, segmentation.run, segmentation.config, crops["train"], labels["train"],
            sides["train"], len(classes), visible=visible,
        )  # fmt: skip
        answers = {"train": unseen, "val": networks(crops["val"]), "test": networks(crops["test"])}
        features = {side: np.concatenate([features[side], answers[side]], 1) for side in features}
        names = [*names, *network_names(classes)]
        for side, values in answers.items():
            with replacing(folder.answers(side)) as temporary:
                np.save(temporary, values)
    trees = _train(config, folder, features, labels, classes, names)
    digests = weights_digest(segmentation, config.features)
    weights = {os.path.relpath(path, folder.folder.resolve()): digest for path, digest in digests.items()}
    described = trees.describe() | {"weights_sha256": weights}
    if config.features.trained:
        described["networks_sha256"] = network_digests(folder.classifier, config.network)
    save_json(folder.classifier / CLASSIFIER, described)
    rounds = ", ".join(map(str, described["rounds"]))
    print(f"trees: {rounds} rounds of {len(classes)} trees, the best on the validation side")
    save_importances(folder, trees, features["test"])
    for side in ("val", "test"):
        if side in answers:
            save_network_scores(folder, side, trees, answers[side], sides[side])
        save_scores(folder, side, trees, features[side], sides[side], {"data": config.data.root, "split": side}, config)
    print(f"report: {shown(report_diagnosis(folder, config, 'test'))}")


def make_features(
    config: DiagnosisConfig,
    folder: DiagnosisFolder,
    segmentation: SegmentationRun,
    sides: Sides,
    *,
    visible: bool = True,
) -> tuple[dict[str, Floats], dict[str, Crops], list[str]]:
    """The features [N, F] of each side, its crops for `features.trained`, and the names of the features.

    Raises:
        HamError: an image or mask cannot be read, or weights are not available.
    """
    features = config.features
    masks = choose_masks(config, sides)
    records = [record for side in sides.values() for record in side]
    by_id = {record.image_id: record for record in records}
    needed = needs_network(features, masks, [record.image_path for record in records])
    folders = network_folders(config, segmentation, sides) if needed else {}
    predictor = cache(load_predictor)
    encode = FeatureEncoder(features.encoders, segmentation.run, segmentation.config, flips=features.flips)
    extractor = Extractor(features, encode)
    patients = read_patients(str(config.data.root), by_id) if features.metadata else {}
    if features.metadata and not any(patients.values()):
        raise HamError(
            f"features.metadata: no table of {config.data.root} has age, sex or localization of these images; add one, "
            f"or set features.metadata=false"
        )

    def measure(image_ids: Sequence[str]) -> Iterator[Measured]:
        paths = [by_id[image_id].image_path for image_id in image_ids]
        found: dict[Path, Measured] = {}
        for network in {folders.get(path): None for path in paths}:
            chosen = [path for path in paths if folders.get(path) == network]
            found |= measure_files(extractor, predictor(network) if network else None, chosen, masks)
        return (found[path] for path in paths)

    made: dict[str, Floats] = {}
    crops: dict[str, Crops] = {}
    for side, members in sides.items():
        ids = [record.image_id for record in members]
        cached = cached_features(folder.features / side, extractor, ids, measure, patients, visible=visible)
        made[side], crops[side] = cached
    return made, crops, extractor.names


def _train(
    config: DiagnosisConfig,
    folder: DiagnosisFolder,
    features: Mapping[str, Floats],
    labels: Mapping[str, Labels],
    classes: Sequence[str],
    names: Sequence[str],
) -> Trees:
    """Train one booster per seed, each saved when it is trained."""
    settings = config.classifier
    scale = None
    if settings.base_margin == "network":
        scale = fit_margin_scale(features["train"], labels["train"], len(classes), settings.class_weight_power)
    boosters = []
    for place in range(settings.seeds):
        path = folder.classifier / f"seed_{place}.json"
        if path.exists():
            boosters.append(import_xgboost().Booster(model_file=path))
            continue
        sides = [(features[side], labels[side]) for side in ("train", "val")]
        booster = train_trees(sides[0], sides[1], classes, names, settings, settings.seed + place, scale)
        save_bytes(path, booster.save_raw("json"))
        boosters.append(booster)
    odds = class_weights(labels["train"], len(classes), settings.decision_power)
    return Trees(classes, names, boosters, odds.tolist(), scale)
