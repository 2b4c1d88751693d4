"""A whole epoch from JPEGs on disk, training and validation, ours against segmentation_models_pytorch in Lightning.

    python benchmarks/epoch.py DATA_ROOT SPLIT.json [--train 480] [--val 64] [--epochs 3] [--peer-saves]
        [--without-peer]

The base recipe from random weights: U-Net with ResNet34 at 128x128, batch 16, Dice, Adam at 1e-4, no augmentation. Ours
is `ham_keras.training.loop`, with all that it saves after each epoch: weights, optimizer, history. The peer saves
nothing, or with --peer-saves its weights and optimizer, as is Lightning's default. Its number of DataLoader workers is
the fastest of 0, 1 and 2 in an epoch measured beforehand. The contestants alternate, one epoch each.

Both fit one warm-up batch first, so that no timed epoch traces a graph or selects kernels, with one exception each: our
first epoch traces the validation graph, and the peer's includes Lightning's two batches of sanity checking. There is
one first epoch, in which our cache is filled, hence one sample; the others are the samples of "later". Prints one table
and writes benchmarks/results/epoch/.

defaults      our `train.precision=auto` against Lightning's 32-true
float32, ...  the same precision on both sides
"""

from __future__ import annotations

import argparse
import queue
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import Contestant, Row, Seconds, Work, alone, alternate, compare, measured, save, show, spread

from ham_keras.data.records import Record, find_records
from ham_keras.data.splits import load_split, select

BATCH = 16
RATE = 1e-4
RECIPE_EPOCHS = 20
WORKERS = (0, 1, 2)
LIGHTNING = {"float32": "32-true", "mixed_bfloat16": "bf16-mixed"}
GOALS = {"defaults": 1.5, "same precision": 1.05}
Sides = Mapping[str, Sequence[Record]]


class Turns:
    """Runs a training loop in a separate thread; each call continues it for one epoch.

    The loop must call `wait` after each epoch.
    """

    def __init__(self, train: Callable[[], object]) -> None:
        self.train = train
        self.starts: queue.Queue[bool] = queue.Queue()
        self.ends: queue.Queue[BaseException | None] = queue.Queue()
        threading.Thread(target=self._run, daemon=True).start()

    def __call__(self) -> None:
        self.starts.put(True)
        error = self.ends.get()
        if error is not None:
            raise error

    def wait(self) -> None:
        self.ends.put(None)
        self.starts.get()

    def _run(self) -> None:
        self.starts.get()
        try:
            self.train()
        except BaseException as error:
            self.ends.put(error)
        else:
            self.ends.put(RuntimeError("all epochs are done"))


