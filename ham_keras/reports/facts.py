"""The facts of a run that a report lists: data, network, training and machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ham_keras.config import Config
from ham_keras.files import load_csv, load_json
from ham_keras.reports.scored_set import ScoredSet
from ham_keras.runs import Run
from ham_keras.runs.history import best_row
from ham_keras.scores.summary import outline_in_words
from ham_keras.settings import Augment, Train

Facts = dict[str, dict[str, str]]

DIAGNOSES = {
    "akiec": "actinic keratosis or Bowen's disease",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "melanocytic nevus",
    "vasc": "vascular lesion",
}


def describe_set(scored: ScoredSet) -> Facts:
    """Describe a scored set and its run: {section: {label: text}}."""
    run, config = scored.run, scored.config
    environment = load_json(run.environment) if run.environment.exists() else {}
    return {
        "Data": _data(scored),
        "Network": _network(config),
        "Training": _training(run, config.train, config.augment),
        "Machine": _machine(environment),
    }


def _data(scored: ScoredSet) -> dict[str, str]:
    config, split = scored.config.data, load_json(scored.run.split)
    height, width = config.image_size
    if config.split_file is not None:
        source = f"read from {Path(config.split_file).name}"
    else:
        by = "by lesion, so that no lesion is in two splits" if config.group_by else "by image"
        by += "; each diagnosis by itself" if config.stratify else ""
        shares = " / ".join(f"{share:.1%}" for share in config.split.model_dump().values())
        source = f"drawn {by}, seed {config.seed}: {shares} of " + (f"{config.sample:,}" if config.sample else "all")
    repaired = len(load_json(scored.run.repaired)) if scored.run.repaired.exists() else 0
    flipped = sum(int(row["mask_repaired"]) for row in scored.rows.values())
    return {
        "Trained and validated on": str(config.root),
        "Images": ", ".join(f"{len(split[name]):,} {name}" for name in ("train", "val", "test")),
        "Split": source,
        "Inverted masks repaired": f"{repaired} of training and validation, {flipped} of those scored",
        "Size for the network": f"{height}x{width} px",
        "Scored on": f"{Path(scored.summary['data']).name}, "
        + (f"{scored.summary['split']} split" if scored.summary["split"] else "all images"),
        "Lesion": outline_in_words(scored.config.outline),
    }


def _network(config: Config) -> dict[str, str]:
    model = config.model
    initial = {"Encoder's initial weights": model.encoder_weights or "random"}
    if model.initial_weights:
        share = config.train.initial_share
        kept = f", kept at {100 * share:g} %" if share else ""
        initial = {"Initial weights": Path(model.initial_weights).name + kept}
    return {
        "Architecture": model.architecture,
        "Backbone": model.backbone + (", frozen" if model.encoder_freeze else ""),
    } | initial


def _training(run: Run, settings: Train, augment: Augment) -> dict[str, str]:
    history = load_csv(run.history)
    best = best_row(history, settings.monitor)
    minutes = sum(float(row["seconds"]) for row in history) / 60
    schedule, rate = settings.schedule, settings.learning_rate
    warmup = f", {schedule.warmup_epochs:g} epochs of warm-up" if schedule.warmup_epochs else ""
    average = f"; moving average of the weights, {settings.ema_momentum:g}" if settings.ema_momentum else ""
    return {
        "Best epoch": f"{best['epoch']} of {len(history)}, validation Jaccard {float(best['val_jaccard']):.4f}",
        "Loss": settings.loss,
        "Optimizer": f"{settings.optimizer}, learning rate {rate:g}, {schedule.name}{warmup}{average}",
        "Batch size": str(settings.batch_size),
        "Augmentation": _augmentation(augment),
        "Seed": str(settings.seed),
        "Time": f"{minutes:.1f} minutes in {len(history)} epochs",
    }


def _augmentation(augment: Augment) -> str:
    if augment.engine == "none":
        return "none"
    used = []
    mirrored = {"surroundings"} if augment.surroundings == "mirror" else set()
    for name, value in augment.model_dump(exclude={"engine"} | mirrored).items():
        amount = "" if value is True else f" {value}" if isinstance(value, str) else f" {value:g}"
        used += [name.replace("_", " ") + amount] if value else []
    return f"{augment.engine}: {', '.join(used)}"


def _machine(environment: Mapping[str, Any]) -> dict[str, str]:
    if not environment:
        return {"Not recorded": "environment.json is missing"}
    packages = environment["packages"]
    named = {name: packages[name] for name in ("ham-keras", "tensorflow", "keras", "numpy") if packages.get(name)}
    return {
        "Date": environment["date"],
        "Command": environment["command"],
        "Code": environment["git_revision"] or "not in a git repository",
        "Precision": f"{environment['precision']} on {environment['device']}; scored in float32",
        "Processor": f"{environment['cpu']}, {environment['cpu_threads']} threads",
        "Versions": f"Python {environment['python']}, " + ", ".join(f"{name} {v}" for name, v in named.items()),
        "Starts": str(1 + len(environment.get("continued", []))),
    }
