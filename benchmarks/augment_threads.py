"""What a second thread gains in augmentation: little where the GIL is held, up to twice the speed where it is not.

    python benchmarks/augment_threads.py [--images 512] [--threads 2] [--rounds 10] [--steps HorizontalFlip ...]

One thread and several threads of the same process augment pairs of 128x128 with the config's defaults. A ratio near 1
means that the threads wait for each other. Rows: our two engines as tf.data calls them, the albumentations Compose in
plain Python threads, an empty Compose, and each step in a separate Compose. Prints one table and writes
benchmarks/results/augment_threads/.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from side_by_side import Contestant, Work, alternate, compare, save

BATCH = 16
SIZE = 128
STEPS = ("HorizontalFlip", "VerticalFlip", "RandomRotate90", "Affine", "ColorJitter", "RandomBrightnessContrast")


def draw_pixels(images: int) -> np.ndarray:
    """RGB and mask in {0, 1}: uint8 [N, H, W, 4]."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, SIZE, SIZE, 4), np.uint8)
    pixels[..., 3] &= 1
    return pixels


def in_tensorflow(engine: str, images: int, threads: int) -> Work:
    """One of our engines, called on batches in tf.data threads as in training."""
    import tensorflow as tf

    from ham_keras.data.augmentation.batch import augment_batch
    from ham_keras.settings import Augment

    settings = Augment.model_validate({"engine": engine})
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_tensor_slices((draw_pixels(images), np.arange(images))).batch(BATCH)
    dataset = dataset.map(lambda pixels, keys: augment_batch(pixels, keys, settings), threads).with_options(options)

    def augment() -> None:
        for _ in dataset:
            pass

    return augment


def in_python(steps: tuple[str, ...], images: int, threads: int) -> Work:
    """These steps of our albumentations Compose, image by image, with one Compose per thread."""
    import albumentations as A
    import cv2

    from ham_keras.data.augmentation.albumentations_engine import build_albumentations
    from ham_keras.settings import Augment

    def build() -> Any:
        every = build_albumentations(Augment()).transforms
        return A.Compose([step for step in every if type(step).__name__ in steps])

    def augment(compose: Any, share: list[tuple[np.ndarray, np.ndarray]]) -> None:
        for image, mask in share:
            compose(image=image, mask=mask)

    cv2.setNumThreads(0)
    pixels = draw_pixels(images)
    pairs = list(zip(pixels[..., :3].copy(), pixels[..., 3].copy(), strict=True))
    composes = [build() for _ in range(threads)]
    shares = [pairs[first::threads] for first in range(threads)]
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(augment, composes, shares))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a second thread gains in augmentation.")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=STEPS, help="steps to measure separately")
    args = parser.parse_args()
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "engine native": (in_tensorflow, {"engine": "native"}),
        "engine albumentations": (in_tensorflow, {"engine": "albumentations"}),
        "albumentations, all steps": (in_python, {"steps": STEPS}),
        "albumentations, no step": (in_python, {"steps": ()}),
        **{f"albumentations, {step}": (in_python, {"steps": (step,)}) for step in args.steps},
    }
    rows = []
    for name, (prepare, settings) in kinds.items():
        sides = {
            threads: Contestant(prepare, {**settings, "images": args.images, "threads": threads})
            for threads in (args.threads, 1)
        }
        seconds = alternate({str(threads): side for threads, side in sides.items()}, rounds=args.rounds)
        several, one = seconds[str(args.threads)], seconds["1"]
        rows.append(compare(name, several, one, goal=None, unit="images/s", images=args.images))
    setting = {"images": args.images, "batch": BATCH, "size_px": SIZE, "threads": args.threads, "rounds": args.rounds}
    save("augment_threads", rows, setting, columns=(f"{args.threads} threads", "1 thread"))


if __name__ == "__main__":
    main()
