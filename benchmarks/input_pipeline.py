"""The input pipeline alone, from files or from its cache to batches, ours against torch's DataLoader.

    python benchmarks/input_pipeline.py HAM10000 [--images 1000] [--rounds 5] [--without-peer]

Batches of 16 at 128x128, without augmentation and with our two engines at the config's defaults; the peer augments with
the same albumentations Compose. One call is one epoch, with dataset or workers set up again as in training. Files are
in the page cache on both sides. The peer's number of workers is the fastest of 0, 1 and 2 in each row. Prints one table
and writes benchmarks/results/input_pipeline/.

first epoch   ours decodes everything into its memory cache, then yields an epoch from it
uncached      ours decodes during the epoch, as with data.cache=none
cached        ours yields an epoch from the memory cache

The peer as it is resizes by sampled pixels and has no cache: it decodes each epoch. `averages` is the peer resizing by
area, so that all pixels count, as in ours; `held` is the peer with decoded and resized uint8 pairs in a list.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from side_by_side import Contestant, Work, alternate, compare, measured, save, show, spread

from ham_keras.data.records import Record, find_records

BATCH = 16
SIZE = 128
WORKERS = (0, 1, 2)
CACHED_GOAL = 2500  # images/s, augmented by the native engine
KINDS = {  # name: ours, peer, goal
    "first epoch": ("first", "decodes", 1.0),
    "first epoch, peer averages": ("first", "averages", 1.0),
    "uncached": ("uncached", "decodes", 1.0),
    "uncached, peer averages": ("uncached", "averages", 1.0),
    "cached": ("cached", "decodes", 3.0),
    "cached, peer held": ("cached", "held", 3.0),
}


def ours(records: Sequence[Record], engine: str, kind: str) -> Work:
    """One epoch of training batches."""
    from ham_keras.data.pipeline import Examples, make_train_dataset
    from ham_keras.settings import Augment, Data

    data = Data(cache="none" if kind == "uncached" else "memory")
    augment = Augment.model_validate({"engine": engine})
    kept = Examples(records, data, visible=False) if kind == "cached" else None
    numbers = itertools.count()

    def epoch() -> None:
        examples = kept or Examples(records, data, visible=False)
        for _ in make_train_dataset(examples, augment, batch_size=BATCH, seed=0, epoch=next(numbers)):
            pass

    return epoch


def peer(records: Sequence[Record], augmented: bool, kind: str, workers: int) -> Work:
    from peer import Lesions
    from torch.utils.data import DataLoader

    augment = None
    if augmented:
        from ham_keras.data.augmentation.albumentations_engine import build_albumentations
        from ham_keras.settings import Augment

        augment = build_albumentations(Augment(engine="albumentations"))
    dataset = Lesions(records, SIZE, augment=augment, averages=kind == "averages", held=kind == "held")
    loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=workers)

    def epoch() -> None:
        for _ in loader:
            pass

    return epoch


def measure(records: Sequence[Record], engines: Sequence[str], rounds: int, workers: Sequence[int]) -> list[Any]:
    """Return the rows of some engines, which must all augment or not; without workers the peer is not measured."""
    augmented = "none" not in engines
    contestants = {}
    for engine, kind in itertools.product(engines, ("first", "uncached", "cached")):
        contestants[f"{engine} {kind}"] = Contestant(ours, {"records": records, "engine": engine, "kind": kind})
    for kind, count in itertools.product(("decodes", "averages", "held"), workers):
        settings = {"records": records, "augmented": augmented, "kind": kind, "workers": count}
        contestants[f"{kind} {count}"] = Contestant(peer, settings)
    seconds = alternate(contestants, rounds=rounds)
    unit: dict[str, Any] = {"unit": "images/s"}
    rows = []
    for engine, (name, (our_kind, peer_kind, goal)) in itertools.product(engines, KINDS.items()):
        title, mine = f"augmentation {engine}: {name}", seconds[f"{engine} {our_kind}"]
        if workers:
            best = min(workers, key=lambda count: float(np.median(seconds[f"{peer_kind} {count}"])))
            theirs = seconds[f"{peer_kind} {best}"]
            rows.append(compare(title, mine, theirs, goal=goal, images=len(records), peer_workers=best, **unit))
        elif peer_kind == "decodes":
            rows.append(measured(title, show(mine, "images/s", len(records)), goal=None, **unit))
    if "native" in engines:
        reached = show(seconds["native cached"], "images/s", len(records))
        rows.append(measured("augmentation native: cached, images/s", reached, goal=CACHED_GOAL, **unit))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the input pipeline, ours against torch's DataLoader.")
    parser.add_argument("root", help="a folder of images and masks, e.g. HAM10000")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-peer", action="store_true", help="measure only ours; does not need torch")
    args = parser.parse_args()
    records = spread(find_records(args.root).records, args.images)
    workers = () if args.without_peer else WORKERS
    rows = []
    for engines in (("none",), ("native", "albumentations")):
        rows += measure(records, engines, args.rounds, workers)
    setting = {"images": len(records), "batch": BATCH, "size_px": SIZE, "rounds": args.rounds}
    save("input_pipeline", rows, setting)


if __name__ == "__main__":
    main()
