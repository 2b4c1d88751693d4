"""The command: what it writes, resumes, skips and refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ham_keras.data.masks import read_mask
from ham_keras.data.overlay import draw_outline
from ham_keras.data.records import find_records
from ham_keras.data.splits import load_split
from ham_keras.errors import HamError
from ham_keras.evaluate import evaluate
from ham_keras.files import load_csv, load_json, save_json
from ham_keras.predict import main, predict
from ham_keras.prediction.folder import PredictionFolder
from ham_keras.prediction.inputs import find_inputs
from ham_keras.prediction.measurements import measure_mask
from ham_keras.prediction.predictor import load_predictor
from ham_keras.runs import Run
from ham_keras.settings import Outline


@pytest.fixture(scope="module")
def photos(phantoms: Path, trained: Run) -> list[Path]:
    """The run's six test images."""
    paths = {record.image_id: record.image_path for record in find_records(phantoms).records}
    return [paths[image_id] for image_id in load_split(trained.split)["test"]]


@pytest.fixture(scope="module")
def predicted(trained: Run, photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> PredictionFolder:
    predictions = PredictionFolder(tmp_path_factory.mktemp("predicted") / "out")
    predict(trained.folder, photos, predictions.folder, visible=False)
    return predictions


def lesion(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "L"
        levels = np.asarray(image)
    assert set(np.unique(levels)) <= {0, 255}
    return levels // 255


def files(folder: Path) -> dict[str, bytes]:
    """The contents of all visible files of a folder, by name; with absolute paths in the table."""
    paths = [path for path in folder.rglob("[!.]*") if path.is_file() and ".next" not in path.parts]
    contents = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    if "predictions.csv" in contents:
        rows = load_csv(folder / "predictions.csv")
        rows = [{**row, "image": str((folder / row["image"]).resolve())} for row in rows]
        contents["predictions.csv"] = json.dumps(rows).encode()
    return contents


def test_masks_match_evaluate(trained: Run, predicted: PredictionFolder, photos: list[Path]) -> None:
    evaluate(trained.folder, "test", save_masks=True, visible=False)
    for path in photos:
        scored = trained.scores("test") / "masks" / f"{path.stem}_segmentation.png"
        np.testing.assert_array_equal(lesion(predicted.mask(path.stem)), lesion(scored))
    assert any(0.01 < lesion(predicted.mask(path.stem)).mean() < 0.99 for path in photos)


def test_official_scorer_accepts_the_folder(trained: Run, photos: list[Path], phantoms: Path, tmp_path: Path) -> None:
    segmentation = pytest.importorskip("isic_challenge_scoring.segmentation")
    for folder in ("photos", "truth"):
        (tmp_path / folder).mkdir()
    for path in photos:  # the scorer requires ISIC ids and masks that are not inverted
        name = path.stem.replace("PHANTOM", "ISIC")
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(path.read_bytes())
        truth = read_mask(phantoms / "masks" / f"{path.stem}_segmentation.png").lesion
        Image.fromarray(255 * truth).save(tmp_path / "truth" / f"{name}_segmentation.png")
    assert main([str(trained.folder), str(tmp_path / "photos"), "-o", str(tmp_path / "out")]) == 0
    scores = segmentation.SegmentationScore.from_dir(tmp_path / "truth", tmp_path / "out").macro_average
    ours = load_json(trained.summary("test"))["native"]
    assert scores.at["jaccard"] == pytest.approx(ours["jaccard"]["mean"], abs=1e-6)


def test_rows_and_overlays_match_the_masks(trained: Run, predicted: PredictionFolder, photos: list[Path]) -> None:
    predictor = load_predictor(trained.folder)
    table = load_csv(predicted.table)
    assert [row["image_id"] for row in table] == sorted(path.stem for path in photos)
    for row in table:
        path = next(path for path in photos if path.stem == row["image_id"])
        ((_, found),) = predictor.predict_files([path], lambda _, prediction: prediction)
        expected = {"image_id": path.stem, "image": os.path.relpath(path, predicted.folder)}
        expected |= measure_mask(found.mask, found.probability)
        assert row == {name: str(value) for name, value in expected.items()}
        with Image.open(predicted.overlay(path.stem)) as overlay:
            drawn = np.asarray(overlay).astype(int)
        outlined = draw_outline(found.image, found.mask, 1)
        assert np.abs(drawn - outlined).mean() < 8  # JPEG loss of such a small image
        assert np.abs(drawn - found.image).mean() > np.abs(drawn - outlined).mean()


def as_rotated_jpeg(image: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save(path, exif=exif, quality=100, subsampling=0)


def as_16_bits(image: Image.Image, path: Path) -> None:
    cv2.imwrite(str(path), np.asarray(image)[..., ::-1].astype(np.uint16) * 257)


FORMS = {
    "jpeg.jpg": lambda image, path: image.save(path, quality=100, subsampling=0),
    "turned.jpeg": as_rotated_jpeg,
    "bmp.bmp": lambda image, path: image.save(path),
    "tiff.tif": lambda image, path: image.save(path, compression="tiff_lzw"),
    "deep.tiff": as_16_bits,
    "deep16.png": as_16_bits,
    "webp.webp": lambda image, path: image.save(path, lossless=True),
    "rgba.png": lambda image, path: image.convert("RGBA").save(path),
    "no_ending": lambda image, path: image.save(path, "PNG"),
}


def test_all_file_formats_give_the_same_mask(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    with Image.open(photos[0]) as photo:
        image = photo.convert("RGB")
    image.save(tmp_path / "plain.png")
    image.convert("L").save(tmp_path / "grey.png")
    for name, save in FORMS.items():
        save(image, tmp_path / name)
    inputs = [tmp_path / name for name in ("plain.png", "grey.png", *FORMS)]
    assert not predict(trained.folder, inputs, tmp_path / "out", visible=False).failures
    expected = lesion(tmp_path / "out" / "plain_segmentation.png")
    assert 0 < expected.mean() < 1
    for path in inputs[2:]:
        found = lesion(tmp_path / "out" / f"{path.stem}_segmentation.png")
        assert found.shape == (64, 96)
        allowed = 0.01 if path.suffix in {".jpg", ".jpeg"} else 0
        assert np.mean(found != expected) <= allowed, path.name
    assert lesion(tmp_path / "out" / "grey_segmentation.png").shape == (64, 96)


def test_large_image_gets_a_mask_of_its_own_size(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    with Image.open(photos[0]) as photo:
        photo.resize((6000, 4000)).save(tmp_path / "large.jpg")
    assert predict(trained.folder, [tmp_path / "large.jpg"], tmp_path / "out", visible=False).predicted == 1
    (row,) = load_csv(tmp_path / "out" / "predictions.csv")
    assert (row["width_px"], row["height_px"]) == ("6000", "4000")
    assert lesion(tmp_path / "out" / "large_segmentation.png").shape == (4000, 6000)


def test_broken_file_is_reported_and_others_are_predicted(
    trained: Run, photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.jpg").write_bytes(photos[0].read_bytes()[:-300])
    command = [str(trained.folder), str(tmp_path / "cut.jpg"), *map(str, photos), "-o", str(tmp_path / "out")]
    assert main(command) == 1
    printed = capsys.readouterr()
    assert f"error: {tmp_path / 'cut.jpg'}: not a readable image" in printed.err
    assert f"{tmp_path / 'out'}: 6 images predicted, 0 skipped, 1 failed, see" in printed.out
    (failure,) = load_csv(tmp_path / "out" / "failures.csv")
    assert failure["image"] == str(tmp_path / "cut.jpg") and "not a readable image" in failure["error"]
    assert not (tmp_path / "out" / "cut_segmentation.png").exists()
    (tmp_path / "cut.jpg").write_bytes(photos[0].read_bytes())
    assert main(command) == 0
    assert "1 images predicted, 6 skipped, 0 failed" in capsys.readouterr().out
    assert not (tmp_path / "out" / "failures.csv").exists()
    assert len(load_csv(tmp_path / "out" / "predictions.csv")) == 7


def test_existing_predictions_are_skipped_unless_overwritten(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    predictions = PredictionFolder(tmp_path)
    predict(trained.folder, photos, tmp_path, visible=False)
    whole = files(tmp_path)
    first, second = photos[0].stem, photos[1].stem
    predictions.mask(first).unlink()
    predictions.overlay(second).write_bytes(b"mine")
    outcome = predict(trained.folder, photos, tmp_path, visible=False)
    assert (outcome.predicted, outcome.skipped) == (1, 5)
    assert files(tmp_path) == {**whole, f"overlays/{second}.jpg": b"mine"}
    outcome = predict(trained.folder, [photos[1]], tmp_path, overwrite=True, visible=False)
    assert (outcome.predicted, outcome.skipped) == (1, 0)
    assert files(tmp_path) == whole


def test_predictions_with_other_settings_are_not_mixed(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    how = Outline(threshold=0.4, tta=True)
    predict(trained.folder, photos[:3], tmp_path, visible=False)
    whole = files(tmp_path)
    with pytest.raises(HamError, match=r"holds predictions made with threshold 0\.5, tta False; choose another -o, or"):
        predict(trained.folder, photos, tmp_path, how, visible=False)
    with pytest.raises(HamError, match=r"holds 1 predictions of other images made with threshold .* would not replace"):
        predict(trained.folder, photos[:2], tmp_path, how, overwrite=True, visible=False)
    assert files(tmp_path) == whole
    predict(trained.folder, photos[:3], tmp_path, how, overwrite=True, visible=False)
    assert load_json(tmp_path / "predict.json")["threshold"] == 0.4
    predict(trained.folder, photos[:3], tmp_path / "alone", how, visible=False)
    for name, content in files(tmp_path / "alone").items():
        assert files(tmp_path)[name] == content, name


def test_nothing_is_deleted_before_ray_and_the_network_are_there(
    trained: Run, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(trained.folder, photos[:2], tmp_path, visible=False)
    whole = files(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HamError, match="ray is not installed"):
        predict(trained.folder, photos[:2], tmp_path, engine="ray", overwrite=True, visible=False)
    assert files(tmp_path) == whole

    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(PredictionFolder, "save", die)
    with pytest.raises(SystemExit):
        predict(trained.folder, photos[:2], tmp_path, overwrite=True, visible=False)
    assert files(tmp_path) == whole  # rows too
    monkeypatch.undo()
    assert predict(trained.folder, photos[:2], tmp_path, visible=False).predicted == 2
    assert files(tmp_path) == whole


def test_masks_from_elsewhere_are_never_overwritten(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    shutil.copy(photos[0], tmp_path / "a.jpg")
    truth = tmp_path / "a_segmentation.png"
    truth.write_bytes(b"drawn by hand")
    for overwrite in (False, True):
        with pytest.raises(HamError, match=r"a_segmentation\.png: exists and was not written by predict; move it"):
            predict(trained.folder, [tmp_path / "a.jpg"], tmp_path, overwrite=overwrite, visible=False)
    assert truth.read_bytes() == b"drawn by hand" and not (tmp_path / "predict.json").exists()


def test_image_that_can_no_longer_be_read_loses_its_old_mask(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    shutil.copy(photos[0], tmp_path / "a.jpg")
    out = tmp_path / "out"
    predict(trained.folder, [tmp_path / "a.jpg", photos[1]], out, visible=False)
    (tmp_path / "a.jpg").write_bytes(b"no image")
    outcome = predict(trained.folder, [tmp_path / "a.jpg"], out, overwrite=True, visible=False)
    assert (outcome.predicted, outcome.skipped, list(outcome.failures)) == (0, 0, [tmp_path / "a.jpg"])
    assert [row["image_id"] for row in load_csv(out / "predictions.csv")] == [photos[1].stem]
    assert [path.name for path in out.glob("*.png")] == [f"{photos[1].stem}_segmentation.png"]
    assert len(predict(trained.folder, [tmp_path / "a.jpg"], out, visible=False).failures) == 1


def test_invalid_names_are_reported_and_others_are_predicted(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    names = ["é" * 113 + ".jpg", "é" * 112 + ".jpg", os.fsdecode(b"caf\xe9.jpg")]
    for name in names:
        shutil.copy(photos[0], tmp_path / name)
    outcome = predict(trained.folder, [tmp_path / name for name in names], tmp_path / "out", visible=False)
    assert (outcome.images, outcome.predicted, len(outcome.failures)) == (3, 1, 2)
    assert "the name of its mask would be too long" in outcome.failures[tmp_path / names[0]]
    assert "caf\\xe9.jpg: its name is not UTF-8" in outcome.failures[tmp_path / names[2]]
    assert len(load_csv(tmp_path / "out" / "failures.csv")) == 2


def test_table_saved_by_a_spreadsheet_is_read_and_a_damaged_one_raises(
    trained: Run, photos: list[Path], tmp_path: Path
) -> None:
    predict(trained.folder, photos[:1], tmp_path, visible=False)
    table = tmp_path / "predictions.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert predict(trained.folder, photos[:1], tmp_path, visible=False).skipped == 1
    table.write_text("a,b\n1,2\n")
    with pytest.raises(HamError, match=r"predictions\.csv: damaged \(KeyError\('image_id'\)\); choose another -o"):
        predict(trained.folder, photos[:1], tmp_path, visible=False)
    predict(trained.folder, photos[:1], tmp_path / "other", visible=False)
    (tmp_path / "other" / "predict.json").write_text("{")
    with pytest.raises(HamError, match=r"predict\.json: damaged"):
        predict(trained.folder, photos[:1], tmp_path / "other", visible=False)


def test_another_image_with_the_same_name_raises(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    predict(trained.folder, photos[:1], tmp_path / "out", visible=False)
    other = tmp_path / photos[0].name
    other.write_bytes(photos[1].read_bytes())
    with pytest.raises(HamError, match=f"holds the mask of {photos[0]}, another image of this name"):
        predict(trained.folder, [other], tmp_path / "out", visible=False)


# Kills its own process with SIGKILL after writing half of the fourth row.
KILLED = """
import os, signal, sys
from ham_keras.predict import main
from ham_keras.prediction.folder import PredictionFolder
add = PredictionFolder.add
def add_or_die(self, row):
    if len(self.rows) == 3:
        with open(self.journal, "a") as file:
            file.write('{"image_id": "PHAN')
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, row)
PredictionFolder.add = add_or_die
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_killed_prediction_is_resumed(
    trained: Run, predicted: PredictionFolder, photos: list[Path], tmp_path: Path
) -> None:
    command = [str(trained.folder), *map(str, photos), "-o", str(tmp_path)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *command], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert not (tmp_path / "predictions.csv").exists()
    outcome = predict(trained.folder, photos, tmp_path, visible=False)
    assert (outcome.predicted, outcome.skipped) == (3, 3)
    assert files(tmp_path) == files(predicted.folder)
    # Also with --overwrite and other settings: old rows must not be mixed with new masks.
    command += ["--overwrite", "--threshold", "0.3"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *command], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert files(tmp_path) == files(predicted.folder)
    outcome = predict(trained.folder, photos, tmp_path, Outline(threshold=0.3), visible=False)
    assert (outcome.predicted, outcome.skipped) == (3, 3)
    assert not (tmp_path / ".next").exists()
    predict(trained.folder, photos, tmp_path / "alone", Outline(threshold=0.3), visible=False)
    for name, content in files(tmp_path / "alone").items():
        assert files(tmp_path)[name] == content, name


def test_options_are_applied(trained: Run, predicted: PredictionFolder, photos: list[Path], tmp_path: Path) -> None:
    command = [str(trained.folder), *map(str, photos), "-o", str(tmp_path), "--threshold", "0.35"]
    assert main([*command, "--tta", "--keep", "largest", "--fill-holes"]) == 0
    assert load_json(tmp_path / "predict.json") == {
        **load_json(predicted.settings), "threshold": 0.35, "tta": True, "keep_largest": True, "fill_holes": True,
    }  # fmt: skip
    assert {row["components"] for row in load_csv(tmp_path / "predictions.csv")} <= {"0", "1"}


def test_flags_default_to_the_runs_config(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.folder, run, ignore=shutil.ignore_patterns("tensorboard", "reports", "scores"))
    own = {"threshold": 0.35, "tta": True, "keep_largest": True, "fill_holes": True}
    save_json(run / "config.json", load_json(run / "config.json") | {"outline": own})
    command = [str(run), str(photos[0]), "-o"]
    assert main([*command, str(tmp_path / "own")]) == 0
    assert load_json(tmp_path / "own" / "predict.json").items() >= own.items()
    flags = ["--no-tta", "--keep", "all", "--no-fill-holes", "--threshold", "0.5"]
    assert main([*command, str(tmp_path / "plain"), *flags]) == 0
    assert load_json(tmp_path / "plain" / "predict.json").items() >= Outline().model_dump().items()


@pytest.mark.parametrize("bits", [8, 16])
def test_probabilities_are_saved_at_the_size_of_the_image(
    bits: int, trained: Run, predicted: PredictionFolder, photos: list[Path], tmp_path: Path
) -> None:
    command = [str(trained.folder), *map(str, photos[:2]), "-o", str(tmp_path), "--save-probabilities", str(bits)]
    assert main(command) == 0
    predictions = PredictionFolder(tmp_path, bits)
    for path, (_, found) in zip(
        photos[:2],
        load_predictor(trained.folder).predict_files(photos[:2], lambda _, prediction: prediction),
        strict=True,
    ):
        with Image.open(predictions.probability(path.stem)) as image:
            assert (image.mode, image.size) == ({8: "L", 16: "I;16"}[bits], (96, 64))
            levels = np.asarray(image).astype(np.float64)
        np.testing.assert_allclose(levels / (2**bits - 1), found.probability, atol=0.5 / (2**bits - 1) + 1e-5)
        assert predictions.mask(path.stem).read_bytes() == predicted.mask(path.stem).read_bytes()
    with pytest.raises(HamError, match="probabilities: no image found"):
        find_inputs([tmp_path / "probabilities"], PredictionFolder(tmp_path / "elsewhere"))


def test_probabilities_are_resumed_refused_and_removed_like_masks(
    trained: Run, photos: list[Path], tmp_path: Path
) -> None:
    saved = PredictionFolder(tmp_path, 16)
    predict(trained.folder, photos[:2], tmp_path, probability_bits=16, visible=False)
    whole = files(tmp_path)
    saved.probability(photos[0].stem).unlink()
    outcome = predict(trained.folder, photos[:2], tmp_path, probability_bits=16, visible=False)
    assert (outcome.predicted, outcome.skipped) == (1, 1) and files(tmp_path) == whole
    assert all(saved.is_output(tmp_path / name) for name in whole if name.endswith((".png", "jpg")))
    with pytest.raises(HamError, match="holds predictions made with probability_bits 16; choose another -o"):
        predict(trained.folder, photos[:2], tmp_path, visible=False)
    predict(trained.folder, photos[:2], tmp_path, overwrite=True, visible=False)
    assert not list((tmp_path / "probabilities").iterdir())
    saved.probability(photos[2].stem).write_bytes(b"of somebody else")
    with pytest.raises(HamError, match=r"probabilities/.*\.png: exists and was not written by predict"):
        predict(trained.folder, photos[:3], tmp_path, probability_bits=16, overwrite=True, visible=False)


def test_masks_can_be_written_beside_the_images(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a b [1].jpg").write_bytes(photos[0].read_bytes())
    for predicted, skipped in ((1, 0), (0, 1)):
        outcome = predict(trained.folder, [tmp_path], tmp_path, visible=False)
        assert (outcome.images, outcome.predicted, outcome.skipped) == (1, predicted, skipped)
    assert (tmp_path / "a b [1]_segmentation.png").exists()
    assert list(find_inputs([tmp_path / "a b [1].jpg"], PredictionFolder(tmp_path)).ids) == [tmp_path / "a b [1].jpg"]


def test_one_folder_per_patient_is_kept_resumed_and_overwritten(
    trained: Run, photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, photo in enumerate(photos[:3]):
        (tmp_path / "in" / f"p{number}").mkdir(parents=True)
        shutil.copy(photo, tmp_path / "in" / f"p{number}" / "DSC0001.jpg")
    shutil.copy(photos[3], tmp_path / "in" / "other.jpg")
    (tmp_path / "in" / "p0" / "DSC0002.HEIC").touch()
    ids = ["other", "p0/DSC0001", "p1/DSC0001", "p2/DSC0001"]
    out = PredictionFolder(tmp_path / "out")
    assert predict(trained.folder, [tmp_path / "in"], out.folder, visible=False).predicted == 4
    assert "warning: 1 file has an unsupported format (.heic), the first: " in capsys.readouterr().err
    assert [row["image_id"] for row in load_csv(out.table)] == ids
    predict(trained.folder, photos[:4], tmp_path / "flat", visible=False)
    flat = [PredictionFolder(tmp_path / "flat").mask(photos[i].stem).read_bytes() for i in (3, 0, 1, 2)]
    assert [(out.folder / f"{image_id}_segmentation.png").read_bytes() for image_id in ids] == flat
    assert all((out.folder / "overlays" / f"{image_id}.jpg").exists() for image_id in ids)

    out.mask("p1/DSC0001").unlink()
    outcome = predict(trained.folder, [tmp_path / "in"], out.folder, visible=False)
    assert (outcome.predicted, outcome.skipped) == (1, 3)
    # Without the other folders its name is unique, but its mask already exists.
    outcome = predict(trained.folder, [tmp_path / "in" / "p2"], out.folder, visible=False)
    assert (outcome.predicted, outcome.skipped) == (0, 1)
    outcome = predict(
        trained.folder, [tmp_path / "in"], out.folder, Outline(threshold=0.4), overwrite=True, visible=False
    )
    assert (outcome.predicted, outcome.skipped) == (4, 0)
    assert [row["image_id"] for row in load_csv(out.table)] == ids


def test_folders_are_kept_for_masks_beside_the_images(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        (tmp_path / name).mkdir()
        shutil.copy(photos[0], tmp_path / name / "a.jpg")
    for predicted, skipped in ((2, 0), (0, 2)):
        outcome = predict(trained.folder, [tmp_path], tmp_path, visible=False)
        assert (outcome.images, outcome.predicted, outcome.skipped) == (2, predicted, skipped)
    assert (tmp_path / "p2" / "a_segmentation.png").exists()


def test_name_repeated_later_keeps_the_first_mask(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    for name, photo in (("p1", photos[0]), ("p2", photos[1])):
        (tmp_path / "in" / name).mkdir(parents=True)
        shutil.copy(photo, tmp_path / "in" / name / "a.jpg")
        predict(trained.folder, [tmp_path / "in"], tmp_path / "out", visible=False)
    assert [row["image_id"] for row in load_csv(tmp_path / "out" / "predictions.csv")] == ["a", "p2/a"]


def test_user_errors_are_one_line(trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {**os.environ, "PYTHONWARNINGS": ""}
    command = [sys.executable, "-m", "ham_keras.predict", str(tmp_path), "a.jpg", "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {tmp_path}: not a run folder (no config.json); expected e.g. runs/base\n",
    )
    for wrong, message in (("1", "between 0 and 1, got 1"), ("low", "between 0 and 1, got low")):
        with pytest.raises(SystemExit):
            main([str(trained.folder), "a.jpg", "-o", str(tmp_path), "--threshold", wrong])
        assert message in capsys.readouterr().err


def test_single_path_is_one_input(trained: Run, photos: list[Path], tmp_path: Path) -> None:
    assert predict(trained.folder, str(photos[0]), tmp_path, visible=False).predicted == 1
    assert predict(trained.folder, photos[0], tmp_path, visible=False).skipped == 1


def test_links_that_lead_nowhere_are_counted(
    trained: Run, photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(photos[0], tmp_path / "in" / "a.jpg")
    for name, target in ("b.jpg", "b.jpg"), ("one", "two"), ("two", "one"), ("c.jpg", "/nowhere/c.jpg"):
        (tmp_path / "in" / name).symlink_to(target)
    assert predict(trained.folder, [tmp_path / "in"], tmp_path / "out", visible=False).predicted == 1
    links = f"4 links lead nowhere and are skipped, the first: {tmp_path / 'in' / 'b.jpg'} to b.jpg"
    assert f"warning: {links}" in capsys.readouterr().err
    with pytest.raises(HamError, match=r"c\.jpg: no image found; .*1 link leads nowhere and is skipped, the first: "):
        predict(trained.folder, [tmp_path / "in" / "c.jpg"], tmp_path / "other", visible=False)
    with pytest.raises(HamError, match=r"b\*: no image found; .*1 link leads nowhere"):
        predict(trained.folder, [tmp_path / "in" / "b*"], tmp_path / "other", visible=False)