def ours(sides: Sides, precision: str, epochs: int, size_px: int, folder: Path) -> Work:
    from ham_keras.config import parse_config
    from ham_keras.runs import Run
    from ham_keras.training import loop

    settings = {
        "data": {"image_size": size_px},
        "model": {"encoder_weights": None},
        "train": {"epochs": epochs + 1, "batch_size": BATCH, "learning_rate": RATE},
    }
    config = parse_config(settings, "benchmark")
    model = loop.build_compiled_model(config, precision, -(-len(sides["train"]) // BATCH))
    few = loop.Examples(sides["train"][:BATCH], config.data, visible=False)
    batch = loop.make_train_dataset(few, config.augment, batch_size=BATCH, seed=0, epoch=0)
    model.fit(batch, shuffle=False, verbose=0)

    def train() -> None:
        examples = [loop.Examples(sides[name], config.data, visible=False) for name in ("train", "val")]
        loop.train_model(model, config, Run(folder), *examples, visible=False)

    turns = Turns(train)
    should_stop = loop.should_stop

    def wait_between(progress: Any, *others: Any) -> bool:
        if progress.epoch:
            turns.wait()
        return should_stop(progress, *others)

    loop.should_stop = wait_between
    return turns


def peer(
    sides: Sides, precision: str, epochs: int, size_px: int, workers: int, folder: Path, saves: bool = False
) -> Work:
    import lightning
    import segmentation_models_pytorch as smp
    import torch
    from peer import Lesions, build_network
    from torch.utils.data import DataLoader

    class Segmenter(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = build_network()
            self.loss = smp.losses.DiceLoss("binary")

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.network(images.contiguous(memory_format=torch.channels_last))

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return self.loss(self(batch[0]), batch[1])

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val_loss", self.loss(self(batch[0]), batch[1]), prog_bar=True)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), RATE)

    class Wait(lightning.Callback):
        def on_train_epoch_end(self, *_: Any) -> None:
            turns.wait()

    def build_trainer(**options: Any) -> lightning.Trainer:
        return lightning.Trainer(
            accelerator="cpu", precision=LIGHTNING[precision], logger=False, enable_checkpointing=saves,
            default_root_dir=folder, enable_progress_bar=False, enable_model_summary=False, **options,
        )  # fmt: skip

    model = Segmenter()
    train, val = (
        DataLoader(Lesions(sides[name], size_px), BATCH, shuffle=name == "train", num_workers=workers)
        for name in ("train", "val")
    )
    build_trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=1).fit(model, train, val)
    turns = Turns(lambda: build_trainer(max_epochs=epochs + 1, callbacks=[Wait()]).fit(model, train, val))
    return turns


def precisions() -> tuple[str, list[str]]:
    """Return the precision that auto selects on this machine, and the precisions to compare."""
    from ham_keras.models.precision import BF16_FLAGS, choose_precision, cpu_flags

    return choose_precision("auto"), ["float32", *["mixed_bfloat16"] * bool(cpu_flags() & BF16_FLAGS)]


def tabulate(seconds: Mapping[str, Seconds], names: Sequence[str], auto: str, workers: Mapping[str, int]) -> list[Row]:
    """Return three rows per pair, or for ours only if there are no workers and thus no peer."""
    rows = []
    pairs = [("defaults", auto, "float32"), *((f"{name} both", name, name) for name in names)]
    for title, ours_precision, peer_precision in pairs:
        others: dict[str, Any] = {"unit": "s", "goal": GOALS["defaults" if title == "defaults" else "same precision"]}
        others["ours_precision"] = ours_precision
        mine = times(seconds[f"ours {ours_precision}"])
        if not workers:
            rows += [measured(f"{title}: {part}", show(mine[part], "s"), **others | {"goal": None}) for part in mine]
            continue
        others |= {"peer_precision": peer_precision, "peer_workers": workers[peer_precision]}
        theirs = times(seconds[f"peer {peer_precision}"])
        rows += [compare(f"{title}: {part}", mine[part], theirs[part], **others) for part in mine]
    return rows


def times(epochs: Seconds) -> dict[str, Seconds]:
    first, later = epochs[:1], epochs[1:]
    whole = first + (RECIPE_EPOCHS - 1) * later
    return {
        "first epoch (one sample)": first,
        "a later epoch": later,
        f"{RECIPE_EPOCHS} epochs, as first + {RECIPE_EPOCHS - 1} * later": whole,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure an epoch from files, ours against the peer in Lightning.")
    parser.add_argument("root", help="a folder of images and masks, e.g. HAM10000")
    parser.add_argument("split", help='{"train": [id, ...], "val": [...], "test": [...]}')
    parser.add_argument("--train", type=int, default=480, help="number of images")
    parser.add_argument("--val", type=int, default=64, help="number of images")
    parser.add_argument("--epochs", type=int, default=3, help="at least 2")
    parser.add_argument("--size", type=int, default=128, help="input size of the network, in pixels")
    parser.add_argument("--peer-saves", action="store_true", help="keep Lightning's checkpoints enabled")
    parser.add_argument("--without-peer", action="store_true", help="measure only ours; does not need torch")
    args = parser.parse_args()
    if args.epochs < 2:
        parser.error("--epochs: expected at least 2, to measure a later epoch than the first")
    records, split = find_records(args.root).records, load_split(args.split)
    counts = {"train": args.train, "val": args.val}
    sides = {
        name: spread(select(records, split[name], f"{args.split}: {name}"), count) for name, count in counts.items()
    }
    auto, names = alone(precisions)
    shared = {"sides": sides, "size_px": args.size, "epochs": args.epochs}
    workers: dict[str, int] = {}
    contestants = {}
    with tempfile.TemporaryDirectory() as name:
        for precision in dict.fromkeys([*names, auto]):
            settings = {"precision": precision, "folder": Path(name, precision), **shared}
            contestants[f"ours {precision}"] = Contestant(ours, settings)
            if not args.without_peer:
                settings = settings | {"saves": args.peer_saves}
                trials = {str(count): Contestant(peer, settings | {"workers": count}) for count in WORKERS}
                tried = alternate(trials, rounds=1, warm_up=0)
                workers[precision] = min(WORKERS, key=lambda count: float(np.median(tried[str(count)])))
                contestants[f"peer {precision}"] = Contestant(peer, settings | {"workers": workers[precision]})
        seconds = alternate(contestants, rounds=args.epochs, warm_up=0)
    setting = {
        "train": len(sides["train"]), "val": len(sides["val"]), "batch": BATCH, "size_px": args.size,
        "epochs": args.epochs, "peer_saves": args.peer_saves,
        "seconds": {name: epochs[:, 0].round(3).tolist() for name, epochs in seconds.items()},
    }  # fmt: skip
    save("epoch", tabulate(seconds, names, auto, workers), setting, precision=auto)


if __name__ == "__main__":
    main()
