"""The sheet of photographs before and after hair removal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ham_keras.data.hair import main
from ham_keras.errors import HamError


def test_sheet_shows_photographs_and_not_masks(
    phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    assert main([str(phantoms), "--limit", "2", "-o", str(sheet)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        str(phantoms / "images" / "PHANTOM_0000001.jpg"), str(phantoms / "images" / "PHANTOM_0000002.jpg"), str(sheet),
    ]  # fmt: skip
    pixels = np.asarray(Image.open(sheet))
    assert pixels.shape == (2 * 330, 1212, 3)
    assert ((pixels == (230, 75, 53)).all(axis=-1)[:, 406:806]).any()
    assert not ((pixels == (230, 75, 53)).all(axis=-1)[:, :400]).any()


def test_folder_without_photographs_and_bad_limit_are_errors(phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(HamError, match="masks: no photograph found; expected photographs, or folders of them"):
        main([str(phantoms / "masks")])
    with pytest.raises(HamError, match="--limit: expected at least 1, got 0"):
        main([str(tmp_path), "--limit", "0"])


@pytest.mark.parametrize("folder", [False, True])
def test_sheet_replaces_no_photograph(folder: bool, tmp_path: Path) -> None:
    photograph = tmp_path / "a.jpg"
    Image.radial_gradient("L").convert("RGB").resize((60, 45)).save(photograph)
    before = photograph.read_bytes()
    Image.open(photograph).save(tmp_path / "0.jpg")  # the only one that is shown
    with pytest.raises(HamError, match=r"a\.jpg: is an input, which would be replaced; name another file"):
        main([str(tmp_path if folder else photograph), "--limit", "1", "-o", str(photograph)])
    assert photograph.read_bytes() == before
    with pytest.raises(HamError, match=r"sheet\.tif: expected a name that ends in \.png, \.jpg or \.jpeg"):
        main([str(photograph), "-o", str(tmp_path / "sheet.tif")])
    assert main([str(photograph), "-o", str(tmp_path / "sheet.jpg")]) == 0
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.format == "JPEG"
