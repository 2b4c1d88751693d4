"""Masks are rotated with their photographs if their shapes show that they need it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from ham_keras.data.encoded import TURNS
from ham_keras.data.images import read_image
from ham_keras.data.mask_warnings import mask_warnings
from ham_keras.data.records import Record
from ham_keras.data.truth import check_alignment, read_stored_truth, read_truth

WIDTH_PX, HEIGHT_PX = 80, 60
STORED = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
STORED[5:20, 10:50] = 1


def pair(
    folder: Path, orientation: int, stored: np.ndarray = STORED, mask: np.ndarray = STORED, ending: str = "png"
) -> Record:
    """A photograph, dark where `stored` is 1, with this EXIF orientation, and a mask."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, path = folder / f"{orientation}.{ending}", folder / f"{orientation}_mask.png"
    Image.fromarray(np.where(stored[..., None], 60, 200).astype(np.uint8).repeat(3, axis=2)).save(image, exif=exif)
    Image.fromarray(255 * mask).save(path)
    return Record(str(orientation), "", "", image, path)


def agreement(record: Record) -> float:
    """Fraction of pixels where mask and photograph agree: 1 and dark, or 0 and light."""
    image, lesion = read_image(record.image_path), read_truth(record).lesion
    return float(np.mean((image[..., 0] < 130) == (lesion > 0))) if image.shape[:2] == lesion.shape else 0.0


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("orientation", [1, 5, 6, 7, 8])
def test_mask_of_the_stored_pixels_is_rotated(tmp_path: Path, orientation: int, ending: str) -> None:
    record = pair(tmp_path, orientation, ending=ending)
    assert agreement(record) > 0.99
    np.testing.assert_array_equal(read_stored_truth(record).lesion, read_truth(record).lesion)
    assert mask_warnings([record]) == []


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_mask_of_the_upright_photograph_is_unchanged(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    marked = Image.fromarray(255 * STORED)
    marked.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(marked)) // 255
    record = pair(tmp_path, orientation, mask=upright)
    assert upright.shape == (WIDTH_PX, HEIGHT_PX)
    assert agreement(record) > 0.99
    assert check_alignment(record).turn is None and mask_warnings([record]) == []


def test_smaller_mask_of_the_stored_pixels_is_rotated(tmp_path: Path) -> None:
    record = pair(tmp_path, 6, mask=STORED[::2, ::2])
    small = np.rot90(STORED[::2, ::2], -1)
    np.testing.assert_array_equal(read_truth(record).lesion, small)


def test_mask_with_exif_is_rotated_by_its_own_exif(tmp_path: Path) -> None:
    for orientation in (3, 6):
        record = pair(tmp_path, orientation)
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(255 * STORED).save(record.mask_path, exif=exif)
        assert agreement(record) > 0.99
        assert mask_warnings([record]) == []


@pytest.mark.parametrize(
    ("orientation", "own", "stored", "shape", "unclear"),
    [
        (6, 1, (60, 80), (60, 80), False),  # the stored pixels
        (6, 1, (60, 80), (80, 60), False),  # the upright photograph
        (6, 1, (60, 80), (64, 64), True),
        (6, 1, (60, 80), (60, 160), True),
        (6, 1, (64, 64), (64, 64), True),
        (6, 1, (64, 64), (60, 80), True),
        (6, 6, (64, 64), (64, 64), False),
        (3, 1, (60, 80), (60, 80), True),
        (3, 1, (60, 80), (64, 64), True),
        (1, 3, (60, 80), (60, 80), True),
        (1, 6, (80, 60), (60, 80), False),  # upright only as its own EXIF says
        (1, 6, (60, 80), (60, 80), False),  # upright only as stored
        (1, 6, (64, 64), (64, 64), True),
        (1, 1, (60, 80), (64, 64), False),
    ],
)
def test_rotation_that_no_shape_confirms_is_unclear(
    tmp_path: Path, orientation: int, own: int, stored: tuple[int, int], shape: tuple[int, int], unclear: bool
) -> None:
    record = pair(tmp_path, orientation, np.zeros(stored, np.uint8), np.zeros(shape, np.uint8))
    exif = Image.Exif()
    exif[0x0112] = own
    Image.new("L", shape[::-1]).save(record.mask_path, exif=exif)
    assert check_alignment(record).unclear_turn is unclear
    assert any("rotated by EXIF" in line for line in mask_warnings([record])) is unclear


@pytest.mark.parametrize(("orientation", "own"), [(6, 6), (8, 8), (5, 5), (1, 6), (1, 8)])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_upright_mask_with_a_stale_exif_is_unchanged(tmp_path: Path, orientation: int, own: int, ending: str) -> None:
    record = pair(tmp_path, orientation)
    upright = np.asarray(Image.fromarray(STORED).transpose(TURNS[orientation]) if orientation > 1 else STORED)
    exif = Image.Exif()
    exif[0x0112] = own
    path = tmp_path / f"stale.{ending}"
    Image.fromarray(255 * upright).save(path, exif=exif)
    record = dataclasses.replace(record, mask_path=path)
    np.testing.assert_array_equal(read_truth(record).lesion, upright)
    assert mask_warnings([record]) == []


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_mask_of_16_bits_per_channel_is_rotated(tmp_path: Path, orientation: int, suffix: str) -> None:
    record = pair(tmp_path, orientation)
    path = tmp_path / f"deep.{suffix}"
    assert cv2.imwrite(str(path), np.dstack([STORED.astype(np.uint16)] * 3))
    np.testing.assert_array_equal(
        read_truth(dataclasses.replace(record, mask_path=path)).lesion, read_truth(record).lesion
    )
