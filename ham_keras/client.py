"""Segment image files with a TensorFlow Serving server over its REST API.

    python -m ham_keras.client http://localhost:8501/v1/models/lesion photos/*.jpg -o masks

Requests run in parallel and are retried with backoff while the server is busy (429, 503) or not up yet. TensorFlow is
not required.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ham_keras.errors import HamError, program, run_command, shown
from ham_keras.prediction.arguments import parse_threshold
from ham_keras.serving.client import Client, load_assessments, mask_path, save_masks


def client(
    url: str,
    images: Sequence[Path],
    output: Path,
    *,
    threshold: float | None = None,
    timeout_seconds: float = 60,
    retries: int = 5,
    threads: int = 4,
    overwrite: bool = False,
) -> int:
    """Write `output`/<id>_segmentation.png for each image file and return the number of failures.

    The model of a calibrated run also gives `output`/trust.csv. Each failure is reported in one line. `threshold`
    overrides the model's.

    Raises:
        HamError: `url` is not a model's address, two images have the same name, a mask exists and `overwrite` is not
            set, or `output`/trust.csv is another table.
    """
    names = Counter(path.stem for path in images)
    duplicate = next((path for path in images if names[path.stem] > 1), None)
    if duplicate is not None:
        raise HamError(f"{duplicate}: another image has the same name, and so would its mask; rename it")
    existing = next((path for path in map(partial(mask_path, output), images) if path.exists()), None)
    if existing is not None and not overwrite:
        raise HamError(
            f"{existing}: exists; choose another -o, or --overwrite to replace it when its new mask is there"
        )
    load_assessments(output)
    server = Client(url, threshold=threshold, timeout_seconds=timeout_seconds, retries=retries, threads=threads)
    results = tqdm(server.segment_files(images), total=len(images), unit=" images", disable=None)
    return save_masks(results, output, lambda line: tqdm.write(line, file=sys.stderr))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 1 if an image failed."""
    parser = argparse.ArgumentParser(
        prog=program("client"), description="Segment image files with a TensorFlow Serving server."
    )
    parser.add_argument("url", metavar="URL", help="the model's address, e.g. http://localhost:8501/v1/models/lesion")
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="image files")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="output folder for the masks")
    parser.add_argument(
        "--threshold", type=parse_threshold, metavar="T", help="pixels above it are lesion (default: the model's)"
    )
    parser.add_argument(
        "--timeout", type=_positive, default=60, metavar="SECONDS", help="timeout of a request (default 60)"
    )
    parser.add_argument(
        "--retries", type=int, default=5, metavar="N", help="retries while the server is busy (default 5)"
    )
    parser.add_argument(
        "--threads", type=int, choices=range(1, 65), default=4, metavar="N", help="parallel requests (default 4)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing masks")
    args = parser.parse_args(argv)
    failed = client(
        args.url,
        args.images,
        args.output,
        threshold=args.threshold,
        timeout_seconds=args.timeout,
        retries=args.retries,
        threads=args.threads,
        overwrite=args.overwrite,
    )
    print(f"{shown(args.output)}: {len(args.images) - failed} masks; {failed} of {len(args.images)} images failed")
    return 1 if failed else 0


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected more than 0, got {text}")
    return value


if __name__ == "__main__":
    run_command(main)
