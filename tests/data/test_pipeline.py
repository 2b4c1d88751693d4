"""The input pipeline: pixels, caches, order, augmentation, and errors of broken files."""

from __future__ import annotations

import dataclasses
import gc
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ham_keras.data import pipeline
from ham_keras.data.disk_cache import make_room
from ham_keras.data.images import read_image
from ham_keras.data.masks import read_mask, resize_mask
from ham_keras.data.pipeline import Examples, make_eval_dataset, make_train_dataset
from ham_keras.data.records import Record, find_records
from ham_keras.errors import HamError, OutOfMemoryError, SettingError
from ham_keras.preprocessing.resize import resize_image
from ham_keras.preprocessing.steps import Resize, Steps
from ham_keras.settings import Augment, Data

CACHES = ("memory", "disk", "none")


def examples(records: list[Record], tmp_path: Path, cache: str = "memory") -> Examples:
    return Examples(records, Data(image_size=[32, 64], cache=cache, cache_dir=str(tmp_path / "cache")), visible=False)


def collect(dataset: Any) -> tuple[np.ndarray, np.ndarray, list[int]]:
    batches = [(image.numpy(), mask.numpy()) for image, mask in dataset]
    images, masks = (np.concatenate(part) for part in zip(*batches, strict=True))
    return images, masks, [len(image) for image, _ in batches]


@pytest.fixture(scope="session")
def records(phantoms: Path) -> list[Record]:
    return find_records(phantoms).records


@pytest.mark.parametrize("cache", CACHES)
def test_batches_have_the_pixels_of_the_files(records: list[Record], tmp_path: Path, cache: str) -> None:
    some = examples(records, tmp_path, cache)
    images, masks, sizes = collect(make_eval_dataset(some, batch_size=5))
    assert images.dtype == masks.dtype == np.float32
    assert sizes == [5, 5, 5, 5, 4]
    for i, record in enumerate(records):
        mask = read_mask(record.mask_path)
        np.testing.assert_array_equal(images[i], resize_image(read_image(record.image_path), 32, 64))
        np.testing.assert_array_equal(masks[i, ..., 0], resize_mask(mask.lesion, 32, 64))


def test_image_range_is_0_to_255(records: list[Record], tmp_path: Path) -> None:
    images, masks, _ = collect(make_eval_dataset(examples(records, tmp_path), batch_size=5))
    assert 100 < images.max() <= 255
    assert images.mean() > 20
    assert set(np.unique(masks)) == {0.0, 1.0}


def test_channel_order_is_rgb(tmp_path: Path) -> None:
    import cv2

    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((40, 40, 3), (10, 20, 250), np.uint8))  # BGR: red
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.zeros((40, 40), np.uint8))
    images, _, _ = collect(make_eval_dataset(examples(find_records(tmp_path).records, tmp_path), batch_size=1))
    np.testing.assert_array_equal(images[0, 0, 0], [250, 20, 10])


@pytest.mark.parametrize("engine", ["none", "native", "albumentations"])
def test_batches_depend_only_on_seed_epoch_and_image(records: list[Record], tmp_path: Path, engine: str) -> None:
    augment = Augment(engine=engine, quarter_turns=False)

    def epoch(records: list[Record], cache: str, *, seed: int = 1, epoch: int = 2, batch_size: int = 5) -> np.ndarray:
        dataset = make_train_dataset(
            examples(records, tmp_path, cache), augment, batch_size=batch_size, seed=seed, epoch=epoch
        )
        images, masks, _ = collect(dataset)
        return np.concatenate([images, masks], axis=-1)

    once = epoch(records, "memory")
    np.testing.assert_array_equal(once, epoch(records, "none"))
    np.testing.assert_array_equal(once, epoch(records[::-1], "disk", batch_size=3))
    assert not np.array_equal(once, epoch(records, "memory", seed=2))
    assert not np.array_equal(once, epoch(records, "memory", epoch=3))
    # Removing images does not change the order and augmentation of the others.
    half = epoch(records[::2], "memory")
    positions = [np.flatnonzero((once == image).all(axis=(1, 2, 3))) for image in half]
    assert all(len(places) == 1 for places in positions)
    assert [int(places[0]) for places in positions] == sorted(int(places[0]) for places in positions)


