"""The audit finds each kind of problem once in a folder with one of each, and none in the real data."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ham_keras.data.audit import audit, main
from ham_keras.data.inspection.tables import save_audit
from ham_keras.data.problems import KINDS
from ham_keras.errors import HamError

WIDTH_PX, HEIGHT_PX = 96, 72


def photograph(seed: int, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> Image.Image:
    """Soft random spots; the perceptual hashes of two seeds differ."""
    spots = np.random.default_rng(seed).integers(40, 220, (6, 8, 3), np.uint8)
    return Image.fromarray(cv2.resize(spots, (width_px, height_px), interpolation=cv2.INTER_CUBIC))


def disc(width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX, radius: float = 0.3) -> npt.NDArray[np.uint8]:
    """A mask in {0, 255} with a disc in the centre."""
    rows, columns = np.mgrid[:height_px, :width_px]
    away = np.hypot(columns - (width_px - 1) / 2, rows - (height_px - 1) / 2)
    return np.where(away < radius * height_px, 255, 0).astype(np.uint8)


class Folder:
    """A data folder in the Kaggle layout, to which pairs are added."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows = ["lesion_id,image_id,dx"]
        for name in ("images", "masks"):
            (root / name).mkdir(parents=True)

    def image(self, name: str) -> Path:
        return self.root / "images" / f"{name}.jpg"

    def mask(self, name: str) -> Path:
        return self.root / "masks" / f"{name}_segmentation.png"

    def add(self, name: str, mask: npt.NDArray[Any] | None = None, seed: int | None = None, **options: Any) -> None:
        """Add an image and a mask, by default valid and different from all others."""
        seed = len(self.rows) if seed is None else seed
        lesion = options.pop("lesion", f"L_{name}")
        photograph(seed).save(self.image(name), **{"quality": 90, **options})
        Image.fromarray(disc() if mask is None else mask).save(self.mask(name))
        self.rows.append(f"{lesion},{name},nv")
        (self.root / "metadata.csv").write_text("\n".join(self.rows) + "\n")

    def dark_disc(self, name: str, radius: float = 0.3) -> None:
        """Darken the centre of an image like a lesion."""
        pixels = np.asarray(Image.open(self.image(name)))
        lit = np.where(disc(radius=radius)[..., None], pixels // 4, 128 + pixels // 2)
        Image.fromarray(lit.astype(np.uint8)).save(self.image(name), quality=90)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "data")


def found(folder: Folder) -> list[tuple[str, tuple[str, ...]]]:
    return [(problem.kind, problem.image_ids) for problem in audit(folder.root).problems]


