"""Warnings about masks: unclear rotation, other aspect ratios, repaired and possibly inverted masks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ham_keras.data.inspection.pairs import read_pair
from ham_keras.data.mask_warnings import mask_warnings
from ham_keras.data.masks import is_outline
from ham_keras.data.phantoms.dataset import draw_phantoms
from ham_keras.data.records import Record, find_records
from ham_keras.data.truth import check_alignment, read_truth

WIDTH_PX, HEIGHT_PX = 80, 60
STORED = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
STORED[5:20, 10:50] = 1


def pair(folder: Path, orientation: int, stored: np.ndarray = STORED, mask: np.ndarray = STORED) -> Record:
    """A photograph, dark where `stored` is 1, with this EXIF orientation, and a mask."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, path = folder / f"{orientation}.png", folder / f"{orientation}_mask.png"
    Image.fromarray(np.where(stored[..., None], 60, 200).astype(np.uint8).repeat(3, axis=2)).save(image, exif=exif)
    Image.fromarray(255 * mask).save(path)
    return Record(str(orientation), "", "", image, path)


def test_unclear_rotations_are_counted_in_one_warning(tmp_path: Path) -> None:
    square = STORED[:, :HEIGHT_PX]
    half, mirrored = pair(tmp_path, 3), pair(tmp_path, 2)
    quarter = pair(tmp_path, 6, square, square)
    fine = pair(tmp_path, 1)
    assert all(check_alignment(record).unclear_turn for record in (half, mirrored, quarter))
    (line,) = mask_warnings([fine, half, mirrored, quarter])
    assert line == (
        "3 of 4 pairs have an image or a mask rotated by EXIF, and it is unclear whether both are; the mask is rotated "
        f"as its own EXIF says, else read as stored, the first: {half.mask_path}"
    )


def test_other_aspect_ratios_and_repaired_masks_are_counted(tmp_path: Path) -> None:
    fine, turned = pair(tmp_path, 1), pair(tmp_path, 6)
    wide = pair(tmp_path, 8, mask=cv2.resize(STORED, (200, 60)))
    repaired = dataclasses.replace(fine, mask_inverted=True)
    assert mask_warnings([fine, turned]) == []
    first, second, third = mask_warnings([repaired, turned, wide])
    assert first == f"1 of 3 masks is inverted and repaired on reading (data.repair_masks), the first: {fine.mask_path}"
    assert (
        second.startswith("1 of 3 masks has another aspect ratio than the image and is stretched")
        and "8_mask" in second
    )
    assert (
        third.startswith("1 of 3 pairs has an image or a mask rotated by EXIF, and it is unclear") and "8_mask" in third
    )
    np.testing.assert_array_equal(read_truth(repaired).lesion, 1 - STORED)


def test_unreadable_files_cause_no_warning(tmp_path: Path) -> None:
    record = pair(tmp_path, 1)
    record.image_path.write_bytes(b"no image")
    assert mask_warnings([record]) == []
    np.testing.assert_array_equal(read_truth(record).lesion, STORED)


def test_folder_with_possibly_inverted_masks_is_reported(tmp_path: Path) -> None:
    for name, fraction, warnings in (("right", 0.0, 0), ("some", 0.3, 1)):
        draw_phantoms(tmp_path / name, 30, 2, inverted_fraction=fraction, width_px=120, height_px=90)
        lines = mask_warnings(find_records(tmp_path / name).records)
        assert len(lines) == warnings
    assert (
        lines[0].startswith(("8 of 30 sampled masks", "9 of 30 sampled masks"))
        and "data.repair_masks=always" in lines[0]
    )


def test_masks_without_any_of_the_lesion_values_are_counted(tmp_path: Path) -> None:
    records = [pair(tmp_path / name, 1) for name in ("a", "b") if not (tmp_path / name).mkdir()]
    Image.fromarray(STORED + 255 * (1 - STORED)).save(records[1].mask_path)
    (line,) = mask_warnings([dataclasses.replace(record, lesion_values=(1,)) for record in records])
    assert line == (
        f"1 of 2 masks has none of data.lesion_values and is read as empty, the first: {records[0].mask_path}"
    )


def test_soft_and_lossy_masks_with_lesion_values_are_counted(tmp_path: Path) -> None:
    classes = pair(tmp_path, 1)
    Image.fromarray(STORED + 1).save(classes.mask_path)
    soft, lossy, webp = tmp_path / "soft.png", tmp_path / "lossy.jpg", tmp_path / "lossy.webp"
    Image.fromarray(cv2.GaussianBlur(255 * STORED, (5, 5), 1)).save(soft)
    for path in lossy, webp:
        Image.fromarray(255 * STORED).save(path, quality=70)
    records = [classes, *(dataclasses.replace(classes, mask_path=path) for path in (soft, lossy, webp))]
    chosen = [dataclasses.replace(record, lesion_values=(2, 255)) for record in records]
    (line,) = mask_warnings(chosen)
    assert line.startswith("3 of 4 masks have soft edges or lossy compression") and str(soft) in line
    kinds = [[problem.kind for problem in read_pair(record).problems] for record in chosen]
    assert ["blurred_values" in found for found in kinds] == [False, True, True, True]


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("thickness_px", [1, 3])
def test_outlines_that_are_not_filled_are_told(tmp_path: Path, thickness_px: int, inverted: bool) -> None:
    line = cv2.ellipse(np.zeros((240, 320), np.uint8), (150, 120), (90, 60), 20, 0, 360, 1, thickness_px)
    drawn, filled = pair(tmp_path, 1), pair(tmp_path, 3)
    Image.fromarray(255 * (1 - line if inverted else line)).save(drawn.mask_path)
    assert is_outline(1 - line if inverted else line)
    (told,) = [line for line in mask_warnings([drawn, filled]) if "drawn outline" in line]
    assert told == (
        "1 of 2 sampled masks has a drawn outline, of which only the line counts as lesion, and no filled area, the "
        f"first: {drawn.mask_path}"
    )
    kinds = [[problem.kind for problem in read_pair(record).problems] for record in (drawn, filled)]
    assert ["outline" in found for found in kinds] == [True, False]


def test_frames_that_stay_are_told_and_do_not_look_inverted(tmp_path: Path) -> None:
    framed = np.ones((60, 80), np.uint8)
    framed[5:-5, 5:-5] = STORED[5:-5, 5:-5]
    records = [pair(folder, 1, mask=framed) for number in range(6) if not (folder := tmp_path / str(number)).mkdir()]
    (line,) = mask_warnings(records)
    assert line == (
        "6 of 6 sampled masks have a line of lesion along an edge, as of a frame, and are read as stored, the first: "
        f"{records[0].mask_path}"
    )


def test_thin_third_level_is_told(tmp_path: Path) -> None:
    ringed = pair(tmp_path, 1)
    ring = cv2.dilate(STORED, np.ones((3, 3), np.uint8)) - STORED
    Image.fromarray(np.where(ring == 1, 128, 255 * STORED).astype(np.uint8)).save(ringed.mask_path)
    (line,) = mask_warnings([ringed])
    assert line.startswith("1 of 1 sampled mask has three grey levels, the middle one thin")
    assert "thin_level" in [problem.kind for problem in read_pair(ringed).problems]
