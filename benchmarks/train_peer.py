"""Train the peer with the MobileNet encoder from the same ImageNet weights as ours, and score it on each image.

    python benchmarks/train_peer.py HAM10000 SPLIT.json runs/peer-mobilenet --imagenet FILE.weights.h5 \
        --also isic2018=ROOT pad_ufes=ROOT

Tells what is ours from what is ImageNet's: the counterpart is configs/base.json with model.backbone=mobilenet,
model.encoder_weights=FILE.weights.h5 and the same train.epochs. segmentation_models_pytorch with timm's MobileNet v1,
its own normalisation (mean and deviation 0.5), Dice loss, Adam, bfloat16 where the processor has it, the last epoch;
otherwise what ../shared/peer/train_smp.py does. Where a convolution has a stride of 2, timm pads all sides and Keras
the right and the bottom, so the weights act a pixel further here. Writes OUT/<set>.csv, one row for each image with its
Jaccard index at the mask's own size, OUT/result.json and OUT/weights.pt. Needs torch, timm, opencv, h5py and
segmentation-models-pytorch.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import h5py
import numpy as np
import segmentation_models_pytorch as smp
import torch
from peer import ENCODERS, Lesions

from ham_keras.data.records import Record, find_records
from ham_keras.data.splits import load_split
from ham_keras.environment import describe_environment
from ham_keras.files import save_csv, save_json

MEAN = STD = np.full(3, 0.5, "float32")
EPSILON = 1e-3  # of Keras' batch normalisation, with which the weights were trained
# From Keras' kernels, [rows, columns, inputs, outputs], to torch's, [outputs, inputs, rows, columns]; a depthwise one
# has one output per input.
AXES = {"conv2d": (3, 2, 0, 1), "depthwise_conv2d": (2, 3, 0, 1)}
BFLOAT16 = torch.cpu._is_avx512_bf16_supported()
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


def read_layers(path: Path, kind: str) -> list[list[np.ndarray]]:
    """The arrays of all layers of a kind in a Keras weights file, in the order of the network."""
    with h5py.File(path) as file:
        names = [name for name in file["layers"] if re.fullmatch(rf"{kind}(_\d+)?", name)]
        names.sort(key=lambda name: int(name.removeprefix(kind).lstrip("_") or 0))
        return [[np.array(group[key]) for key in sorted(group)] for group in (file["layers"][n]["vars"] for n in names)]


def load_imagenet(encoder: torch.nn.Module, path: Path) -> int:
    """Load a MobileNet encoder's weights from a Keras file; returns how many arrays."""
    convolutions = [each for each in encoder.modules() if isinstance(each, torch.nn.Conv2d)]
    norms = [each for each in encoder.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    loaded = 0
    for kind, axes in AXES.items():
        wanted = [each for each in convolutions if (each.groups > 1) == (kind == "depthwise_conv2d")]
        for layer, (array,) in zip(wanted, read_layers(path, kind), strict=True):
            loaded += _copy(layer.weight, array.transpose(axes))
    for layer, arrays in zip(norms, read_layers(path, "batch_normalization"), strict=True):
        layer.eps = EPSILON
        for name, array in zip(BATCH_NORM, arrays, strict=True):
            loaded += _copy(getattr(layer, name), array)
    return loaded


def _copy(target: torch.Tensor, array: np.ndarray) -> int:
    assert target.shape == array.shape, (target.shape, array.shape)
    with torch.no_grad():
        target.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    return 1


def train(network: torch.nn.Module, records: Sequence[Record], size_px: int, epochs: int) -> float:
    """Train with the report's recipe; returns the seconds."""
    examples = Lesions(records, size_px, mean=MEAN, std=STD)
    loader = torch.utils.data.DataLoader(examples, 16, shuffle=True)
    dice, optimizer = smp.losses.DiceLoss("binary"), torch.optim.Adam(network.parameters(), 1e-4)
    start = time.perf_counter()
    network.train()
    for epoch in range(epochs):
        losses = []
        for images, masks in loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
                loss = dice(network(images.contiguous(memory_format=torch.channels_last)), masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        print(
            f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.4f}, {time.perf_counter() - start:.0f} s", flush=True
        )
    return time.perf_counter() - start


@torch.inference_mode()
def score(network: torch.nn.Module, records: Sequence[Record], size_px: int) -> list[dict[str, str | float]]:
    """The Jaccard index of each image at the mask's own size."""
    network.eval()
    examples, rows = Lesions(records, size_px, mean=MEAN, std=STD), []
    for index, record in enumerate(records):
        probability = network(examples[index][0][None]).sigmoid().numpy()[0, 0]
        mask = cv2.imread(str(record.mask_path), cv2.IMREAD_GRAYSCALE) > 127
        lesion = cv2.resize(probability, mask.shape[::-1]) > 0.5
        union = (lesion | mask).sum()
        jaccard = float((lesion & mask).sum() / union) if union else 1.0
        rows.append({"image_id": record.image_id, "jaccard_native": jaccard})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the peer from the same ImageNet weights as ours.")
    parser.add_argument("root", type=Path)
    parser.add_argument("split", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--imagenet", type=Path, required=True, metavar="FILE", help="weights of a MobileNet encoder")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--also", nargs="*", default=[], metavar="NAME=ROOT")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    split = load_split(args.split)
    records = {record.image_id: record for record in find_records(args.root).records}
    network = smp.Unet(ENCODERS["mobilenet"], encoder_weights=None, classes=1).to(memory_format=torch.channels_last)
    print(f"{load_imagenet(network.encoder, args.imagenet)} arrays of {args.imagenet}")
    seconds = train(network, [records[image_id] for image_id in split["train"]], args.size, args.epochs)
    args.output.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), args.output / "weights.pt")
    sets = {"test": [records[image_id] for image_id in split["test"]]}
    for name, root in (pair.split("=", 1) for pair in args.also):
        sets[name] = list(find_records(Path(root)).records)
    means = {}
    for name, members in sets.items():
        rows = score(network, members, args.size)
        save_csv(args.output / f"{name}.csv", rows)
        means[name] = {"images": len(rows), "jaccard_native": float(np.mean([row["jaccard_native"] for row in rows]))}
    result = {
        "peer": f"segmentation_models_pytorch {smp.__version__}, torch {torch.__version__}, timm MobileNet v1",
        "recipe": {
            "epochs": args.epochs,
            "size": args.size,
            "seed": args.seed,
            "learning_rate": 1e-4,
            "batch_size": 16,
        },
        "environment": describe_environment("CPU", "bfloat16" if BFLOAT16 else "float32"),
        "fit_seconds": round(seconds, 1),
        "jaccard": means,
    }
    save_json(args.output / "result.json", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
