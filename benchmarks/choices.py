"""Ablate preprocessing, fused operations and precision on real data.

    python benchmarks/choices.py HAM10000 SPLIT.json [--images 1500] [--epochs 6] [--seeds 2]

Trains a U-Net at 64x64 from random weights for each variant and seed, on the first images of the training split, and
scores the test split at the masks' own size. Each variant differs from `ours` in one thing. Prints paired differences
(bootstrap over lesions; a test image's score is its mean over seeds) and writes benchmarks/results/choices.json.
Finished scorings are not repeated.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import keras
import numpy as np
import tensorflow as tf

from ham_keras.config import parse_config
from ham_keras.data import pipeline
from ham_keras.data.splits import load_split
from ham_keras.environment import describe_environment
from ham_keras.files import load_csv, save_json
from ham_keras.models import build, qubvel
from ham_keras.preprocessing import steps
from ham_keras.runs import Run
from ham_keras.scores.bootstrap import bootstrap_interval
from ham_keras.train import train
from ham_keras.training import optimizer


def sampled_image(image: tf.Tensor, height_px: int, width_px: int) -> tf.Tensor:
    return tf.cast(tf.round(tf.image.resize(image, [height_px, width_px], antialias=False)), tf.uint8)


def nearest_mask(lesion: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    return cv2.resize(lesion, (width_px, height_px), interpolation=cv2.INTER_NEAREST).astype(np.float32)


VARIANTS: dict[str, dict[str, Any]] = {
    "ours": {},
    "images without antialias": {"patches": [(steps, "resize_image", sampled_image)]},
    "masks by nearest neighbour": {"patches": [(pipeline, "lesion_fraction", nearest_mask)]},
    "Keras' layers and Adam, all weights learnt": {
        "patches": [
            *((qubvel.KERAS["layers"], name, getattr(keras.layers, name)) for name in qubvel.REPLACED),
            (build, "IMAGE_NORMALIZATION", None),
            (optimizer, "Adam", keras.optimizers.Adam),
        ]
    },
    "float32": {"train": {"precision": "float32"}},
}


@contextlib.contextmanager
def patched(variant: dict[str, Any]) -> Iterator[None]:
    """Apply the patches of a variant, for training and evaluation."""
    with contextlib.ExitStack() as stack:
        for owner, name, value in variant.get("patches", ()):
            stack.enter_context(mock.patch.object(owner, name, value))
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure choices in preprocessing and precision.")
    parser.add_argument("root")
    parser.add_argument("split", type=Path)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs/choices"))
    args = parser.parse_args()
    split = load_split(args.split)
    split["train"] = split["train"][: args.images]
    split_file = Path("data/choices_split.json")
    save_json(split_file, split)

    scores: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    lesions: dict[str, str] = {}
    minutes: dict[str, float] = dict.fromkeys(VARIANTS, 0.0)
    for seed in range(args.seeds):
        for name, variant in VARIANTS.items():
            settings = {
                "run": {"name": f"{re.sub('[^A-Za-z0-9]+', '-', name)}-{seed}", "dir": str(args.runs)},
                "data": {"root": args.root, "split_file": str(split_file), "image_size": 64},
                "model": {"encoder_weights": None},
                "train": {
                    "epochs": args.epochs, "seed": seed, "precision": "mixed_bfloat16",
                    "schedule": {"name": "cosine", "warmup_epochs": 0.5}, "learning_rate": 5e-4,
                } | variant.get("train", {}),
            }  # fmt: skip
            with patched(variant):
                run: Run = train(parse_config(settings, name), visible=False).run
            rows = load_csv(run.scores("test") / "per_image.csv")
            scores[name].append({row["image_id"]: float(row["jaccard_native"]) for row in rows})
            lesions |= {row["image_id"]: row["lesion_id"] for row in rows}
            minutes[name] += sum(float(row["seconds"]) for row in load_csv(run.history)) / 60

    ids = list(lesions)
    means = {
        name: np.array([np.mean([one[i] for one in all_seeds]) for i in ids]) for name, all_seeds in scores.items()
    }
    table = []
    for name, values in means.items():
        difference = means["ours"] - values
        interval = bootstrap_interval(difference, [lesions[i] for i in ids])
        table.append(
            {
                "variant": name,
                "jaccard": float(values.mean()),
                "by_seed": [float(np.mean(list(one.values()))) for one in scores[name]],
                "ours_minus_variant": float(difference.mean()),
                "interval": list(interval),
                "train_minutes": round(minutes[name], 1),
            }
        )
        low, high = interval
        print(
            f"{name:36}{values.mean():8.4f}   ours is {difference.mean():+.4f} ({low:+.4f} to {high:+.4f}), "
            f"{minutes[name]:.1f} min"
        )
    setting = {
        "images": args.images,
        "epochs": args.epochs,
        "seeds": args.seeds,
        "test_images": len(ids),
        "size_px": 64,
    }
    environment = describe_environment("CPU", "mixed_bfloat16")
    save_json(Path("benchmarks/results/choices.json"), {"setting": setting, "rows": table, "environment": environment})
    print(json.dumps(setting))


if __name__ == "__main__":
    main()
