"""Inference of Unet-resnet34, our exports against segmentation_models_pytorch.

    python benchmarks/inference.py [--rounds 20] [--batches 1 16] [--size 128] [--without-peer]

From float32 images in memory to float32 probabilities: the latency of one image, p50 and p99 over all calls, and the
throughput in batches of 16. All use as many threads as there are cores. Ours are the files that `export` writes and
Keras' own `predict`; ours normalise the image, the peer receives it normalised. OpenVINO as it is uses bfloat16 where
the CPU supports it, and OpenVINO int8 is quantised: such rows give the largest difference of probabilities to float32,
which is much larger in this untrained network on noise than in a trained one on photographs. Prints one table and
writes benchmarks/results/inference/.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import Contestant, Row, Seconds, Work, alone, alternate, compare, measured, save, show

SIZE = 128
BATCH = 16
NAME = "lesion"
CALLS = {1: 10, BATCH: 2}  # per round, by batch size
WARM_UP = 3
TOLERANCE = 1e-4  # between our float32 formats
FLOAT32 = ("SavedModel", "Keras predict", "ONNX Runtime", "OpenVINO float32")
OURS = (*FLOAT32, "OpenVINO as it is", "OpenVINO int8")
INSTEAD = (("SavedModel", "Keras predict", None), ("OpenVINO int8", "OpenVINO float32", 2.0))  # of ours, and goals
CALIBRATION_IMAGES = 32  # of noise: they change the accuracy, not the speed
PEERS = ("as it is", "compiled", "in ONNX Runtime", "in bfloat16")
PAIRS = (  # ours, peer, goal of p50 and of throughput
    ("SavedModel", "as it is", 1.0),
    ("ONNX Runtime", "as it is", 1.5),
    ("OpenVINO float32", "as it is", 1.5),
    ("OpenVINO as it is", "as it is", 1.5),
    ("OpenVINO int8", "in ONNX Runtime", 1.5),
    ("SavedModel", "compiled", None),
    ("ONNX Runtime", "in ONNX Runtime", None),
    ("OpenVINO as it is", "in bfloat16", None),
)


def draw_images(batch: int, size_px: int) -> np.ndarray:
    """Float32 [N, H, W, 3] in 0..1."""
    return np.random.default_rng(0).uniform(0, 1, (batch, size_px, size_px, 3)).astype(np.float32)


def build(size_px: int, backbone: str = "resnet34") -> tuple[Any, Any]:
    """Build the network, always with the same weights, and its config.

    BatchNormalization gets the statistics of a batch, as after training. With the initial statistics, activations and
    their rounding errors would grow from layer to layer.
    """
    import keras

    from ham_keras.config import parse_config
    from ham_keras.models.build import build_model

    settings = {
        "data": {"image_size": size_px},
        "model": {"backbone": backbone, "encoder_weights": None, "batchnorm_momentum": 0.0},
    }
    config = parse_config(settings, "benchmark")
    keras.utils.set_random_seed(0)
    model = build_model(config.model)
    model(255 * draw_images(BATCH, size_px), training=True)
    return model, config


def build_peer(size_px: int) -> Any:
    """Build the peer's network in the same way."""
    import torch
    from peer import build_network

    network = build_network()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # weight of the new statistics: torch defines momentum the other way round
    with torch.no_grad():
        network.train()(torch.from_numpy(draw_images(BATCH, size_px).transpose(0, 3, 1, 2).copy()))
    return network.eval()


def export_ours(folder: Path, size_px: int) -> None:
    from ham_keras.serving.formats import write_onnx, write_openvino, write_saved_model

    model, config = build(size_px)
    writers = {"saved_model": write_saved_model, "onnx": write_onnx, "openvino": write_openvino}
    for name, write in writers.items():
        write([(model, config.data)], config.outline, folder / name, NAME)
    noise = (255 * draw_images(CALIBRATION_IMAGES, size_px)).astype(np.uint8)
    write_openvino([(model, config.data)], config.outline, folder / "openvino_int8", NAME, images=noise)