def test_disk_cache_is_reused_until_files_change(phantoms: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(phantoms, root)
    records = find_records(root).records
    first = examples(records, tmp_path, "disk")
    second = examples(records, tmp_path, "disk")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for one, other in zip(
        *(collect(make_eval_dataset(some, batch_size=9))[:2] for some in (first, second)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    shutil.copy(records[1].image_path, records[0].image_path)
    images, _, _ = collect(make_eval_dataset(examples(records, tmp_path, "disk"), batch_size=2))
    np.testing.assert_array_equal(images[0], images[1])
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_other_preprocessing_steps_use_another_disk_cache(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples(records, tmp_path, "disk")
    twice = Steps((Resize(16, 16), Resize(32, 64)))
    monkeypatch.setattr(pipeline, "build_steps", lambda settings: twice)
    images, _, _ = collect(make_eval_dataset(examples(records, tmp_path, "disk"), batch_size=5))
    np.testing.assert_array_equal(images[0], twice(read_image(records[0].image_path)))
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("cache", CACHES)
def test_cache_depends_on_how_masks_are_read(records: list[Record], tmp_path: Path, cache: str) -> None:
    plain, inverted, other = (
        [dataclasses.replace(records[0], **how)]
        for how in ({}, {"mask_inverted": True}, {"mask_inverted": True, "lesion_values": (0,)})
    )
    _, masks, _ = collect(make_eval_dataset(examples(plain, tmp_path, cache), batch_size=1))
    some = examples(inverted, tmp_path, cache)
    _, skin, _ = collect(make_eval_dataset(some, batch_size=1))
    _, again, _ = collect(make_eval_dataset(examples(other, tmp_path, cache), batch_size=1))
    assert some.repaired_ids() == [records[0].image_id]
    np.testing.assert_array_equal(again, masks)
    assert np.mean(skin != masks) > 0.99  # except for pixels that are half lesion


def test_disk_cache_is_open_as_long_as_it_is_used(records: list[Record], tmp_path: Path) -> None:
    def held() -> int:
        found = 0
        for name in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):  # closed meanwhile
                found += str(tmp_path) in os.readlink(f"/proc/self/fd/{name}")
        return found

    first, second = examples(records, tmp_path, "disk"), examples(records, tmp_path, "disk")
    (path,) = (tmp_path / "cache").iterdir()
    path.unlink()  # another process makes room
    assert held() == 2
    del second
    gc.collect()
    assert held() == 1
    images, _, _ = collect(make_eval_dataset(first, batch_size=5))
    assert len(images) == len(records)


def test_truncated_disk_cache_is_rebuilt(records: list[Record], tmp_path: Path) -> None:
    expected, _, _ = collect(make_eval_dataset(examples(records, tmp_path, "disk"), batch_size=5))
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    found, _, _ = collect(make_eval_dataset(examples(records, tmp_path, "disk"), batch_size=5))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("kind", ["image", "mask"])
def test_error_names_the_broken_file(phantoms: Path, tmp_path: Path, cache: str, kind: str) -> None:
    root = tmp_path / "copy"
    shutil.copytree(phantoms, root)
    records = find_records(root).records
    broken = records[7].image_path if kind == "image" else records[7].mask_path
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(HamError, match=f"{broken.name}: not a readable {kind}"):
        some = examples(records, tmp_path, cache)
        with some.naming_broken_files():
            collect(make_eval_dataset(some, batch_size=4))
    assert not list((tmp_path / "cache").glob("*.uint8"))


def test_unwritable_cache_names_the_config_key(records: list[Record], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(HamError, match=r"data\.cache_dir: cannot write"):
        examples(records, tmp_path, "disk")


def test_cache_larger_than_the_free_memory_names_the_way_out(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "available_memory_bytes", lambda: 1000)
    with pytest.raises(OutOfMemoryError, match=r"^data\.cache: .* images of 32x64 px take .*set data\.cache=disk or"):
        examples(records, tmp_path, "memory")
    monkeypatch.setattr(pipeline, "available_memory_bytes", lambda: None)

    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "empty", no_memory)
    with pytest.raises(OutOfMemoryError, match=r"^data\.cache"):
        examples(records, tmp_path, "memory")


def test_least_recently_used_caches_make_room(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "old", "oldest")):
        path = tmp_path / f"{name}.uint8"
        path.write_bytes(bytes(100))
        os.utime(path, (1000 - age, 1000 - age))
    (tmp_path / "mine.txt").write_bytes(bytes(100))
    gone = tmp_path / "deleted meanwhile.uint8"
    gone.symlink_to(tmp_path / "nowhere")
    make_room(tmp_path, 100, 400)
    gone.unlink()
    assert len(list(tmp_path.iterdir())) == 4
    make_room(tmp_path, 150, 300)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt", "new.uint8"]
    with pytest.raises(SettingError, match=r"^data\.cache_limit_gb: 3e-07, but the cache takes"):
        make_room(tmp_path, 400, 300)


def test_cache_file_of_a_killed_process_is_removed(records: list[Record], tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".part-4194305.killed.uint8").touch()
    examples(records, tmp_path, "disk")
    (path,) = (tmp_path / "cache").iterdir()
    os.utime(path, (0, 0))
    examples(records, tmp_path, "disk")
    assert path.stat().st_mtime > 0  # recently used
