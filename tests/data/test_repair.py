"""Repair of the masks with a reversed palette in HAM10000 and of inverted folders, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ham_keras.data.mask_warnings import mask_warnings
from ham_keras.data.masks import looks_inverted
from ham_keras.data.phantoms.dataset import draw_phantoms
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.data.records import find_records
from ham_keras.data.repair import decide_masks, inside_is_lighter, read_signs
from ham_keras.data.truth import read_truth
from ham_keras.errors import HamError

Pixels = npt.NDArray[np.uint8]
WIDTH_PX, HEIGHT_PX = 120, 90
REVERSED = [f"ISIC_{number:07d}" for number in range(24316, 24717 + 1)]
OTHERS = [f"ISIC_{number:07d}" for number in range(24800, 25200)]


def skin_with(lesion: Pixels) -> Pixels:
    """A photograph of light skin whose lesion is dark."""
    noise = np.random.default_rng(0).integers(-8, 8, (*lesion.shape, 3))
    return np.asarray(np.where(lesion[..., None], (110, 70, 60), (220, 180, 170)) + noise, np.uint8)


def disc(x: float = 0.5, y: float = 0.5, radius: float = 0.25) -> Pixels:
    centre = round(x * WIDTH_PX), round(y * HEIGHT_PX)
    return cv2.circle(np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8), centre, round(radius * HEIGHT_PX), 1, -1)


def centred(number: int) -> Pixels:
    x, y, radius = np.random.default_rng(number).uniform((0.4, 0.4, 0.15), (0.6, 0.6, 0.35))
    return disc(x, y, radius)


def anywhere(number: int) -> Pixels:
    x, y, radius = np.random.default_rng(number).uniform((0, 0, 0.15), (1, 1, 0.5))
    return disc(x, y, radius)


def half_disc(number: int) -> Pixels:
    return disc(*((0, 0.5), (1, 0.5), (0.5, 0), (0.5, 1))[number % 4], 0.25 + 0.01 * (number % 10))


def write(
    root: Path,
    ids: Sequence[str],
    draw: Callable[[int], Pixels],
    *,
    inverted: Sequence[str] = (),
    frame_px: int = 0,
    negative: bool = False,
) -> Path:
    """A data folder; `frame_px` of 0 around the masks of `inverted`, and `negative` photographs."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for number, image_id in enumerate(ids):
        lesion = draw(number)
        photograph = 255 - skin_with(lesion) if negative else skin_with(lesion)
        Image.fromarray(photograph).save(root / "images" / f"{image_id}.jpg", quality=85)
        saved = 1 - lesion if image_id in inverted else lesion
        if frame_px:
            saved = np.pad(saved[frame_px:-frame_px, frame_px:-frame_px], frame_px)
        Image.fromarray(255 * saved).save(root / "masks" / f"{image_id}_segmentation.png")
    return root


def repaired(root: Path, **how: object) -> list[str]:
    records = decide_masks(find_records(root).records, **how)  # type: ignore[arg-type]
    return [record.image_id for record in records if record.mask_inverted]


def test_only_reversed_masks_saved_from_raw_indices_are_repaired(tmp_path: Path) -> None:
    run = REVERSED[::20]
    write(tmp_path, run + OTHERS[:60], centred, inverted=run)
    assert repaired(tmp_path) == run
    assert repaired(tmp_path, repair_masks="never") == []
    assert repaired(tmp_path, repair_masks="always") == run


@pytest.mark.parametrize("others", [0, 3, 80])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_few_reversed_masks_are_enough(tmp_path: Path, count: int, others: int) -> None:
    write(tmp_path, REVERSED[:count] + OTHERS[:others], centred, inverted=REVERSED[:count])
    assert repaired(tmp_path) == REVERSED[:count]


def test_correct_masks_among_reversed_ones_are_not_repaired(tmp_path: Path) -> None:
    write(tmp_path, REVERSED[:20] + OTHERS[:20], centred, inverted=REVERSED[:20:2])
    assert repaired(tmp_path) == REVERSED[:20:2]


@pytest.mark.parametrize("others", [0, 5, 60])
@pytest.mark.parametrize("draw", [anywhere, lambda _: disc(0, 0, 0.55), lambda number: disc(1, number % 2, 0.5)])
def test_off_centre_lesions_with_the_ids_of_reversed_masks_are_not_repaired(
    tmp_path: Path, draw: Callable[[int], Pixels], others: int
) -> None:
    write(tmp_path, REVERSED[:30] + OTHERS[:others], draw)
    shapes = [read_signs(record).shape for record in find_records(tmp_path).records]
    assert sum(bool(shape) for shape in shapes) > 5  # by shape alone they would be inverted
    assert repaired(tmp_path) == []


