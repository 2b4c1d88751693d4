"""What reading one pair of files costs in one thread, step by step, ours against the peer.

    python benchmarks/reading.py HAM10000 [--images 200] [--rounds 5]

The peer uses OpenCV: images resized by sampled pixels, masks by nearest neighbour. Files are in the page cache. Prints
one table and writes benchmarks/results/reading/.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import cv2
from side_by_side import Contestant, Work, alternate, compare, save, spread

from ham_keras.data.records import Record, find_records

SIZE = 128
PARTS = ("read the image", "resize the image", "read the mask", "resize the mask")


def prepared(part: str, functions: Sequence[Callable[[Any], Any]], records: Sequence[Record]) -> Work:
    """Return the work of one part, on the output of the preceding part."""
    number = PARTS.index(part)
    path = "image_path" if number < 2 else "mask_path"
    inputs = [str(getattr(record, path)) for record in records]
    if number % 2:
        inputs = [functions[number - 1](one) for one in inputs]

    def work() -> None:
        for one in inputs:
            functions[number](one)

    return work


def ours(part: str, records: Sequence[Record]) -> Work:
    import tensorflow as tf

    from ham_keras.data.encoded import read_encoded
    from ham_keras.data.images import decode_image
    from ham_keras.data.masks import read_mask, resize_mask
    from ham_keras.preprocessing.resize import resize_image

    cv2.setNumThreads(0)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    pixels = tf.TensorSpec([None, None, 3], tf.uint8)
    resize = tf.function(lambda image: resize_image(image, SIZE, SIZE), input_signature=[pixels])
    functions = (
        lambda path: decode_image(read_encoded(path)),
        resize,
        lambda path: read_mask(path).lesion,
        lambda lesion: resize_mask(lesion, SIZE, SIZE),
    )
    return prepared(part, functions, records)


def peer(part: str, records: Sequence[Record]) -> Work:
    cv2.setNumThreads(0)
    functions = (
        lambda path: cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB),
        lambda image: cv2.resize(image, (SIZE, SIZE)),
        lambda path: cv2.imread(path, cv2.IMREAD_GRAYSCALE),
        lambda mask: cv2.resize(mask, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST),
    )
    return prepared(part, functions, records)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the time to read a pair of files, step by step.")
    parser.add_argument("root", help="a folder of images and masks, e.g. HAM10000")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    found = find_records(args.root).records
    records = spread(found, args.images)
    rows = []
    for part in PARTS:
        contestants = {side.__name__: Contestant(side, {"part": part, "records": records}) for side in (ours, peer)}
        seconds = alternate(contestants, rounds=args.rounds)
        mine, theirs = (seconds[side] / len(records) for side in contestants)
        rows.append(compare(part, mine, theirs, goal=None, unit="ms"))
    save("reading", rows, {"images": len(records), "size_px": SIZE, "threads": 1, "rounds": args.rounds})


if __name__ == "__main__":
    main()
