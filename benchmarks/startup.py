"""Start-up time: `--help` of every command, imports, the first training step, and short commands as a whole.

    python benchmarks/startup.py [--rounds 5] [--without-peer]
    python benchmarks/startup.py --before CHECKOUT    # the short commands, against another checkout of this project

Each is timed in new processes; all but imports include Python's start. The first step is that of `ham_keras.train` on
phantoms, including TensorFlow's import, reading, and building and compiling the network, against Lightning's with
segmentation_models_pytorch: U-Net with ResNet34, batch 16 at 128x128, float32, files read by OpenCV. Rows list the
heavy modules imported by then, and the parts up to the second step. The other commands predict one photograph and score
100 images with the network that ships, and search with two trials of one epoch at 64x64. Prints one table and writes
benchmarks/results/startup/ or startup_before/.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
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
PACKAGE = Path(__file__).parent.parent
FIRST_STEP = "first training step"
GOAL_BEFORE = 1 / 0.6  # as fast as in 60 % of the time

# Prints which heavy modules the --help of a command imports; argv: the command.
HELP = f"""
import json, runpy, sys
command, sys.argv = sys.argv[1], [sys.argv[1], "--help"]
try:
    runpy.run_module(command, run_name="__main__")
except SystemExit:
    print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""

PARTS = ("import TensorFlow", "read, build and compile", "trace and run the first step", "second step")

# Runs the command and exits after some steps; argv: their number, the config, its options. Prints the heavy modules and
# the seconds of PARTS.
OURS = f"""
import time
marks = [time.perf_counter()]

def mark():
    marks.append(time.perf_counter())

def command(arguments):
    import json, os, sys
    import keras
    from ham_keras.train import main
    from ham_keras.training import loop
    mark()

    class TimedSteps(loop.EpochBar):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                mark()

        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            mark()
            if batch == int(arguments[0]) - 1:
                imported = [name for name in {HEAVY!r} if name in sys.modules]
                seconds = [later - earlier for earlier, later in zip(marks, marks[1:])]
                print(json.dumps([imported, seconds]), flush=True)
                os._exit(0)

    loop.EpochBar = TimedSteps
    return main(arguments[1:])

import sys
from ham_keras.errors import run_command
run_command(command, sys.argv[1:])
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


def run_python(*arguments: str, package: Path | None = None) -> str:
    """Run Python with the modules of this folder and the `ham_keras` of a checkout, and return its output."""
    path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    line = [sys.executable, *arguments]
    # Python finds modules in its working directory first.
    done = subprocess.run(line, cwd=package, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
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
    return float(run_python("-c", code))


class ShortCommands:
    """Commands on phantoms in a folder: what `python` gets as arguments."""

    def __init__(self, folder: Path) -> None:
        self.root, self._folder = folder / "phantoms", folder
        draw_phantoms(self.root, 100, 0)
        photo = next((self.root / "images").iterdir())
        base = {
            "run": {"name": "startup", "dir": f"{folder}/runs"},
            "data": {"root": str(self.root), "image_size": 128, "cache": "none"},
            "model": {"encoder_weights": None},
            "train": {"batch_size": 16, "precision": "float32"},
        }
        search = {
            **base,
            "run": {"name": "search", "dir": f"{folder}/runs"},
            "data": {**base["data"], "cache": "memory", "image_size": 64},
            "model": {"backbone": "resnet18", "encoder_weights": None},
            "train": {**base["train"], "epochs": 1},
            "search": {"algorithm": "random_search", "trials": 2},
            "space": {"train.learning_rate": {"log": [1e-4, 1e-3]}},
        }
        save_json(folder / "config.json", base)
        save_json(folder / "search.json", search)
        self.first_step, self.two_steps = (
            ("-c", OURS, str(steps), str(folder / "config.json"), "--overwrite") for steps in (1, 2)
        )
        self.others = {
            "predict one photograph": ("-m", "ham_keras.predict", "phantom", str(photo), "-o", self._new("out")),
            "score 100 images": (
                "-m",
                "ham_keras.evaluate",
                "phantom",
                "--data",
                str(self.root),
                "--output",
                self._new("scores"),
            ),
            "search with 2 trials": ("-m", "ham_keras.tune", str(folder / "search.json"), "--overwrite"),
        }

    def _new(self, name: str) -> str:
        return str(self._folder / name)

    def run(self, command: Sequence[str], package: Path | None = None) -> str:
        printed = run_python(*command, package=package)
        for name in ("out", "scores"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        return printed


def time_commands(rounds: int, *, with_peer: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        short = ShortCommands(Path(folder))
        ours, peer = [], []
        for _ in range(rounds):
            ours.append([seconds_of(lambda: short.run(short.first_step))])
            if with_peer:
                peer.append([seconds_of(lambda: run_python("-c", PEER, str(short.root)))])
        if with_peer:
            row = compare(FIRST_STEP, np.array(ours), np.array(peer), goal=None, unit="s")
        else:
            row = measured(FIRST_STEP, show(ours, "s"), goal=None, unit="s")
        printed = [json.loads(short.run(short.two_steps).splitlines()[-1]) for _ in range(rounds)]
        parts = np.array([seconds for _, seconds in printed])
        rows = [row | {"imported": printed[0][0]}]
        rows += [
            measured(f"{FIRST_STEP}: {name}", show(column, "s"), goal=None, unit="s")
            for name, column in zip(PARTS, parts.T, strict=True)
        ]
        for name, command in short.others.items():
            seconds = [seconds_of(lambda command=command: short.run(command)) for _ in range(rounds)]
            rows.append(measured(name, show(seconds, "s"), goal=None, unit="s"))
    return rows


def compare_commands(rounds: int, before: Path) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        short = ShortCommands(Path(folder))
        rows = []
        for name, command in {FIRST_STEP: short.first_step, **short.others}.items():
            turns = [
                [seconds_of(lambda command=command, package=package: short.run(command, package))]
                for _ in range(rounds)
                for package in (PACKAGE, before)
            ]
            now, then = np.array(turns[::2]), np.array(turns[1::2])
            rows.append(compare(name, now, then, goal=GOAL_BEFORE, unit="s"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure start-up times.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--commands", nargs="*", default=list(find_commands()), help="commands to measure (default: all)"
    )
    parser.add_argument("--without-peer", action="store_true", help="measure only ours; does not need torch")
    parser.add_argument("--before", type=Path, help="another checkout, to be compared with this one")
    args = parser.parse_args()
    setting = {"rounds": args.rounds, "batch": 16, "size_px": 128}
    if args.before:
        if not (args.before / "ham_keras").is_dir():
            parser.error(f"--before {args.before}: no checkout of this project")
        rows = compare_commands(args.rounds, args.before.resolve())
        save("startup_before", rows, setting, columns=("now", "before"))
        return
    rows = []
    for command in args.commands:
        seconds = [seconds_of(lambda command=command: help_text(command)) for _ in range(args.rounds)]
        imported = last_line(run_python("-c", HELP, command))
        rows.append(measured(f"{command} --help", show(seconds, "s"), goal=None, unit="s", imported=imported))
    for module in IMPORTS:
        seconds = [import_seconds(module) for _ in range(args.rounds)]
        rows.append(measured(f"import {module}", show(seconds, "s"), goal=None, unit="s"))
    rows += time_commands(args.rounds, with_peer=not args.without_peer)
    save("startup", rows, setting)


if __name__ == "__main__":
    main()