def test_single_mask_with_disagreeing_photograph_needs_centred_folder(tmp_path: Path) -> None:
    few, many = (
        write(tmp_path / name, REVERSED[:1] + OTHERS[:n], centred, inverted=REVERSED[:1])
        for name, n in (("few", 5), ("many", 80))
    )
    for root in (few, many):
        Image.fromarray(255 - skin_with(centred(0))).save(root / "images" / f"{REVERSED[0]}.jpg")
    assert (repaired(few), repaired(many)) == ([], REVERSED[:1])


@pytest.mark.parametrize("ids", [[f"clinic{n:03d}" for n in range(30)], [f"P{n}" for n in range(6)]], ids=len)
def test_inverted_folder_is_repaired(tmp_path: Path, ids: list[str]) -> None:
    write(tmp_path, ids, centred, inverted=ids)
    assert repaired(tmp_path) == sorted(ids)
    assert repaired(tmp_path, lesion_values=[255]) == []  # explicit values need no repair


def test_masks_that_both_signs_call_correct_are_kept_in_an_inverted_folder(tmp_path: Path) -> None:
    ids = [f"clinic{n:03d}" for n in range(40)]
    write(tmp_path, ids, centred, inverted=ids[2:])
    assert repaired(tmp_path) == ids[2:]


def test_one_sign_is_not_enough_for_an_inverted_folder(tmp_path: Path) -> None:
    ids = [f"clinic{n:03d}" for n in range(20)]
    for root in (write(tmp_path / "light", ids, centred), write(tmp_path / "border", ids, lambda _: disc(0, 0, 0.55))):
        if root.name == "light":
            for path in (root / "images").iterdir():
                Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
        assert repaired(root) == []


@pytest.mark.parametrize(
    "ids", [REVERSED[:1], REVERSED[:3], REVERSED[:40], [f"clinic{n:03d}" for n in range(40)]], ids=str
)
@pytest.mark.parametrize("others", [0, 20])
def test_light_lesions_at_the_edge_are_not_flipped(tmp_path: Path, ids: list[str], others: int) -> None:
    write(tmp_path, ids + OTHERS[:others], half_disc, negative=True)
    records = find_records(tmp_path).records
    assert all(read_signs(record).shape and read_signs(record).photograph for record in records)
    assert repaired(tmp_path) == []


@pytest.mark.parametrize("frame_px", [1, 2, 3])
def test_an_inverted_folder_with_a_frame_of_skin_is_repaired(tmp_path: Path, frame_px: int) -> None:
    ids = [f"clinic{n:03d}" for n in range(10)]
    write(tmp_path / "inverted", ids, centred, inverted=ids, frame_px=frame_px)
    assert repaired(tmp_path / "inverted") == ids
    records = decide_masks(find_records(tmp_path / "inverted").records)
    np.testing.assert_array_equal(read_truth(records[4]).lesion, centred(4))
    assert repaired(write(tmp_path / "right", ids, lambda number: disc(radius=0.45 + number / 100))) == []


def test_an_inverted_folder_of_light_lesions_is_warned_of(tmp_path: Path) -> None:
    ids = [f"clinic{n:03d}" for n in range(10)]
    root = write(tmp_path / "inverted", ids, centred, inverted=ids, negative=True)
    assert repaired(root) == []
    (line,) = mask_warnings(find_records(root).records)
    assert line.startswith("10 of 10 sampled masks look inverted by their shape, though not by their photographs, the")
    assert mask_warnings(find_records(write(tmp_path / "right", ids, centred, negative=True)).records) == []


def test_a_few_inverted_masks_with_other_ids_are_not_repaired(tmp_path: Path) -> None:
    ids = [f"clinic{n:03d}" for n in range(20)]
    write(tmp_path, ids, centred, inverted=ids[:5])
    assert repaired(tmp_path) == []
    assert repaired(tmp_path, repair_masks="always") == ids[:5]
    write(tmp_path / "four", ids[:4], centred, inverted=ids[:4])
    assert repaired(tmp_path / "four") == []