def export_peer(folder: Path, size_px: int) -> None:
    import torch

    network = torch.nn.Sequential(build_peer(size_px), torch.nn.Sigmoid()).eval()
    torch.onnx.export(
        network, (torch.zeros(1, 3, size_px, size_px),), str(folder / "peer.onnx"), input_names=["images"],
        output_names=["probability"], dynamic_axes={"images": {0: "batch"}, "probability": {0: "batch"}},
        dynamo=False,  # the new exporter needs onnxscript and writes the same graph
    )  # fmt: skip


def ours(kind: str, folder: Path, batch: int, size_px: int, threads: int) -> Work:
    images = 255 * draw_images(batch, size_px)
    if kind == "ONNX Runtime":
        return in_onnxruntime(folder / "onnx" / f"{NAME}.onnx", images, threads)
    if kind.startswith("OpenVINO"):
        place = folder / ("openvino_int8" if kind.endswith("int8") else "openvino")
        hints = ["f32"] * kind.endswith("float32")
        compiled = compile_openvino(place, threads, *hints, shape=images.shape if kind.endswith("int8") else None)
        return lambda: compiled(images)[0]
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    if kind == "SavedModel":
        loaded = tf.saved_model.load(str(folder / "saved_model"))
        signature, tensor = loaded.signatures["serve_network"], tf.constant(images)
        return lambda: signature(images=tensor)["probability"].numpy()
    model, _ = build(size_px)
    return lambda: model.predict(images, verbose=0)


def in_onnxruntime(path: Path, images: np.ndarray, threads: int) -> Work:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options)
    feeds = {session.get_inputs()[0].name: images}
    return lambda: session.run(None, feeds)[0]


def compile_openvino(folder: Path, threads: int, *precision: str, shape: tuple[int, ...] | None = None) -> Any:
    import openvino

    core = openvino.Core()
    model = core.read_model(folder / f"{NAME}.xml")
    if shape:
        model.reshape(shape)

    options: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads}
    if precision:
        options["INFERENCE_PRECISION_HINT"] = precision[0]
    return core.compile_model(model, "CPU", options)


def openvino_precision(folder: Path, threads: int) -> str:
    """Return OpenVINO's default precision."""
    name = compile_openvino(folder / "openvino", threads).get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}[name]


def peer(kind: str, folder: Path, batch: int, size_px: int, threads: int) -> Work:
    images = draw_images(batch, size_px).transpose(0, 3, 1, 2)
    if kind == "in ONNX Runtime":
        return in_onnxruntime(folder / "peer.onnx", np.ascontiguousarray(images), threads)
    import torch

    torch.set_num_threads(threads)
    network = build_peer(size_px)
    if kind == "compiled":
        network = torch.compile(network)
    tensor = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)

    def infer() -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=kind == "in bfloat16"):
            return network(tensor).sigmoid().float().numpy()

    return infer


def answers(side: str, kinds: Sequence[str], **settings: Any) -> dict[str, np.ndarray]:
    """Return the probabilities of each contestant, flattened per image."""
    prepare = {"ours": ours, "peer": peer}[side]
    return {kind: np.array(prepare(kind, **settings)()).reshape(BATCH, -1) for kind in kinds}


def differences(shared: Mapping[str, Any], with_peer: bool) -> dict[str, float]:
    """Return the largest differences to the float32 probabilities of the SavedModel, or of the uncompiled peer.

    Raises:
        RuntimeError: our float32 formats disagree.
    """
    largest = {}
    for side, kinds in {"ours": OURS, "peer": PEERS if with_peer else ()}.items():
        given = alone(answers, side=side, kinds=kinds, batch=BATCH, **shared) if kinds else {}
        for kind, probability in given.items():
            largest[f"{side} {kind}"] = float(np.abs(probability - given[kinds[0]]).max())
    apart = {kind: largest[f"ours {kind}"] for kind in FLOAT32 if largest[f"ours {kind}"] > TOLERANCE}
    if apart:
        raise RuntimeError(f"probabilities differ from the SavedModel's by more than {TOLERANCE}: {apart}")
    return largest


