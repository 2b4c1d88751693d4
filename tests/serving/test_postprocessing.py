"""Post-processing in TensorFlow operations gives the same masks as OpenCV in prediction/postprocessing.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.data.masks import read_mask, resize_mask
from ham_keras.data.records import find_records
from ham_keras.prediction import postprocessing as opencv
from ham_keras.serving import postprocessing as exported
from ham_keras.settings import Outline

CLEANED = Outline(fill_holes=True, keep_largest=True)
Mask = np.ndarray


@pytest.fixture(scope="module")
def graphs() -> dict[str, Callable[[Mask], Mask]]:
    """Each function as a graph for masks of any size, as exported."""
    spec = [tf.TensorSpec([None, None], tf.bool)]

    def traced(function: Any) -> Callable[[Mask], Mask]:
        graph = tf.function(function, input_signature=spec)
        return lambda lesion: graph(lesion > 0).numpy().astype(np.uint8)

    return {name: traced(getattr(exported, name)) for name in ("fill_holes", "keep_largest")}


def assert_same(graphs: dict[str, Callable[[Mask], Mask]], lesion: Mask) -> None:
    for name, function in graphs.items():
        np.testing.assert_array_equal(function(lesion), getattr(opencv, name)(lesion), err_msg=name)


def blobs(seed: int) -> Iterator[Mask]:
    """Smooth random shapes of several sizes, some with holes, islands, and islands in holes."""
    rng = np.random.default_rng(seed)
    for height, width, roughness in ((60, 80, 3), (33, 17, 1), (128, 128, 6), (225, 300, 4), (64, 200, 10)):
        noise = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), roughness)
        for share in (20, 50, 70):
            yield (noise > np.percentile(noise, share)).astype(np.uint8)


def test_random_blobs(graphs: dict[str, Callable[[Mask], Mask]]) -> None:
    holes = parts = 0
    for seed in range(4):
        for lesion in blobs(seed):
            assert_same(graphs, lesion)
            holes += int((opencv.fill_holes(lesion) != lesion).any())
            parts += int((opencv.keep_largest(lesion) != lesion).any())
    assert holes > 30 and parts > 30


def test_noise_of_various_densities_and_shapes(graphs: dict[str, Callable[[Mask], Mask]]) -> None:
    rng = np.random.default_rng(1)
    for _ in range(600):
        height, width = rng.integers(1, 20, 2)
        assert_same(graphs, (rng.random((height, width)) < rng.random()).astype(np.uint8))


def serpentine(height: int, width: int) -> Mask:
    """One component that winds from side to side: the longest path through a mask of this size."""
    lesion = np.zeros((height, width), np.uint8)
    lesion[::4] = 1
    for turn, row in enumerate(range(2, height - 2, 4)):
        lesion[row - 1 : row + 2, 0 if turn % 2 else -1] = 1
    return lesion


def test_longest_paths_through_a_mask(graphs: dict[str, Callable[[Mask], Mask]]) -> None:
    wide = serpentine(101, 120)
    for lesion in (
        wide,
        np.ascontiguousarray(wide.T),
        1 - wide,
        np.ascontiguousarray(1 - wide.T),
    ):
        assert_same(graphs, lesion)
    np.testing.assert_array_equal(graphs["keep_largest"](wide), wide)


def test_ties_keep_the_topmost_then_leftmost_component(graphs: dict[str, Callable[[Mask], Mask]]) -> None:
    lesion = np.zeros((6, 12), np.uint8)
    lesion[1:3, 0:2] = lesion[3:5, 3:5] = 1  # further left but lower
    lesion[0:2, 9:11] = lesion[0:2, 6:8] = 1
    expected = np.zeros_like(lesion)
    expected[0:2, 6:8] = 1
    np.testing.assert_array_equal(opencv.keep_largest(lesion), expected)
    np.testing.assert_array_equal(graphs["keep_largest"](lesion), expected)


@pytest.mark.parametrize("value", [0, 1])
def test_empty_and_full_masks(graphs: dict[str, Callable[[Mask], Mask]], value: int) -> None:
    for shape in ((1, 1), (1, 9), (9, 1), (7, 5)):
        lesion = np.full(shape, value, np.uint8)
        for function in graphs.values():
            np.testing.assert_array_equal(function(lesion), lesion)


@pytest.mark.parametrize(
    "outline",
    [Outline(threshold=0.3), Outline(fill_holes=True), Outline(keep_largest=True), CLEANED],
    ids=["threshold", "fill_holes", "keep_largest", "both"],
)
def test_postprocess_with_each_setting(outline: Outline) -> None:
    rng = np.random.default_rng(2)
    noise = cv2.GaussianBlur(rng.normal(size=(90, 120)), (0, 0), 4).astype(np.float32)
    probability = (noise - noise.min()) / (noise.max() - noise.min())
    probability[0, 0] = outline.threshold  # exactly at the threshold is skin
    expected = opencv.postprocess(probability, outline)
    np.testing.assert_array_equal(exported.postprocess(tf.constant(probability), outline), expected > 0)
    other = opencv.postprocess(probability, outline.model_copy(update={"threshold": 0.6}))
    found = exported.postprocess(tf.constant(probability), outline, tf.constant(0.6))
    np.testing.assert_array_equal(found, other > 0)


def test_phantoms(graphs: dict[str, Callable[[Mask], Mask]], phantoms: Path) -> None:
    for record in find_records(phantoms).records:
        assert_same(graphs, read_mask(record.mask_path).lesion)


@pytest.mark.real_data
def test_real_masks_whole_and_fragmented(graphs: dict[str, Callable[[Mask], Mask]], real_root: Path) -> None:
    rng = np.random.default_rng(3)
    for record in find_records(real_root).records[::50]:
        lesion = read_mask(record.mask_path).lesion
        assert_same(graphs, lesion)
        fragmented = cv2.GaussianBlur(rng.normal(size=lesion.shape), (0, 0), 8)
        assert_same(graphs, lesion * (fragmented > np.percentile(fragmented, 35)).astype(np.uint8))
        assert_same(graphs, resize_mask(lesion, 1000, 1400))
