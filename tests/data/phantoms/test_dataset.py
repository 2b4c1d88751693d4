from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ham_keras.data import phantom
from ham_keras.data.masks import read_mask
from ham_keras.data.phantoms import dataset
from ham_keras.data.phantoms.dataset import draw_phantoms
from ham_keras.data.phantoms.hairs import add_hairs
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.data.records import find_records
from ham_keras.errors import HamError

SMALL = {"width_px": 120, "height_px": 90}
SIZE = (120, 90)
OPTIONS = ["--count=20", "--seed=7", "--inverted-fraction=0.2", "--palette-fraction=0.25", "--width=120", "--height=90"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantoms") / "set"
    assert draw_phantoms(root, 20, 7, inverted_fraction=0.2, palette_fraction=0.25, **SMALL)
    return root


@pytest.fixture(scope="module")
def many() -> list[tuple[np.ndarray, np.ndarray, dict[str, object]]]:
    """Image, mask and facts of 160 lesions, one image each."""
    drawings = [draw_phantom(3, number, number, (64, 48)) for number in range(160)]
    return [(image, mask, facts) for image, mask, _, facts in drawings]


def _hashes(root: Path) -> dict[str, str]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _facts(root: Path) -> dict[str, dict[str, object]]:
    record = json.loads((root / "phantoms.json").read_text())
    return {fact["image_id"]: fact for fact in record["images"]}


def _truth(root: Path, image_id: str) -> np.ndarray:
    lesion = int(str(_facts(root)[image_id]["lesion_id"])[-7:]) - 1
    return draw_phantom(7, int(image_id[-7:]) - 1, lesion, SIZE)[1]


def test_another_process_draws_identical_bytes(drawn: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ham_keras.data.phantom", str(tmp_path / "again"), *OPTIONS]
    subprocess.run(command, check=True, capture_output=True)
    assert len(_hashes(drawn)) == 3 * 20 + 3
    assert _hashes(tmp_path / "again") == _hashes(drawn)


def test_images_do_not_depend_on_the_count(drawn: Path, tmp_path: Path) -> None:
    draw_phantoms(tmp_path / "few", 6, 7, inverted_fraction=0.2, palette_fraction=0.25, **SMALL)
    few, all_of_them = _hashes(tmp_path / "few"), _hashes(drawn)
    shared = [name for name in few if "/" in name]
    assert len(shared) == 18
    assert all(few[name] == all_of_them[name] for name in shared)


def test_another_seed_draws_other_images(drawn: Path) -> None:
    assert not np.array_equal(draw_phantom(7, 0, 0, SIZE)[0], draw_phantom(8, 0, 0, SIZE)[0])


def test_layout_is_that_of_kaggle(drawn: Path) -> None:
    pairing = find_records(drawn)
    assert len(pairing.records) == 20
    assert not pairing.warnings()
    facts = _facts(drawn)
    for record in pairing.records:
        fact = facts[record.image_id]
        assert (record.lesion_id, record.diagnosis) == (fact["lesion_id"], fact["dx"])
        with Image.open(record.image_path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", SIZE)
    with (drawn / "GroundTruth.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
    for row in rows:
        image_id = row.pop("image")
        assert {name for name, value in row.items() if float(value)} == {str(facts[image_id]["dx"]).upper()}
        assert sum(map(float, row.values())) == 1
    with (drawn / "HAM10000_metadata.csv").open() as file:
        metadata = list(csv.DictReader(file))
    assert list(metadata[0]) == ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
    assert all(float(row["age"]) % 5 == 0 for row in metadata)


def test_shares_of_inverted_and_palette_masks_are_exact(drawn: Path) -> None:
    record = json.loads((drawn / "phantoms.json").read_text())
    assert record["masks"] == {"plain": 11, "inverted": 4, "palette": 5}
    assert Counter(fact["mask"] for fact in record["images"]) == record["masks"]


@pytest.mark.parametrize(("inverted", "palette"), [(0.0, 0.0), (0.02, 0.04), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0)])
def test_first_n_masks_have_the_given_shares(inverted: float, palette: float) -> None:
    plan = dataset._plan(101, 0, {"inverted": inverted, "palette": palette})
    for images in range(1, 102):
        saved = Counter(storage for _, _, storage in plan[:images])
        assert saved["inverted"] == int(images * inverted + 0.5)
        assert abs(saved["palette"] - images * palette) <= 1.5


def test_masks_are_read_exactly_in_every_encoding(drawn: Path) -> None:
    for image_id, facts in _facts(drawn).items():
        truth = _truth(drawn, image_id)
        path = drawn / "masks" / f"{image_id}_segmentation.png"
        with Image.open(path) as image:
            raw, grey, mode = np.asarray(image), np.asarray(image.convert("L")), image.mode
        assert set(np.unique(raw)) == {0, 255}
        assert mode == ("P" if facts["mask"] == "palette" else "L")
        assert np.array_equal(raw == 255, truth if facts["mask"] == "plain" else ~truth)
        assert np.array_equal(grey == 255, ~truth if facts["mask"] == "inverted" else truth)
        mask = read_mask(path, inverted=facts["mask"] == "inverted")
        assert mask.palette == (facts["mask"] == "palette")
        assert np.array_equal(mask.lesion, truth)
        assert facts["lesion_fraction"] == pytest.approx(truth.mean())


def test_some_lesions_reach_the_border_and_most_do_not(many: list) -> None:
    touching = [mask[[0, -1]].any() or mask[:, [0, -1]].any() for _, mask, _ in many]
    assert 0.05 < np.mean(touching) < 0.5


def test_lesions_range_from_tiny_to_full_frame_on_every_skin_type(many: list) -> None:
    fractions = [mask.mean() for _, mask, _ in many]
    assert min(fractions) < 0.01
    assert max(fractions) > 0.8
    assert 0.15 < np.median(fractions) < 0.32  # HAM10000: 0.23
    assert {facts["skin_type"] for _, _, facts in many} == {"I", "II", "III", "IV", "V", "VI"}
    assert {facts["dx"] for _, _, facts in many} == {"nv", "mel", "bkl", "bcc", "akiec", "df", "vasc"}


def test_lesion_is_one_region_darker_than_the_surrounding_skin(many: list) -> None:
    darker = []
    for image, mask, _ in many:
        lesion = mask.astype(np.uint8)
        sizes = cv2.connectedComponentsWithStats(lesion)[2][1:, cv2.CC_STAT_AREA]
        assert sizes.max() > 0.97 * sizes.sum()
        ring = cv2.dilate(lesion, np.ones((9, 9), np.uint8)) - lesion > 0
        green = image[..., 1].astype(float)
        darker.append(green[mask].mean() < green[ring].mean())
    assert np.mean(darker) > 0.93


def test_images_of_one_lesion_are_different_views_of_it(drawn: Path) -> None:
    by_lesion: dict[str, list[dict[str, object]]] = {}
    for facts in _facts(drawn).values():
        by_lesion.setdefault(str(facts["lesion_id"]), []).append(facts)
    assert max(map(len, by_lesion.values())) >= 2
    for views in by_lesion.values():
        assert len({(view["dx"], view["age"], view["sex"], view["skin_type"]) for view in views}) == 1
        assert len({view["lesion_fraction"] for view in views}) == len(views)


def test_hairs_match_their_mask() -> None:
    flat = np.full((450, 600, 3), 150, np.float32)
    with_hairs = 0
    for seed in range(12):
        image = flat.copy()
        hairs = add_hairs(np.random.default_rng(seed), image)
        changed = np.abs(image - flat).max(2)
        # Beyond the soft edge of a hair are only its shadow and hairs that cover less than a quarter of their pixels.
        near = cv2.dilate(hairs.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert changed[~near].max() < 0.25 * 150 + 1
        with_hairs += hairs.any()
        if hairs.any():
            # Hairs are darker than 110 or lighter than 180, at an opacity of 0.4 or more; crossings may cancel.
            assert np.mean(changed[hairs] > 0.25 * 0.4 * 30) > 0.98
    assert 4 <= with_hairs <= 12


def test_hair_files_hold_the_drawn_hairs(drawn: Path) -> None:
    for image_id, facts in _facts(drawn).items():
        with Image.open(drawn / "hairs" / f"{image_id}_hair.png") as image:
            hairs = np.asarray(image)
        assert hairs.shape == (90, 120)
        assert set(np.unique(hairs)) <= {0, 255}
        assert np.mean(hairs == 255) == pytest.approx(facts["hair_fraction"])


def test_existing_dataset_is_not_drawn_again(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in drawn.rglob("*")}
    phantom.main([str(drawn), *OPTIONS])
    assert "already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("*")} == before


def test_other_or_incomplete_dataset_is_not_overwritten(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(HamError, match="exists and is not this dataset"):
        draw_phantoms(drawn, 20, 8, inverted_fraction=0.2, palette_fraction=0.25, **SMALL)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(HamError, match="exists and is not this dataset"):
        draw_phantoms(tmp_path, 1, 0, **SMALL)
    assert draw_phantoms(tmp_path / "one", 1, 0, **SMALL)
    (tmp_path / "one" / "images" / "PHANTOM_0000001.jpg").unlink()
    with pytest.raises(HamError, match="exists and is not this dataset"):
        draw_phantoms(tmp_path / "one", 1, 0, **SMALL)


def test_failed_drawing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seed: int, index: int, lesion: int, size: tuple[int, int]) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(dataset, "draw_phantom", fail)
    with pytest.raises(HamError, match="disk full"):
        draw_phantoms(tmp_path / "set", 2, 0, **SMALL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count is 0"),
        ({"seed": -1}, "seed -1"),
        ({"width_px": 8}, "width 8"),
        ({"height_px": 8}, "height 8"),
        ({"inverted_fraction": -0.1}, "shares"),
        ({"inverted_fraction": 0.6, "palette_fraction": 0.6}, "shares"),
        ({"palette_fraction": float("nan")}, "shares"),
    ],
)
def test_arguments_out_of_range_are_errors(tmp_path: Path, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(HamError, match=message):
        draw_phantoms(tmp_path / "set", **({"count": 1, "seed": 0} | SMALL | arguments))
    assert not list(tmp_path.iterdir())


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    assert draw_phantoms(tmp_path, 1, 0, **SMALL)
    assert (tmp_path / "images" / "PHANTOM_0000001.jpg").is_file()


def test_tensorflow_is_not_imported() -> None:
    code = "import sys, ham_keras.data.phantom; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
