"""Which files a prediction is made for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ham_keras.errors import HamError
from ham_keras.prediction.folder import Predictions
from ham_keras.prediction.inputs import find_images

OWN = ("out/gone_segmentation.png", "out/overlays/a.jpg")


def test_folders_globs_and_files_are_found_once_and_masks_left_out(phantoms: Path, tmp_path: Path) -> None:
    images = sorted((phantoms / "images").iterdir())
    out = Predictions(tmp_path / "out")
    assert find_images([phantoms / "images"], out) == images
    assert find_images([images[3], str(phantoms / "im*" / "*1.jpg"), phantoms / "images"], out)[:2] == [
        images[3],
        images[0],
    ]
    for name in ("a.jpg", "a_segmentation.png", "b_lesion.png", ".hidden.jpg", "sub/c.TIF", "notes.txt", *OWN):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in find_images([tmp_path], out)] == ["a.jpg", "b_lesion.png", "c.TIF"]
    assert [path.name for path in find_images([tmp_path / "*"], out)] == ["a.jpg", "b_lesion.png"]
    assert [path.name for path in find_images([tmp_path / "a_segmentation.png", tmp_path / "a.jpg"], out)] == ["a.jpg"]
    Predictions(tmp_path / "out").settings.touch()
    assert find_images([tmp_path / "out"], Predictions(tmp_path / "elsewhere")) == [tmp_path / OWN[0]]
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    assert find_images([tmp_path / "dangling.jpg"], out) == [tmp_path / "dangling.jpg"]  # told when it is read
    (tmp_path / "dangling.jpg").unlink()
    assert find_images([tmp_path / "notes.txt"], out) == [tmp_path / "notes.txt"]  # named, so read it
    (tmp_path / "sub" / "A.png").touch()
    with pytest.raises(HamError, match=r"a\.jpg and .*A\.png: their masks would have one name"):
        find_images([tmp_path], out)
    for nothing in (tmp_path / "gone.jpg", tmp_path / "*.bmp", tmp_path / "out"):
        with pytest.raises(HamError, match=f"{nothing.name.replace('*', '.')}: no image there; expected"):
            find_images([nothing], out)
