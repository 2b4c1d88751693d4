"""Which files are predicted, what their ids are, and which files are skipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ham_keras.errors import HamError
from ham_keras.prediction.folder import PredictionFolder
from ham_keras.prediction.inputs import Inputs, find_inputs

OUTPUTS = ("out/gone_segmentation.png", "out/overlays/a.jpg")


def find(inputs: list[Path | str], output: PredictionFolder) -> list[Path]:
    return list(find_inputs(inputs, output).ids)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def out(tmp_path: Path) -> PredictionFolder:
    return PredictionFolder(tmp_path / "out")


def test_files_folders_and_globs_are_found_once_and_masks_are_skipped(phantoms: Path, tmp_path: Path) -> None:
    images = sorted((phantoms / "images").iterdir())
    out = PredictionFolder(tmp_path / "out")
    assert find([phantoms / "images"], out) == images
    assert find([images[3], str(phantoms / "im*" / "*1.jpg"), phantoms / "images"], out)[:2] == [images[3], images[0]]
    touch(tmp_path, "a.jpg", "a_segmentation.png", "b_lesion.png", ".hidden.jpg", "sub/c.TIF", "notes.txt", *OUTPUTS)
    assert [path.name for path in find([tmp_path], out)] == ["a.jpg", "b_lesion.png", "c.TIF"]
    assert [path.name for path in find([str(tmp_path / "*")], out)] == ["a.jpg", "b_lesion.png"]
    assert [path.name for path in find([tmp_path / "a_segmentation.png", tmp_path / "a.jpg"], out)] == ["a.jpg"]
    PredictionFolder(tmp_path / "out").settings.touch()
    assert find([tmp_path / "out"], PredictionFolder(tmp_path / "elsewhere")) == [tmp_path / OUTPUTS[0]]
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    with pytest.raises(HamError, match=r"dangling\.jpg: no image found; .*1 link leads nowhere"):
        find([tmp_path / "dangling.jpg"], out)
    (tmp_path / "dangling.jpg").unlink()
    assert find([tmp_path / "notes.txt"], out) == [tmp_path / "notes.txt"]  # given by name, so it is read
    for empty in (tmp_path / "gone.jpg", tmp_path / "*.bmp", tmp_path / "out"):
        with pytest.raises(HamError, match=f"{empty.name.replace('*', '.')}: no image found; expected"):
            find([empty], out)
    touch(tmp_path, "A.png")
    with pytest.raises(HamError, match=r"A\.png and .*a\.jpg: their masks would have the same name"):
        find([tmp_path], out)


def names(found: Inputs) -> list[str]:
    return list(found.ids.values())


def test_ids_include_folders_if_names_repeat(
    tmp_path: Path, out: PredictionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "in/p1/a.jpg", "in/p1/b.jpg", "in/p2/A.png", "in/c.jpg", "in/deep/p1/a.jpg")
    root = tmp_path / "in"
    assert names(find_inputs([root / "p1", root / "c.jpg"], out)) == ["a", "b", "c"]
    expected = ["c", "deep/p1/a", "p1/a", "p1/b", "p2/A"]
    assert names(find_inputs([root], out)) == expected
    assert names(find_inputs([str(root / "**" / "*.*")], out)) == expected
    # There are no folders below p1 and p2, so ids include the names of the inputs.
    assert names(find_inputs([root / "p1", root / "p2"], out)) == ["p1/a", "p1/b", "p2/A"]
    assert names(find_inputs([root / "p1/a.jpg", root / "deep/p1/a.jpg"], out)) == ["p1/a", "deep/p1/a"]
    monkeypatch.chdir(root / "p1")
    assert names(find_inputs([".", "../p2/A.png"], out)) == ["p1/a", "p1/b", "p2/A"]


def test_a_data_folder_with_folders_of_patients_has_the_ids_of_training(tmp_path: Path, out: PredictionFolder) -> None:
    root = tmp_path / "in"
    for patient in ("p1", "p2"):
        for folder, mask in ("images", False), ("masks", True):
            (root / patient / folder).mkdir(parents=True)
            draw(root / patient / folder / "a.png", mask)
    found = find_inputs([root], out)
    assert names(found) == ["p1/a", "p2/a"]
    assert found.masks == [root / "p1/masks/a.png", root / "p2/masks/a.png"]


def draw(path: Path, mask: bool, mode: str = "RGB", **options: int) -> None:
    noise = np.random.default_rng(0).integers(60, 220, (48, 64, 3), np.uint8)
    noise[10:30, 20:40] //= 2
    drawn = np.zeros((48, 64), np.uint8)
    drawn[10:30, 20:40] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(drawn if mask else noise).convert(mode).save(path, **options)


@pytest.mark.parametrize(
    "name", ["P001_lesion.jpg", "P001_Lesion.png", "P001-lesion.tif", "P001_mask.jpg", "P001_gt.png", "mask_P001.jpg"]
)
def test_close_up_named_like_a_mask_is_predicted(tmp_path: Path, out: PredictionFolder, name: str) -> None:
    draw(tmp_path / "P001.jpg", mask=False)
    draw(tmp_path / name, mask=False)
    found = find_inputs([tmp_path], out)
    assert sorted(path.name for path in found.ids) == sorted(["P001.jpg", name])
    assert found.warnings() == []


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("P001_lesion.png", "L", {}),
        ("P001_lesion.png", "1", {}),
        ("P001_lesion.bmp", "RGB", {}),
        ("P001_lesion.jpg", "RGB", {"quality": 60}),
        ("P001_Segmentation.PNG", "RGBA", {}),
        ("P001_mask.png", "P", {}),
        ("mask_P001.png", "L", {}),
        ("seg-P001.jpg", "RGB", {"quality": 60}),
        ("masks/P001.png", "L", {}),
        ("masks/P001_lesion.png", "L", {}),
    ],
)  # fmt: skip
def test_masks_of_other_images_are_skipped_and_counted(
    tmp_path: Path, out: PredictionFolder, name: str, mode: str, options: dict[str, int]
) -> None:
    draw(tmp_path / "P001.jpg", mask=False)
    draw(tmp_path / name, mask=True, mode=mode, **options)
    found = find_inputs([tmp_path], out)
    assert found.ids == {tmp_path / "P001.jpg": "P001"}
    assert found.warnings() == [f"1 file is skipped as the mask of other images, the first: {tmp_path / name}"]


def test_unsupported_file_types_are_counted(tmp_path: Path, out: PredictionFolder) -> None:
    touch(tmp_path, "in/a.jpg", "in/b.HEIC", "in/p/c.dcm", "in/readme.txt")
    expected = [
        f"2 files have unsupported formats (.dcm, .heic), the first: {tmp_path / 'in/b.HEIC'}; save them as JPEG or PNG"
    ]
    assert find_inputs([tmp_path / "in"], out).warnings() == expected
    assert find_inputs([str(tmp_path / "in/**/*")], out).warnings() == expected
    with pytest.raises(HamError, match=r"no image found; expected .*; 1 file has an unsupported format"):
        find_inputs([tmp_path / "in/p"], out)
    assert names(find_inputs([tmp_path / "in/b.HEIC"], out)) == ["b"]  # given by name, so it is read


def test_outputs_in_subfolders_are_recognised_by_their_counterpart(tmp_path: Path) -> None:
    touch(tmp_path, "p/a.jpg", "p/a_segmentation.png", "overlays/p/a.jpg", "p/b_segmentation.png", "overlays/q/c.jpg")
    out = PredictionFolder(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in find([tmp_path], out)] == [
        "overlays/q/c.jpg",
        "p/a.jpg",
        "p/b_segmentation.png",
    ]


def test_links_are_followed_once_and_hidden_folders_skipped(tmp_path: Path, out: PredictionFolder) -> None:
    touch(tmp_path / ".cache", "in/a.jpg", "in/.thumbs/a.jpg", "store/b.jpg")
    (tmp_path / ".cache/in/more").symlink_to(tmp_path / ".cache/store")
    (tmp_path / ".cache/store/back").symlink_to(tmp_path / ".cache/in")
    assert [path.name for path in find([tmp_path / ".cache/in"], out)] == ["a.jpg", "b.jpg"]
