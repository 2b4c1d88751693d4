"""Train with the package's loop on any number of images; record memory after each part and seconds per epoch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from resident import peak_rss_mb, rss_mb

from ham_keras.data.records import Record, find_records

ONE_CONVOLUTION = "one convolution"  # instead of a backbone: training without the arithmetic of a real network
VAL_IMAGES = 64


@contextmanager
def repeated_records(root: Path | None, count: int, *, phantoms: int = 200) -> Iterator[list[Record]]:
    """Yield `count` records of a data folder, or of phantoms, repeated under other ids."""
    with tempfile.TemporaryDirectory() as folder:
        if root is None:
            from ham_keras.data.phantoms.dataset import draw_phantoms

            root = Path(folder, "phantoms")
            draw_phantoms(root, min(count, phantoms), 0)
        found = find_records(root).records
        numbered = ((number // len(found), found[number % len(found)]) for number in range(count))
        yield [replace(record, image_id=f"{record.image_id}_{turn}") for turn, record in numbered]


def watch_training(
    records: Sequence[Record], *, network: str, size_px: int, cache: str, epochs: int, batch: int, precision: str
) -> dict[str, Any]:
    """Train on the records and validate on the first few of them.

    Call it with `side_by_side.alone`, because it measures the memory of the process.

    Returns:
        imported_mb, first_step_mb, epochs_mb, peak_mb: RSS after importing TensorFlow, after the first step and after
        each epoch, and the peak.
        epochs_seconds: training time of each epoch, without validation.
    """
    import keras

    from ham_keras.config import parse_config
    from ham_keras.runs import Run
    from ham_keras.training import loop

    watched: dict[str, Any] = {"imported_mb": rss_mb(), "epochs_mb": []}
    log_epoch = loop.log_to_tensorboard

    class Bar(loop.EpochBar):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            super().on_train_batch_end(batch, logs)
            watched.setdefault("first_step_mb", rss_mb())

    def log_and_measure(*args: Any, overwrite: bool = False) -> None:
        log_epoch(*args, overwrite=overwrite)
        if not overwrite:  # the last step of an epoch
            watched["epochs_mb"].append(rss_mb())

    def one_convolution(_: Any) -> keras.Model:
        image = keras.Input((None, None, 3))
        scaled = keras.layers.Rescaling(1 / 255)(image)
        probability = keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid", dtype="float32")(scaled)
        return keras.Model(image, probability)

    loop.EpochBar, loop.log_to_tensorboard = Bar, log_and_measure
    if network == ONE_CONVOLUTION:
        loop.build_training_model = one_convolution
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "data": {"image_size": size_px, "cache": cache, "cache_dir": f"{folder}/cache"},
            "augment": {"engine": "native"},
            "model": {"encoder_weights": None} | ({} if network == ONE_CONVOLUTION else {"backbone": network}),
            "train": {"epochs": epochs, "batch_size": batch},
        }
        sides = {"train": records, "val": records[:VAL_IMAGES]}
        progress = loop.train_run(
            parse_config(settings, "benchmark"), Run(Path(folder)), sides, precision, visible=False
        )
    seconds = [len(records) / row["images_per_second"] for row in progress.history]
    return watched | {"peak_mb": peak_rss_mb(), "epochs_seconds": seconds}
