"""Start-up time: `--help` of every command, imports, and the first training step.

    python benchmarks/startup.py [--rounds 5] [--without-peer]

Each is timed in new processes; `--help` and the first step include Python's start, imports do not. The first step is
that of `ham_keras.train` on phantoms, including TensorFlow's import, reading, and building and compiling the network,
against Lightning's with segmentation_models_pytorch: U-Net with ResNet34, batch 16 at 128x128, float32, files read by
OpenCV. Rows list the heavy modules imported by then. Prints one table and writes benchmarks/results/startup.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from side_by_side import Row, compare, measured, save, show

from ham_keras.commands import find_commands, help_text
from ham_keras.data.phantoms.dataset import draw_phantoms
from ham_keras.files import save_json

IMPORTS = ("ham_keras.config", "ham_keras.data.pipeline")
HEAVY = (
    "tensorflow", "keras", "cv2", "albumentations", "matplotlib", "ray", "gradio", "keras_tuner", "scipy", "sklearn",
    "pandas", "PIL", "pydantic",
)  # fmt: skip

# Prints which heavy modules the --help of a command imports; argv: the command.
HELP = f"""
import json, runpy, sys
command, sys.argv = sys.argv[1], [sys.argv[1], "--help"]
try:
    runpy.run_module(command, run_name="__main__")
except SystemExit:
    print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""

# Runs the command and exits after the first step; argv: the config.
OURS = f"""
import json, os, sys
from ham_keras.training import loop

class FirstStep(loop.EpochBar):
    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), flush=True)
        os._exit(0)

loop.EpochBar = FirstStep
from ham_keras.train import main
main(sys.argv[1:])
"""

# The same with the peer; argv: the data folder.
PEER = """
import os, pathlib, sys
import cv2, lightning, numpy as np, torch
from segmentation_models_pytorch.losses import DiceLoss
from peer import build_network

class Lesions(torch.utils.data.Dataset):
    def __init__(self, root):
        self.paths = sorted(pathlib.Path(root, "images").iterdir())

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        path = self.paths[index]
        image = cv2.resize(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), (128, 128)) / np.float32(255)
        mask = cv2.imread(str(path.parent.parent / "masks" / f"{path.stem}_segmentation.png"), cv2.IMREAD_GRAYSCALE)
        mask = cv2.resize(mask, (128, 128), interpolation=cv2.INTER_NEAREST) > 127
        return torch.from_numpy(image.transpose(2, 0, 1)), torch.from_numpy(mask[None].astype("float32"))

class Segmenter(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.network, self.dice = build_network(), DiceLoss("binary")

    def training_step(self, batch, _):
        return self.dice(self.network(batch[0].contiguous(memory_format=torch.channels_last)), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-4)

    def on_train_batch_end(self, *_):
        os._exit(0)

quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", **quiet)
trainer.fit(Segmenter(), torch.utils.data.DataLoader(Lesions(sys.argv[1]), 16, shuffle=True))
"""


def run_python(code: str, *arguments: str) -> str:
    """Run a program that can import the modules of this folder, and return its output."""
    path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    line = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(line, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def last_line(printed: str) -> list[str]:
    return json.loads(printed.splitlines()[-1])


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def import_seconds(module: str) -> float:
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    return float(run_python(code))


def time_first_step(rounds: int, *, with_peer: bool) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        root, config = Path(folder, "phantoms"), Path(folder, "config.json")
        draw_phantoms(root, 96, 0)
        settings = {
            "run": {"name": "startup", "dir": f"{folder}/runs"},
            "data": {"root": str(root), "image_size": 128, "cache": "none"},
            "model": {"encoder_weights": None},
            "train": {"batch_size": 16, "precision": "float32"},
        }
        save_json(config, settings)
        ours, peer, printed = [], [], ""
        for _ in range(rounds):
            start = time.perf_counter()
            printed = run_python(OURS, str(config), "--overwrite")
            ours.append([time.perf_counter() - start])
            if with_peer:
                peer.append([seconds_of(lambda: run_python(PEER, str(root)))])
    name = "first training step"
    if with_peer:
        row = compare(name, np.array(ours), np.array(peer), goal=None, unit="s")
    else:
        row = measured(name, show(ours, "s"), goal=None, unit="s")
    return row | {"imported": last_line(printed)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure start-up times.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--commands", nargs="*", default=list(find_commands()), help="commands to measure (default: all)"
    )
    parser.add_argument("--without-peer", action="store_true", help="measure only ours; does not need torch")
    args = parser.parse_args()
    rows: list[Row] = []
    for command in args.commands:
        seconds = [seconds_of(lambda command=command: help_text(command)) for _ in range(args.rounds)]
        imported = last_line(run_python(HELP, command))
        rows.append(measured(f"{command} --help", show(seconds, "s"), goal=None, unit="s", imported=imported))
    for module in IMPORTS:
        seconds = [import_seconds(module) for _ in range(args.rounds)]
        rows.append(measured(f"import {module}", show(seconds, "s"), goal=None, unit="s"))
    rows.append(time_first_step(args.rounds, with_peer=not args.without_peer))
    save("startup", rows, {"rounds": args.rounds, "batch": 16, "size_px": 128})


if __name__ == "__main__":
    main()
