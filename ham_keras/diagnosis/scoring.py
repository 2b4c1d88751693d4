"""Write the scores of a set of images: probabilities per image and a summary, in scores/<name>/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ham_keras.diagnosis.config import DiagnosisConfig
from ham_keras.diagnosis.folder import DiagnosisFolder
from ham_keras.diagnosis.patients import common_name
from ham_keras.diagnosis.trees import Floats, Labels, Trees
from ham_keras.errors import HamError, shown
from ham_keras.files import load_csv, locked, replacing, save_csv, save_json
from ham_keras.scores.bootstrap import show_interval
from ham_keras.scores.classification import lesions_of, statistics_of, summarise_diagnoses

DECIMALS = 6  # of probabilities in tables


class Diagnosed(Protocol):
    """An image with a known diagnosis: a `Record` or a `Photograph`."""

    @property
    def image_id(self) -> str: ...
    @property
    def lesion_id(self) -> str: ...
    @property
    def diagnosis(self) -> str: ...


def probability_columns(classes: Sequence[str], probabilities: Floats) -> dict[str, float]:
    """The columns p_<diagnosis> of one image, from its probabilities [K]."""
    values = probabilities.astype(np.float64)
    return {f"p_{name}": round(float(value), DECIMALS) for name, value in zip(classes, values, strict=True)}


def labels_of(images: Sequence[Diagnosed], classes: Sequence[str]) -> Labels:
    """The index in `classes` of each image's diagnosis."""
    return np.array([classes.index(common_name(image.diagnosis)) for image in images])


def probability_rows(probabilities: Floats, images: Sequence[Diagnosed], trees: Trees) -> list[dict[str, Any]]:
    """The rows of per_image.csv."""
    return [
        {
            "image_id": image.image_id,
            "lesion_id": image.lesion_id,
            "diagnosis": common_name(image.diagnosis),
            "answer": trees.classes[int((row * trees.odds).argmax())],
            **probability_columns(trees.classes, row),
        }
        for image, row in zip(images, probabilities, strict=True)
    ]


def save_network_scores(
    folder: DiagnosisFolder, name: str, trees: Trees, answers: Floats, images: Sequence[Diagnosed]
) -> None:
    """Write scores/<name>/network.csv, as per_image.csv: the softmax of the network of `features.trained` itself."""
    softmax = np.exp(answers) / np.exp(answers).sum(1, keepdims=True)
    save_csv(folder.scores(name) / "network.csv", probability_rows(softmax, images, trees))


def save_scores(
    folder: DiagnosisFolder,
    name: str,
    trees: Trees,
    features: Floats,
    images: Sequence[Diagnosed],
    made_from: Mapping[str, Any],
    config: DiagnosisConfig,
) -> dict[str, Any]:
    """Write scores/<name>/per_image.csv and summary.json; returns the content of the latter.

    Raises:
        HamError: another process is writing these scores.
    """
    probabilities = trees.probabilities(features)
    labels = labels_of(images, trees.classes)
    rows = probability_rows(probabilities, images, trees)
    lesions = [image.lesion_id for image in images]
    summary = {"run": folder.folder.resolve().name, "set": name, **made_from} | summarise_diagnoses(
        probabilities, labels, trees.classes, lesions, odds=trees.odds, resamples=config.score.bootstrap_resamples
    )
    with locked(folder.scores(name), instead="choose --name NAME"), ExitStack() as stack:
        # Both are there before the first replaces an old one.
        save_csv(stack.enter_context(replacing(folder.scores(name) / "per_image.csv")), rows)
        save_json(stack.enter_context(replacing(folder.summary(name))), summary)
    print(f"\n{format_scores(summary, f'{shown(folder.folder)}: {name}')}")
    return summary


def read_probabilities(path: Path) -> tuple[list[str], list[str], list[str], Labels, Floats]:
    """Read a per_image.csv: image ids, lesion ids, classes, labels [N] (indices of the classes), probabilities [N, K].

    Raises:
        HamError: not such a table.
    """
    try:
        rows = load_csv(path)
        classes = [name.removeprefix("p_") for name in rows[0] if name.startswith("p_")]
        labels = np.array([classes.index(row["diagnosis"]) for row in rows])
        probabilities = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows], np.float32)
        return [row["image_id"] for row in rows], [row["lesion_id"] for row in rows], classes, labels, probabilities
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise HamError(f"{path}: not a table of diagnoses: {error!r}") from None


def format_scores(summary: Mapping[str, Any], title: str) -> str:
    """Format a summary as a plain-text table."""
    lines = [
        f"{title}: {summary['images']} images of {summary['lesions']} lesions",
        f"{'':32}{'value':>8}  95 % interval",
    ]
    for name in statistics_of(summary["classes"]):
        score = summary[name]
        if score["value"] is not None:
            interval = show_interval(score["interval"], lesions_of(summary, name))
            lines.append(f"{name.replace('_', ' '):32}{score['value']:8.4f}  {interval}")
    lines.append(f"\n{'':12}{'images':>8}{'AUC':>8}{'spec.':>8}{'sens.':>8}  95 % interval")
    for name, group in summary["by_diagnosis"].items():
        values = [group[key] for key in ("auc", "specificity", "sensitivity")]
        shown = "".join(f"{'none':>8}" if value is None else f"{value:8.4f}" for value in values)
        interval = show_interval(group["sensitivity_interval"], group["lesions"]) if group["images"] else ""
        lines.append(f"{name:12}{group['images']:8}{shown}  {interval}".rstrip())
    return "\n".join(lines)