def tabulate(seconds: Mapping[int, Mapping[str, Seconds]], largest: Mapping[str, float], precision: str) -> list[Row]:
    """Return the rows of all pairs, or of ours only if the peer was not measured."""
    rows = []
    with_peer = any("peer as it is" in of_batch for of_batch in seconds.values())
    alone_each: list[tuple[str, str | None, float | None]] = [(kind, None, None) for kind in OURS]
    pairs = PAIRS if with_peer else alone_each
    for ours_kind, peer_kind, goal in pairs:
        title = ours_kind.replace("as it is", f"as it is ({precision})")
        others: dict[str, Any] = {}
        if ours_kind.startswith("OpenVINO") and ours_kind not in FLOAT32:
            others["largest_difference"] = largest[f"ours {ours_kind}"]
        if peer_kind == "in bfloat16":
            others["peer_largest_difference"] = largest[f"peer {peer_kind}"]
        for figure, batch, aim, how in figures(goal, seconds):
            mine = seconds[batch][f"ours {ours_kind}"]
            if peer_kind:
                theirs = seconds[batch][f"peer {peer_kind}"]
                rows.append(compare(f"{title}, peer {peer_kind}: {figure}", mine, theirs, goal=aim, **how, **others))
            else:
                value = show(np.percentile(mine, how.get("percentile", 50)), how["unit"], how.get("images", 1))
                rows.append(measured(f"{title}: {figure}", value, goal=None, unit=how["unit"], **others))
    for kind, other, goal in INSTEAD:
        for figure, batch, aim, how in figures(goal, seconds):
            ours_both = (seconds[batch][f"ours {each}"] for each in (kind, other))
            rows.append(compare(f"{kind}, instead of {other}: {figure}", *ours_both, goal=aim, **how))
    return rows


def figures(goal: float | None, batches: Container[int]) -> list[tuple[str, int, float | None, dict[str, Any]]]:
    """Return name, batch, goal and arguments of `compare` for each figure of these batches."""
    every: list[tuple[str, int, float | None, dict[str, Any]]] = [
        ("batch 1, p50", 1, goal, {"unit": "ms"}),
        ("batch 1, p99", 1, None, {"unit": "ms", "percentile": 99}),
        (f"batch {BATCH}", BATCH, goal, {"unit": "images/s", "images": BATCH}),
    ]
    return [figure for figure in every if figure[1] in batches]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure inference, our exports against the peer.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batches", type=int, nargs="+", choices=CALLS, default=[*CALLS])
    parser.add_argument("--size", type=int, default=SIZE, help="size of the images, in pixels")
    parser.add_argument("--without-peer", action="store_true", help="measure only ours; does not need torch")
    args = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone(export_ours, folder=folder, size_px=args.size)
        if not args.without_peer:
            alone(export_peer, folder=folder, size_px=args.size)
        shared = {"folder": folder, "size_px": args.size, "threads": threads}
        largest = differences(shared, not args.without_peer)
        precision = alone(openvino_precision, folder=folder, threads=threads)
        seconds = {}
        for batch in args.batches:
            settings = {"batch": batch, **shared}
            contestants = {f"ours {kind}": Contestant(ours, {"kind": kind, **settings}) for kind in OURS}
            if not args.without_peer:
                contestants |= {f"peer {kind}": Contestant(peer, {"kind": kind, **settings}) for kind in PEERS}
            seconds[batch] = alternate(contestants, rounds=args.rounds, calls=CALLS[batch], warm_up=WARM_UP)
    setting = {
        "size_px": args.size, "threads": threads, "rounds": args.rounds,
        "calls_a_round": {f"batch {batch}": CALLS[batch] for batch in args.batches},
        "largest_differences": largest,
    }  # fmt: skip
    save("inference", tabulate(seconds, largest, precision), setting)


if __name__ == "__main__":
    main()
