"""The report of one scored set of a diagnosis run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ham_keras.diagnosis.config import DiagnosisConfig
from ham_keras.diagnosis.folder import DiagnosisFolder
from ham_keras.diagnosis.measures import in_words
from ham_keras.diagnosis.plots import save_bars, save_confusion, save_importances_plot, save_reliability, save_roc
from ham_keras.diagnosis.scoring import read_probabilities
from ham_keras.diagnosis.trees import CLASSIFIER
from ham_keras.files import load_csv, load_json
from ham_keras.reports.facts import DIAGNOSES
from ham_keras.reports.page import PAGE, new_report, save_page
from ham_keras.scores.classification import MELANOMA, lesions_of, statistics_of

CROPS = {
    "lesion": "the lesion with a margin",
    "blanked": "the lesion, its skin in grey",
    "image": "the whole image",
    "skin": "the whole image, its lesion in grey",
}
MASKS = {"predicted": "by the segmentation run", "out_of_fold": "out of fold", "annotated": "by the annotators"}


def report_diagnosis(folder: DiagnosisFolder, config: DiagnosisConfig, name: str) -> Path:
    """Write the report of scores/<name>/ into reports/<name>/; returns the page."""
    summary = load_json(folder.summary(name))
    _, _, classes, labels, probabilities = read_probabilities(folder.scores(name) / "per_image.csv")
    importances, groups = load_csv(folder.importances), load_csv(folder.importance_groups)
    target = folder.report(name)
    with new_report(target) as part:
        save_roc(probabilities, labels, classes, part / "roc.png")
        save_reliability(summary["reliability"], part / "reliability.png")
        save_confusion(summary["confusion"], classes, part / "confusion.png")
        words = {row["feature"]: in_words(row["feature"]) for row in importances}
        save_importances_plot(importances, part / "features.png", words)
        xlabel, title = "mean change of the log-odds of a diagnosis", "Groups of features"
        save_bars(
            [row["group"] for row in groups], [float(row["shap"]) for row in groups], xlabel, title,
            part / "groups.png",
        )  # fmt: skip
        view = {
            "run": folder.folder.resolve().name,
            "set": name,
            "summary": summary,
            "scores": list(statistics_of(classes)),
            "lesions": {score: lesions_of(summary, score) for score in statistics_of(classes)},
            "melanoma": MELANOMA in classes,
            "answer": _answer(config),
            "facts": _facts(folder, config, summary),
            "groups": groups,
            "diagnoses": DIAGNOSES,
        }
        content = {"run": view["run"], "set": name, "summary": summary, "groups": groups}
        save_page("diagnosis.html", part, content, view)
    return target / PAGE


def _answer(config: DiagnosisConfig) -> str:
    power = config.classifier.decision_power
    if not power:
        return "the most probable diagnosis"
    return f"the diagnosis with the highest probability / frequency in training to the power {power:g}"


def _describe_network(folder: DiagnosisFolder, config: DiagnosisConfig, name: str) -> str:
    if not config.features.trained:
        return "none"
    network = config.network
    encoder = (
        f"{network.encoder.name} ({network.encoder.weights})" if network.encoder.backbone else network.encoder.name
    )
    who = "one network trained on all training images" if network.refit else "the mean of these networks"
    words = f"encoder {encoder}, {network.folds} folds, {network.epochs} epochs, new images answered by {who}"
    table = folder.scores(name) / "network.csv"
    if not table.exists():
        return words
    _, _, classes, labels, probabilities = read_probabilities(table)
    statistics = statistics_of(classes)
    alone = ", ".join(
        f"{score.replace('_', ' ')} {statistics[score](probabilities, labels):.4f}"
        for score in ("macro_auc", "melanoma_auc")
        if score in statistics
    )
    return f"{words}; its own probabilities: {alone}"


def _facts(folder: DiagnosisFolder, config: DiagnosisConfig, summary: dict[str, Any]) -> dict[str, dict[str, str]]:
    features, classifier = config.features, config.classifier
    split = load_json(folder.split)
    described = load_json(folder.classifier / CLASSIFIER)
    environment = load_json(folder.environment)
    named = [name for name in ("outline", "texture", "doubt", "metadata") if getattr(features, name)]
    return {
        "Data": {
            "Trained and validated on": str(config.data.root),
            "Images": ", ".join(f"{len(split[name]):,} {name}" for name in ("train", "val", "test")),
            "Scored on": f"{summary['data']}, "
            + (f"{summary['split']} side" if summary["split"] else "all images with a diagnosis"),
            "Segmentation": config.segmentation,
            "Masks of training images": MASKS[features.masks],
            "Masks of scored images": MASKS[features.scored_masks] if summary["split"] else MASKS["predicted"],
        },
        "Features": {
            "Encoders": ", ".join(f"{each.name} ({each.weights})" for each in features.encoders) or "none",
            "They see": f"{CROPS[features.crop]}, {features.size_px} px"
            + (", mirror images averaged" if features.flips else ""),
            "Trained network": _describe_network(folder, config, summary["set"]),
            "Measured": ", ".join(named) or "nothing",
            "Number": str(len(described["features"])),
        },
        "Classifier": {
            "Kind": f"XGBoost, {classifier.seeds} seeds averaged"
            + (", from the network's answers on" if classifier.base_margin else ""),
            "Rounds": ", ".join(map(str, described["rounds"])),
            "Class weights": f"1 / frequency to the power {classifier.class_weight_power:g}",
            "Answer": _answer(config),
            "Trees": f"depth {classifier.max_depth}, learning rate {classifier.learning_rate:g}",
        },
        "Machine": {
            "Date": environment["date"],
            "Command": environment["command"],
            "Code": environment["git_revision"] or "not in a git repository",
            "Processor": f"{environment['cpu']}, {environment['cpu_threads']} threads",
        },
    }
