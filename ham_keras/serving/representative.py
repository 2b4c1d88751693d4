"""The images that an int8 export is calibrated on: some of those that the network was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ham_keras.data.records import Record, find_records
from ham_keras.data.repair import evenly_spaced
from ham_keras.data.splits import load_split, select
from ham_keras.errors import HamError
from ham_keras.prediction.ensemble import Ensemble

IMAGES = 300  # NNCF's own default; more changes the ranges of the activations little

Images = npt.NDArray[np.uint8]


def find_representative(ensemble: Ensemble) -> list[Record]:
    """At most `IMAGES` training images of the (first) run, evenly spaced in its split: the same ones every time.

    Raises:
        HamError: the run's data cannot be found.
    """
    member = ensemble.members[0]
    root = Path(str(member.config.data.root)).resolve()
    if not root.is_dir():
        raise HamError(
            f"data.root: {root}: no such data folder; --precision int8 needs the run's training images; if they have "
            f"moved, set data.root=FOLDER"
        )
    ids = evenly_spaced(load_split(member.run.split)["train"], IMAGES)
    return select(find_records(root).records, ids, f"{member.run.split}: train")


def read_representative(ensemble: Ensemble, records: list[Record]) -> Images:
    """Read and preprocess these images as the (first) network's input: uint8 RGB [N, h, w, 3].

    Raises:
        HamError: an image cannot be read.
    """
    from ham_keras.data.images import read_image
    from ham_keras.preprocessing.steps import build_steps

    steps = build_steps(ensemble.config.data)
    return np.stack([steps(read_image(record.image_path)).numpy() for record in records])


def one_by_one(images: Images, dtype: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield batches of one image, [1, h, w, 3], as this type."""
    for image in images:
        yield image[None].astype(dtype)


def describe_representative(ensemble: Ensemble, records: list[Record]) -> dict[str, Any]:
    """What metadata.json says of them."""
    return {"images": len(records), "of": f"the training images of {ensemble.members[0].name}, evenly spaced"}
