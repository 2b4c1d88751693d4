"""Write run, prediction and search folders as revision 74ad5ed wrote them.

Their content is copied from folders of that revision and does not depend on the current code, so tests of these folders
fail if the current code can no longer read them. Weights are random with a fixed seed, stored under the names and in
the order of former_variables.csv: a U-Net with a ResNet18 encoder.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

EPOCHS = 3
EPOCHS_DONE = 2  # by the killed run
THRESHOLD = 0.4

# Numbers of the tests' 24 phantoms.
SPLIT = {
    "train": [3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24],
    "val": [1, 2, 8, 9, 15, 16],
    "test": [5, 6, 7, 17, 18, 19],
}
REPAIRED = [4, 12, 20]
HISTORY = """\
epoch,iou_score,jaccard,loss,val_iou_score,val_jaccard,val_loss,learning_rate,seconds,images_per_second
1,0.16818106174468994,0.1713885333391824,0.7177143096923828,0.12597247958183289,0.17237359400968366,0.7218853831291199,9.999999747378752e-05,72.14,0.24
2,0.196857750415802,0.1927920369216498,0.6924548745155334,0.20900392532348633,0.2656735576529713,0.6315662264823914,5e-05,6.53,6.26
3,0.2209358960390091,0.20130657105154395,0.6790516376495361,0.25965264439582825,0.3062706614581425,0.5789424777030945,0.0,4.73,8.38
"""
ENVIRONMENT = {
    "date": "2026-11-25T17:15:31+00:00",
    "command": "python -m ham_keras.train tiny.json",
    "git_revision": "74ad5ed8197336cd1fdb502d7ce5120d9d6f6620",
    "python": "3.11.7",
    "packages": {
        "ham-keras": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1", "keras-tuner": "1.4.8",
        "segmentation-models": "1.0.1", "albumentations": "2.0.8", "opencv-python-headless": "5.0.0.93",
        "numpy": "2.4.6", "pillow": "12.3.0",
    },
    "platform": "Linux-6.18.44-x86_64-with-glibc2.36",
    "cpu": "Intel(R) Xeon(R) Processor",
    "cpu_threads": 2,
    "device": "CPU",
    "precision": "float32",
}  # fmt: skip
SUMMARISED = ("images", "lesions", "native", "network", "by_diagnosis", "by_size")
MEASURED = (
    "image_id", "image", "width_px", "height_px", "lesion_fraction", "box_left_px", "box_top_px", "box_width_px",
    "box_height_px", "components", "border_confidence_mean", "border_confidence_lowest", "touches_frame",
)  # fmt: skip


def former_config(folder: Path, data: Path) -> dict[str, Any]:
    """A run's config.json with all keys of that revision."""
    return {
        "description": "",
        "run": {"name": folder.name, "dir": str(folder.parent)},
        "data": {
            "root": str(data), "split_file": None, "sample": None, "split": {"train": 0.5, "val": 0.25, "test": 0.25},
            "group_by": "lesion_id", "seed": 0, "image_size": [32, 32], "cache": "memory", "cache_dir": "data/cache",
        },
        "augment": {
            "engine": "native", "flips": True, "quarter_turns": True, "scale": 0.1, "shift": 0.05, "brightness": 0.1,
            "contrast": 0.1, "hue": 0.02,
        },
        "model": {
            "architecture": "unet", "backbone": "resnet18", "encoder_weights": None, "encoder_freeze": False,
            "batchnorm_momentum": 0.9,
        },
        "train": {
            "epochs": EPOCHS, "batch_size": 4, "learning_rate": 0.0001, "adam_epsilon": 1e-07,
            "schedule": {"name": "cosine", "warmup_epochs": 1.0}, "loss": "dice", "precision": "float32",
            "early_stopping_epochs": None, "ema_momentum": 0.9, "seed": 0,
        },
        "score": {"threshold": THRESHOLD, "bootstrap_resamples": 100},
    }  # fmt: skip