@pytest.mark.parametrize("names", [REVERSED[:20], OTHERS[:20]], ids=["reversed", "others"])
def test_framed_masks_are_not_repaired(tmp_path: Path, names: list[str]) -> None:
    def framed(number: int) -> Pixels:
        return cv2.rectangle(centred(number), (0, 0), (WIDTH_PX - 1, HEIGHT_PX - 1), 1)

    write(tmp_path, names, framed)
    for path in (tmp_path / "masks").iterdir():
        assert looks_inverted(np.asarray(Image.open(path)) // 255)
    for how in ("auto", "always"):
        assert repaired(tmp_path, repair_masks=how) == []


def test_tiles_of_phantoms_are_not_repaired(phantoms: Path, tmp_path: Path) -> None:
    for record in find_records(phantoms).records:
        for folder, path in (("images", record.image_path), ("masks", record.mask_path)):
            (tmp_path / folder).mkdir(exist_ok=True)
            pixels = np.asarray(Image.open(path).convert("RGB" if folder == "images" else "L"))
            for number, tile in enumerate(np.split(np.vstack(np.split(pixels, 2, axis=1)), 4)):
                Image.fromarray(tile).save(tmp_path / folder / f"{record.image_id}_{number}.png")
    records = find_records(tmp_path).records
    assert len(records) == 96
    assert sum(bool(read_signs(record).shape) for record in records) > 30
    assert repaired(tmp_path) == []


def test_inverted_phantoms_are_repaired_and_correct_ones_are_not(tmp_path: Path) -> None:
    draw_phantoms(tmp_path / "right", 30, 5, width_px=120, height_px=90)
    draw_phantoms(tmp_path / "inverse", 30, 5, inverted_fraction=1, palette_fraction=0, width_px=120, height_px=90)
    assert repaired(tmp_path / "right") == []
    assert len(repaired(tmp_path / "inverse")) == 30


def test_inside_of_a_lesion_is_darker() -> None:
    image, mask, _, _ = draw_phantom(3, 5, 5, (150, 112))
    lesion = mask.astype(np.uint8)
    assert inside_is_lighter(image, lesion) is False
    assert inside_is_lighter(image, 1 - lesion) is True
    assert inside_is_lighter(image, np.ones_like(lesion)) is None
    assert inside_is_lighter(np.full_like(image, 90), lesion) is None


def test_lesion_values_that_occur_in_no_mask_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, OTHERS[:3], centred)
    with pytest.raises(HamError, match=r"data\.lesion_values: no mask of this folder has any of \[1, 3\]"):
        repaired(tmp_path, lesion_values=[1, 3])
    records = decide_masks(find_records(tmp_path).records, lesion_values=[0])
    assert {record.lesion_values for record in records} == {(0,)}


def test_unreadable_files_are_ignored(tmp_path: Path) -> None:
    write(tmp_path, REVERSED[:12], centred, inverted=REVERSED[:12])
    (tmp_path / "masks" / f"{REVERSED[3]}_segmentation.png").write_bytes(b"no mask")
    (tmp_path / "images" / f"{REVERSED[4]}.jpg").write_bytes(b"no image")
    assert set(REVERSED[:12]) - {REVERSED[3]} <= set(repaired(tmp_path))


@pytest.mark.real_data
def test_only_real_masks_saved_from_raw_indices_are_repaired(real_root: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "images").symlink_to((real_root / "images").resolve())
    resaved = []
    for path in sorted((real_root / "masks").iterdir()):
        with Image.open(path) as mask:
            if mask.mode == "P":
                Image.fromarray(np.asarray(mask)).save(tmp_path / "masks" / path.name)
                resaved.append(path.name.removesuffix("_segmentation.png"))
            else:
                (tmp_path / "masks" / path.name).symlink_to(path.resolve())
    assert len(resaved) == 207
    assert repaired(tmp_path) == resaved


@pytest.mark.real_data
def test_one_real_reversed_mask_among_others_is_enough(real_root: Path, tmp_path: Path) -> None:
    records = find_records(real_root).records
    run = [record for record in records if record.image_id in set(REVERSED)]
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for record in records[-80:]:
        shutil.copy(record.image_path, tmp_path / "images")
        shutil.copy(record.mask_path, tmp_path / "masks")
    for record in run[::10]:
        shutil.copy(record.image_path, tmp_path / "images")
        with Image.open(record.mask_path) as mask:
            Image.fromarray(np.asarray(mask)).save(tmp_path / "masks" / record.mask_path.name)
        assert repaired(tmp_path) == [record.image_id]
        (tmp_path / "masks" / record.mask_path.name).unlink()