def test_each_kind_of_problem_is_found_once(folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soft = cv2.GaussianBlur(disc(), (5, 5), 0)
    folder.add("good")
    folder.add("cut")
    data = folder.image("cut").read_bytes()
    folder.image("cut").write_bytes(data[: len(data) - 40])
    folder.add("text")
    folder.image("text").write_text("no image")
    folder.add("badmask")
    folder.mask("badmask").write_bytes(folder.mask("badmask").read_bytes()[:60])
    folder.add("alone")
    folder.mask("alone").rename(folder.mask("widow"))
    folder.add("twin1", seed=100)
    folder.add("twin2", seed=100)
    folder.add("near1", seed=101)
    folder.add("near2", seed=101, quality=60)
    folder.add("shape", mask=disc(72, 72))
    folder.add("size", mask=disc(48, 36))
    folder.add("ISIC_0024316", mask=255 - disc())
    folder.dark_disc("ISIC_0024316")
    folder.add("strange", mask=255 - disc())
    folder.dark_disc("strange", radius=0.25)
    folder.add("framed", mask=cv2.rectangle(disc(), (0, 0), (WIDTH_PX - 1, HEIGHT_PX - 1), 255))
    folder.add("void", mask=np.where(disc(radius=0.2) > 0, 1, disc()).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3
    folder.add("upside", exif=exif)
    folder.add("empty", mask=0 * disc())
    folder.add("all", mask=0 * disc() + 255)
    folder.add("tiny", mask=disc(radius=0.02))
    folder.add("soft", mask=soft)
    folder.add("same1", seed=102, lesion="L_same")
    folder.add("same2", seed=102, lesion="L_same")
    folder.add("like1", seed=103, lesion="L_like")
    folder.add("like2", seed=103, lesion="L_like", quality=50)
    folder.add("reversed")
    palette = Image.fromarray(255 - disc())
    palette.putpalette([level for index in range(256) for level in [255 - index] * 3])
    palette.save(folder.mask("reversed"))

    output = tmp_path / "new" / "audit"
    assert main([str(folder.root), "--output", str(output)]) == 1

    written = json.loads((output / "audit.json").read_text())
    problems = [(problem["kind"], problem["image_ids"]) for problem in written["problems"]]
    assert problems == [
        ("unreadable_image", ["text"]),
        ("truncated_image", ["cut"]),
        ("unreadable_mask", ["badmask"]),
        ("several_classes", ["void"]),
        ("image_without_mask", ["alone"]),
        ("mask_without_image", ["widow_segmentation"]),
        ("identical_other_lesion", ["twin1", "twin2"]),
        ("near_identical_other_lesion", ["near1", "near2"]),
        ("aspect_mismatch", ["shape"]),
        ("size_mismatch", ["size"]),
        ("unclear_turn", ["upside"]),
        ("maybe_inverted", ["strange"]),
        ("repaired", ["ISIC_0024316"]),
        ("framed", ["framed"]),
        ("empty", ["empty"]),
        ("all_lesion", ["all"]),
        ("tiny", ["tiny"]),
        ("not_binary", ["soft"]),
        ("identical", ["same1", "same2"]),
        ("near_identical", ["like1", "like2"]),
        ("several_images", ["like1", "like2"]),
        ("several_images", ["same1", "same2"]),
    ]
    # 25 were added, one of them lost its mask; two lesions have two images each.
    assert (written["pairs"], written["lesions"], written["lesions_with_several_images"]) == (24, 22, 2)
    assert (written["palette"], written["repaired"], written["repaired_ids"]) == (1, 1, ["ISIC_0024316"])
    assert (written["images_without_mask"], written["masks_without_image"]) == (1, 1)
    details = {problem["image_id"]: problem["detail"] for problem in written["problems"]}
    assert details["text"] == "unknown format"
    assert details["shape"] == "image 96x72, mask 72x72"
    assert details["size"] == "image 96x72, mask 48x36"
    # Four pixels are within 0.02 * 72 = 1.44 pixels of the middle; 4 / 6912 = 0.0579 %.
    assert details["tiny"] == "0.06% of the mask, 4 pixels"
    assert details["soft"] == f"{len(np.unique(soft))} grey levels"
    assert details["twin1"] == "twin1 and twin2 of L_twin1 and L_twin2"
    assert written["problems"][1]["path"] == str(folder.image("cut"))
    assert written["problems"][2]["path"] == str(folder.mask("badmask"))

    with (output / "audit.csv").open(newline="") as file:
        rows = {row["image_id"]: row for row in csv.DictReader(file)}
    assert len(rows) == 24
    assert (rows["like2"]["lesion_id"], rows["like2"]["diagnosis"]) == ("L_like", "nv")
    assert rows["like2"]["problems"] == "near_identical;several_images"
    assert (rows["size"]["image_size"], rows["size"]["mask_size"]) == ("96x72", "48x36")
    assert (rows["reversed"]["palette"], rows["reversed"]["repaired"]) == ("1", "0")
    assert (rows["ISIC_0024316"]["palette"], rows["ISIC_0024316"]["repaired"]) == ("0", "1")
    assert rows["ISIC_0024316"]["lesion_fraction"] == rows["good"]["lesion_fraction"]
    assert float(rows["all"]["lesion_fraction"]) == 1
    assert rows["badmask"]["lesion_fraction"] == rows["badmask"]["levels"] == ""
    assert rows["good"]["problems"] == ""
    assert rows["twin1"]["sha256"] == rows["twin2"]["sha256"] != rows["near1"]["sha256"]

    assert sorted(path.name for path in output.iterdir()) == ["audit.csv", "audit.json", "contact_sheet.png"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{folder.root}: 24 pairs, 22 lesions, 1 palette, 1 repaired"
    what = max(map(len, KINDS.values()))
    assert f"      2  {'lesions with several images':<{what}}  like1 and like2 of L_like" in printed
    cut = next(line for line in printed if "truncated images" in line)
    assert cut.endswith("  images/cut.jpg: truncated: the JPEG has no end")
    for kind, (folder_name, image_id) in {
        "several_classes": ("masks", "void_segmentation.png"),
        "framed": ("masks", "framed_segmentation.png"),
    }.items():
        assert f"      1  {KINDS[kind]:<{what}}  {folder_name}/{image_id}: " in "\n".join(printed)


def test_frames_that_are_not_removed_are_found(folder: Folder) -> None:
    folder.add("good")
    wide = np.full_like(disc(), 255)
    wide[5:-5, 5:-5] = disc()[5:-5, 5:-5]
    folder.add("wide", mask=wide)
    folder.dark_disc("wide")
    (problem,) = audit(folder.root).problems
    assert (problem.kind, problem.image_ids) == ("maybe_framed", ("wide",))
    assert problem.detail == "a line of lesion along the top edge, up to 5 px inside"


@pytest.mark.parametrize(("form", "side"), [("bmp", "top"), ("tif", "bottom"), ("png", None)])
def test_images_that_lost_their_last_bytes_are_found(folder: Folder, form: str, side: str | None) -> None:
    folder.add("lost")
    path = folder.image("lost").with_suffix(f".{form}")
    pixels = np.asarray(photograph(1)).copy()
    pixels[:9] = pixels[-9:] = 0  # a band at both sides is padding
    Image.fromarray(pixels if form == "png" else np.asarray(photograph(1))).save(path)
    folder.image("lost").unlink()
    if form != "png":
        data = path.read_bytes()
        with Image.open(path) as image:
            start = 54 if form == "bmp" else image.tag_v2[273][0]  # the offset of the pixels
        at = start + (HEIGHT_PX - 9) * 3 * WIDTH_PX
        path.write_bytes(data[:at] + bytes(9 * 3 * WIDTH_PX) + data[at + 9 * 3 * WIDTH_PX :])
    details = [problem.detail for problem in audit(folder.root).problems if problem.kind == "plain_rows"]
    assert details == ([] if side is None else [f"9 of 72 rows at the {side} have one colour"])


def test_problems_found_by_pairing_are_listed_with_an_example(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ISIC_0027820", "ISIC_0028209", "other"):
        folder.add(name, lesion="nan" if name == "other" else f"L_{name}")
    (folder.root / "images" / "more").mkdir()
    shutil.copy(folder.image("other"), folder.root / "images" / "more" / "other.jpg")
    (folder.root / "images" / "phone.heic").touch()
    (folder.root / "notes.csv").write_text("who,when\nAnn,today\n")
    assert main([str(folder.root), "--output", str(tmp_path / "out")]) == 0
    problems = json.loads((tmp_path / "out" / "audit.json").read_text())["problems"]
    assert [(problem["kind"], problem["image_ids"]) for problem in problems] == [
        ("unread_kind", ["phone.heic"]),
        ("unused_table", ["notes.csv"]),
        ("placeholder_lesion_id", ["other"]),
        ("known_duplicate", ["ISIC_0027820", "ISIC_0028209"]),
        ("copy", ["other.jpg"]),
        ("several_images", ["ISIC_0027820", "ISIC_0028209"]),
    ]
    printed = capsys.readouterr()
    assert "notes.csv: no column has the ids of the images: who, when" in printed.out
    assert printed.err.count("warning: ") == 6  # five of these kinds, and the image without a lesion


def test_valid_folder_has_no_problems_and_status_0(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.add("a")
    folder.add("b")
    assert main([str(folder.root), "--output", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out/audit.json").read_text())["problems"] == []
    assert "no problems found" in capsys.readouterr().out
    with Image.open(tmp_path / "out/contact_sheet.png") as sheet:
        assert sheet.size == (1498, 84 + 28)  # header and margin


def test_exif_rotation_is_applied_before_comparing_shapes(folder: Folder) -> None:
    folder.add("turned")
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph(1, HEIGHT_PX, WIDTH_PX).save(folder.image("turned"), exif=exif)
    assert found(folder) == []
    photograph(1, HEIGHT_PX, WIDTH_PX).save(folder.image("turned"))
    assert found(folder) == [("aspect_mismatch", ("turned",))]
    photograph(1).save(folder.image("turned"), exif=exif)
    assert found(folder) == [("turned", ("turned",))]


def test_aspect_ratios_may_differ_by_one_percent(folder: Folder) -> None:
    # 970 / 720 is 1.04 % wider than 4:3, 967 / 720 is 0.73 %.
    folder.add("near", mask=disc(967, 720))
    folder.add("off", mask=disc(970, 720))
    assert found(folder) == [("aspect_mismatch", ("off",)), ("size_mismatch", ("near",))]


def test_near_identical_images_of_different_brightness_are_one_group(folder: Folder) -> None:
    for name, gain in (("a", 1.0), ("b", 0.8), ("c", 0.6)):
        folder.add(name, lesion="L")
        photograph(5).point(lambda level, gain=gain: level * gain).save(folder.image(name), quality=90)
    folder.add("other")
    assert found(folder) == [("near_identical", ("a", "b", "c")), ("several_images", ("a", "b", "c"))]


def test_uniform_images_are_not_near_identical(folder: Folder) -> None:
    for name, level in (("black", 0), ("grey", 90)):
        folder.add(name)
        Image.new("RGB", (WIDTH_PX, HEIGHT_PX), (level, level, level)).save(folder.image(name))
    assert found(folder) == [("plain_rows", ("black",)), ("plain_rows", ("grey",))]


def test_contact_sheet_outlines_repaired_lesions_and_shows_at_most_twelve(folder: Folder, tmp_path: Path) -> None:
    def sheet() -> npt.NDArray[np.uint8]:
        save_audit(audit(folder.root), tmp_path / "out")
        with Image.open(tmp_path / "out/contact_sheet.png") as image:
            return np.asarray(image)

    folder.add("ISIC_0024400", mask=255 - disc())
    folder.dark_disc("ISIC_0024400")
    first = sheet()
    # Header 84, heading 58, one row of 162 + 56 + 16 and a gap of 10, margin 28.
    assert first.shape == (84 + 58 + 234 + 10 + 28, 1498, 3)
    # The thumbnail begins at (28 + 8, 84 + 58 + 8): the disc's outline crosses its middle row at
    # 108 -+ 0.3 * 162 = 59 and 157.
    row = first[150 + 81, 36 : 36 + 216].astype(int)
    bright = np.flatnonzero((row[:, 1] > 230) & (row[:, 0] < 130) & (row[:, 2] > 180))
    assert np.abs(bright[:, None] - [59, 157]).min(axis=1).max() <= 2
    assert np.abs(bright[:, None] - [59, 157]).min(axis=0).max() <= 2

    for number in range(1, 12):
        folder.add(f"ISIC_00244{number:02}", mask=255 - disc())
        folder.dark_disc(f"ISIC_00244{number:02}", radius=0.2 + number / 100)
    twelve = sheet()
    assert twelve.shape[0] == first.shape[0] + 244
    more = (slice(84 + 20, 84 + 50), slice(1370, 1470))  # the corner with "+1 more"
    np.testing.assert_array_equal(twelve[more], np.broadcast_to((242, 241, 238), (30, 100, 3)))
    folder.add("ISIC_0024412", mask=255 - disc())
    folder.dark_disc("ISIC_0024412", radius=0.15)
    thirteen = sheet()
    assert thirteen.shape == twelve.shape
    assert thirteen[more].min() < 150


def test_options_lesion_values_and_repair_masks(folder: Folder, tmp_path: Path) -> None:
    folder.add("void", mask=np.where(disc(radius=0.2) > 0, 1, disc()).astype(np.uint8))
    folder.add("inverted", mask=255 - disc())
    output = ["--output", str(tmp_path / "out")]
    assert main([str(folder.root), *output]) == 1
    assert main([str(folder.root), *output, "--lesion-values", "1", "0"]) == 0
    written = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert (written["repaired"], written["counts"]["not_binary"]) == (0, 1)
    assert main([str(folder.root), *output, "--repair-masks", "always"]) == 1
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["repaired_ids"] == ["inverted"]


def test_names_that_are_not_utf8_are_reported(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.add("good")
    for name in ("pair", "alone"):
        photograph(7).save(folder.root / "images" / f"{name}\udce9.jpg")
    Image.fromarray(disc()).save(folder.root / "masks" / "pair\udce9.png")
    assert main([str(folder.root), "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    (printed.out + printed.err).encode()
    assert "3 files are skipped because their names are not UTF-8" in printed.err
    problems = json.loads((tmp_path / "out" / "audit.json").read_text())["problems"]
    found = [(problem["kind"], problem["image_id"]) for problem in problems]
    assert sorted(found) == [
        ("name_not_utf8", rf"{name}") for name in (r"alone\xe9.jpg", r"pair\xe9.jpg", r"pair\xe9.png")
    ]


def test_user_faults(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(HamError, match="none of 0 images and 0 masks share an id"):
        audit(folder.root)
    folder.add("a")
    with pytest.raises(HamError, match="would be read as metadata there; choose another --output"):
        main([str(folder.root), "--output", str(folder.root)])
    (tmp_path / "file").touch()
    with pytest.raises(HamError, match="the audit cannot be written"):
        main([str(folder.root), "--output", str(tmp_path / "file")])


def test_help_does_not_import_tensorflow() -> None:
    code = "import sys, ham_keras.data.audit; sys.exit(any('tensorflow' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real_data
def test_real_data_has_207_palette_masks_and_none_to_repair(real_root: Path, tmp_path: Path) -> None:
    assert main([str(real_root), "--output", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "audit.json").read_text())
    assert (written["pairs"], written["palette"], written["repaired"]) == (5078, 207, 0)
    assert (written["lesions"], written["lesions_with_several_images"]) == (3767, 999)
    expected = {"all_lesion", "tiny", "known_duplicate", "identical", "near_identical", "several_images"}
    assert set(written["counts"]) <= expected