def former_variables() -> list[dict[str, str]]:
    """The network's variables in order: dataset in model.weights.h5, shape, Keras path, 1 if trainable."""
    with open(Path(__file__).with_name("former_variables.csv"), newline="") as file:
        return list(csv.DictReader(file))


def draw_weights(seed: int) -> list[np.ndarray]:
    """Random values of the variables: He-normal kernels, and BatchNormalization's close to 1 or 0."""
    generator = np.random.default_rng(seed)
    values = []
    for row in former_variables():
        shape = tuple(map(int, row["shape"].split()))
        value = generator.standard_normal(shape, np.float32)
        kind = row["variable"].rpartition("/")[2]
        if kind == "kernel":
            value *= np.sqrt(2 / np.prod(shape[:-1]), dtype=np.float32)
        else:
            value = value * np.float32(0.1) + np.float32(kind in ("gamma", "moving_variance"))
        values.append(value)
    return values


def draw_run(folder: Path, data: Path, *, finished: bool = True) -> list[np.ndarray]:
    """Write a run, killed before its last epoch unless `finished`; returns the arrays of resume.npz in order."""
    _save_json(folder / "config.json", former_config(folder, data), indent=2)
    _save_json(folder / "split.json", {side: [_name(number) for number in SPLIT[side]] for side in SPLIT})
    _save_json(folder / "environment.json", ENVIRONMENT)
    _save_json(folder / "repaired.json", [_name(number) for number in REPAIRED])
    done = EPOCHS if finished else EPOCHS_DONE
    lines = HISTORY.splitlines(keepends=True)[: 1 + done]
    (folder / "history.csv").write_text("".join(lines))
    (folder / ".lock").touch()
    variables = former_variables()
    best = draw_weights(1)
    with h5py.File(folder / "model.weights.h5", "w") as file:
        file.create_group("vars")
        for row, value in zip(variables, best, strict=True):
            file[row["dataset"]] = value
    if finished:
        return []
    weights = draw_weights(2)
    moments: list[np.ndarray] = []
    for row, first, second in zip(variables, draw_weights(3), draw_weights(4), strict=True):
        if row["trained"] == "1":
            moments += [first * np.float32(1e-3), np.square(second * np.float32(1e-3))]
    steps = np.int64(EPOCHS_DONE * len(SPLIT["train"]) // 4)
    arrays = [*weights, steps, *moments, *best, steps]  # network, Adam, moving average of the weights
    rows = [{key: json.loads(value) for key, value in row.items()} for row in csv.DictReader(lines)]
    progress = {"epoch": done, "best": rows[-1]["val_jaccard"], "best_epoch": done, "history": rows}
    named = {f"variable_{number}": value for number, value in enumerate(arrays)}
    np.savez(folder / "resume.npz", progress=np.array(json.dumps(progress)), **named)
    return [np.asarray(value) for value in arrays]


def save_former_scores(folder: Path, data: Path, summary: Mapping[str, Any]) -> None:
    """Write scores/test/summary.json in the old format, with the figures of a current one.

    Of the post-processing, it only has the threshold. per_image.csv has not changed.
    """
    made_from = {"run": folder.name, "set": "test", "data": str(data), "split": "test", "threshold": THRESHOLD}
    figures = {key: summary[key] for key in SUMMARISED}
    _save_json(folder / "scores" / "test" / "summary.json", made_from | figures)


def draw_predictions(folder: Path, run: Path, images: Sequence[Path]) -> None:
    """Write a folder of predictions in which all masks are empty."""
    digest = hashlib.sha256((run / "model.weights.h5").read_bytes()).hexdigest()
    how = {"threshold": THRESHOLD, "tta": False, "keep_largest": False, "fill_holes": False}
    _save_json(folder / "predict.json", {"run": run.name, "weights_sha256": digest, **how})
    (folder / "overlays").mkdir()
    table = io.StringIO()
    writer = csv.DictWriter(table, MEASURED, lineterminator="\n")
    writer.writeheader()
    for path in sorted(images):
        with Image.open(path) as image:
            width, height = image.size
            image.convert("RGB").save(folder / "overlays" / f"{path.stem}.jpg")
        Image.new("L", (width, height)).save(folder / f"{path.stem}_segmentation.png")
        values = (path.stem, path.resolve(), width, height, 0.0, "", "", "", "", 0, "", "", 0)
        writer.writerow(dict(zip(MEASURED, values, strict=True)))
    (folder / "predictions.csv").write_text(table.getvalue())
    (folder / ".lock").touch()


RATES = (0.00018566433578077874, 0.00816711260996145)
JACCARDS = (0.24327635654922045, 0.3208208208208208)


def draw_search(folder: Path, data: Path) -> None:
    """Write a search with two trials, killed after the second."""
    config = former_config(folder, data)
    config["augment"]["engine"] = "none"
    config["train"] |= {"epochs": 1, "ema_momentum": None, "schedule": {"name": "constant", "warmup_epochs": 0}}
    search = {"algorithm": "random_search", "trials": 2, "factor": 3, "iterations": 1, "seed": 0}
    space = {"train.learning_rate": {"log": [0.0001, 0.01], "linear": None, "choice": None}}
    _save_json(folder / "search.json", {**config, "search": search, "space": space}, indent=2)
    _save_json(folder / "split.json", {side: [_name(number) for number in SPLIT[side]] for side in SPLIT})
    _save_json(folder / "environment.json", ENVIRONMENT)
    (folder / ".lock").touch()
    parameter = {
        "class_name": "Float",
        "config": {
            "name": "train.learning_rate", "default": 0.0001, "conditions": [], "min_value": 0.0001,
            "max_value": 0.01, "step": None, "sampling": "log",
        },
    }  # fmt: skip
    hashes = {"0": "9ef959cc491b8404560d4d3b341b06df", "1": "e318f1fae5719aa09a393e8568e0b7f7"}
    oracle = {
        "ongoing_trials": {},
        "hyperparameters": {"space": [parameter], "values": {"train.learning_rate": 0.0001}},
        "start_order": ["0", "1"], "end_order": ["0", "1"], "run_times": {"0": 1, "1": 1}, "retry_queue": [],
        "seed": 1, "seed_state": 3, "tried_so_far": list(hashes.values()), "id_to_hash": hashes,
        "display": {"search_start": None, "trial_start": {}, "trial_number": {}}, "starts": {"0": 1, "1": 1},
    }  # fmt: skip
    _save_json(folder / "trials" / "oracle.json", oracle)
    (folder / "trials" / "tuner0.json").write_text("{}")
    for number, (rate, jaccard) in enumerate(zip(RATES, JACCARDS, strict=True)):
        trial = folder / "trials" / f"trial_{number}"
        observed = {"direction": "max", "observations": [{"value": [jaccard], "step": 0}]}
        content = {
            "trial_id": str(number),
            "hyperparameters": {"space": [parameter], "values": {"train.learning_rate": rate}},
            "metrics": {"metrics": {"val_jaccard": observed}},
            "score": jaccard, "best_step": 0, "status": "COMPLETED", "message": None,
        }  # fmt: skip
        _save_json(trial / "trial.json", content)
        outcome = {"val_jaccard": jaccard, "error": None, "fatal": False, "seconds": 24.4, "memory_mb": 1382}
        _save_json(trial / "outcome.json", outcome)
        run = {"name": trial.name, "dir": str(trial.parent)}
        _save_json(trial / "config.json", {**config, "run": run, "train": config["train"] | {"learning_rate": rate}})
        head, row = HISTORY.splitlines()[:2]
        cells = row.split(",")
        cells[5] = str(jaccard)
        (trial / "history.csv").write_text(f"{head}\n{','.join(cells)}\n")


def _name(number: int) -> str:
    return f"PHANTOM_{number:07}"


def _save_json(path: Path, content: Any, indent: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=indent) + "\n")
