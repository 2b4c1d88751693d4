"""One training step of the network alone, ours against segmentation_models_pytorch.

    python benchmarks/training_step.py [--backbones resnet34 mobilenet] [--precision float32 mixed_bfloat16]
        [--rounds 20] [--without-peer]
    python benchmarks/training_step.py --keras DepthwiseConv2D    # against ours with Keras' own layer

Batch 16 at 128x128, U-Net, Dice loss, Adam, including our metrics. The peer runs in channels_last, as it
is and compiled. Prints one table and writes benchmarks/results/training_step/, or training_step_layers/.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from side_by_side import Contestant, Work, alternate, compare, measured, save, show

BATCH = 16
SIZE = 128
GOALS = {"as it is": 1.0, "compiled": None}


def draw_batch(batch: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Images 0..255 [N, H, W, 3] and masks in {0, 1} [N, H, W, 1], float32."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (batch, size_px, size_px, 3)).astype(np.float32)
    return images, (rng.random((batch, size_px, size_px, 1)) < 0.3).astype(np.float32)


def ours(
    precision: str, batch: int = BATCH, size_px: int = SIZE, backbone: str = "resnet34", plain: Sequence[str] = ()
) -> Work:
    """The training step of `model.fit`, with Keras' own layers of the names in `plain`."""
    import keras
    import tensorflow as tf

    from ham_keras.config import parse_config
    from ham_keras.models.qubvel import KERAS
    from ham_keras.training.compiled import build_compiled_model

    for name in plain:
        setattr(KERAS["layers"], name, getattr(keras.layers, name))
    config = parse_config({"model": {"backbone": backbone, "encoder_weights": None}}, "benchmark")
    model = build_compiled_model(config, precision, 100)
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(draw_batch(batch, size_px)).cache().repeat().prefetch(2))
    return lambda: float(model.train_function(batches)["loss"])


def peer(precision: str, compiled: bool, batch: int = BATCH, size_px: int = SIZE, backbone: str = "resnet34") -> Work:
    import torch
    from peer import build_step

    images, masks = (torch.from_numpy(part.transpose(0, 3, 1, 2).copy()) for part in draw_batch(batch, size_px))
    step = build_step(precision, compiled=compiled, backbone=backbone)
    return lambda: step(images / 255, masks)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a training step, ours against the peer's.")
    parser.add_argument("--backbones", nargs="+", choices=("resnet34", "mobilenet"), default=["resnet34", "mobilenet"])
    parser.add_argument("--precision", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--without-peer", action="store_true", help="measure only ours; does not need torch")
    parser.add_argument("--keras", nargs="+", metavar="LAYER", help="compare with Keras' own layers of these names")
    args = parser.parse_args()
    kinds = [] if args.without_peer or args.keras else list(GOALS)
    rows: list[dict[str, Any]] = []
    for backbone, precision in itertools.product(args.backbones, args.precision):
        setting = {"precision": precision, "backbone": backbone}
        contestants = {"ours": Contestant(ours, setting)}
        for kind in kinds:
            contestants[kind] = Contestant(peer, {**setting, "compiled": kind == "compiled"})
        if args.keras:
            contestants["keras"] = Contestant(ours, {**setting, "plain": args.keras})
        seconds = alternate(contestants, rounds=args.rounds, calls=3, warm_up=3)
        for kind in kinds:
            name = f"{backbone}, {precision}, peer {kind}"
            rows.append(compare(name, seconds["ours"], seconds[kind], goal=GOALS[kind], unit="ms"))
        name = f"{backbone}, {precision}"
        if args.keras:
            title = f"{name}, {', '.join(args.keras)}"
            rows.append(compare(title, seconds["ours"], seconds["keras"], goal=None, unit="ms"))
        elif not kinds:
            rows.append(measured(name, show(seconds["ours"], "ms"), goal=None, unit="ms"))
    setting = {"batch": BATCH, "size_px": SIZE, "rounds": args.rounds, "steps_a_round": 3}
    if args.keras:
        save("training_step_layers", rows, setting, columns=("ours", "with Keras'"))
    else:
        save("training_step", rows, setting)


if __name__ == "__main__":
    main()
