"""The client against a local server that behaves like TensorFlow Serving."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from serving import serve

from ham_keras.client import main
from ham_keras.errors import HamError
from ham_keras.files import load_csv
from ham_keras.serving.client import Client, Served, save_masks


class Echo:
    """A signature that returns the bytes of each image as its mask."""

    structured_input_signature = ((), {"image_bytes": tf.TensorSpec([None], "string")})

    def __call__(self, image_bytes: Any) -> dict[str, Any]:
        return {"probability": tf.zeros([len(image_bytes), 2, 2]), "mask_bytes": image_bytes}


SIGNATURES = {"serve_bytes": Echo()}


def images(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"image {i}.png" for i in range(count)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((4, 5, 3), i, np.uint8)).save(path)
    return paths


def test_each_image_gets_its_own_mask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = images(tmp_path, 12)
    with serve(SIGNATURES) as url:
        assert main([url, *map(str, paths), "-o", str(tmp_path / "out")]) == 0
    assert f"{tmp_path / 'out'}: 12 masks; 0 of 12 images failed" in capsys.readouterr().out
    for path in paths:
        assert (tmp_path / "out" / f"{path.stem}_segmentation.png").read_bytes() == path.read_bytes()
    assert len(list((tmp_path / "out").iterdir())) == 12


def test_mask_drawn_by_others_is_only_replaced_with_overwrite(tmp_path: Path) -> None:
    paths = images(tmp_path, 2)
    drawn = tmp_path / "out" / "image 1_segmentation.png"
    drawn.parent.mkdir()
    drawn.write_bytes(b"drawn by hand")
    with serve(SIGNATURES) as url:
        command = [url, *map(str, paths), "-o", str(tmp_path / "out")]
        with pytest.raises(HamError, match=r"image 1_segmentation\.png: exists; choose another -o, or --overwrite"):
            main(command)
        assert [path.name for path in drawn.parent.iterdir()] == [drawn.name]
        assert drawn.read_bytes() == b"drawn by hand"
        assert main([*command, "--overwrite"]) == 0
    assert drawn.read_bytes() == paths[1].read_bytes()


def test_busy_server_is_retried(tmp_path: Path) -> None:
    refuse = [503, 429, 503]
    with serve(SIGNATURES, refuse=refuse) as url:
        client = Client(f"{url}:predict")
        client.session.get_adapter(url).max_retries.backoff_factor = 0.001  # type: ignore[attr-defined]
        assert client.segment(images(tmp_path, 1)[0])
    assert refuse == []


def test_server_that_stays_busy_raises(tmp_path: Path) -> None:
    with serve(SIGNATURES, refuse=[503] * 9) as url, pytest.raises(HamError, match=r"returned 503: busy"):
        Client(url, retries=0).segment(images(tmp_path, 1)[0])


def test_broken_file_is_reported_and_others_are_segmented(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = images(tmp_path, 3)
    paths[1].write_bytes(b"no image")
    with serve(SIGNATURES) as url:
        assert main([url, *map(str, paths), "-o", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert "image 1.png: not a readable image" in printed.err
    assert "2 masks; 1 of 3 images failed" in printed.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "image 0_segmentation.png", "image 2_segmentation.png",
    ]  # fmt: skip


def test_user_errors_raise(tmp_path: Path) -> None:
    path = images(tmp_path, 1)[0]
    with pytest.raises(HamError, match=r"localhost: expected the model's address"):
        Client("localhost")
    with pytest.raises(HamError, match="cannot be reached: ConnectionError"):
        Client("http://127.0.0.1:9/v1/models/lesion", retries=0).segment(path)
    with serve(SIGNATURES) as url, pytest.raises(HamError, match="returned 404: Malformed request"):
        Client(url.replace("lesion", "other")).segment(path)
    with (
        serve({"serve_bytes": Other()}) as url,
        pytest.raises(HamError, match="returned no mask; is it a model exported"),
    ):
        Client(url).segment(path)
    with pytest.raises(HamError, match="another image has the same name"):
        main(["http://127.0.0.1:9/v1/models/lesion", "a/x.png", "b/x.jpg", "-o", str(tmp_path)])


class Calibrated(Echo):
    """The model of a calibrated run: a bright image gets a high expected Jaccard."""

    def __call__(self, image_bytes: Any) -> dict[str, Any]:
        level = tf.stack([tf.reduce_mean(tf.cast(tf.io.decode_png(each), tf.float32)) for each in image_bytes])
        return {
            **super().__call__(image_bytes),
            "expected_jaccard": level / 10,
            "jaccard_at_least": level / 20,
            "margin_px": 10 - level,
            "input_distance": level,
            "review": level / 10 < 0.65,
        }


def test_assessment_of_a_calibrated_run_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths, out = images(tmp_path, 9), tmp_path / "out"
    with serve({"serve_bytes": Calibrated()}) as url:
        assert main([url, *map(str, paths[7:]), "-o", str(out)]) == 0
        assert main([url, *map(str, paths[:3]), "-o", str(out)]) == 0
        assert Client(url).request(paths[2]).assessed["expected_jaccard"] == 0.2
    assert "trust.csv: a review is advised for 3 of 3 masks" in capsys.readouterr().err
    rows = load_csv(out / "trust.csv")
    assert [row["image_id"] for row in rows] == [f"image {i}" for i in (7, 8, 0, 1, 2)]  # earlier rows stay
    assert list(rows[0]) == ["image_id", "expected_jaccard", "jaccard_at_least", "margin_px", "review"]
    assert list(rows[0].values()) == ["image 7", "0.7", "0.35", "3.0", "0"]
    assert [row["review"] for row in rows] == ["0", "0", "1", "1", "1"]


def test_rows_describe_the_masks_beside_them(tmp_path: Path) -> None:
    paths, out = images(tmp_path, 3), tmp_path / "out"
    served = Served(b"png", {"expected_jaccard": 0.5, "jaccard_at_least": 0.4, "margin_px": 2.0, "review": 1})

    def interrupted() -> Iterator[tuple[Path, Served]]:
        save_masks([(paths[2], served)], out, print)  # by another process
        yield paths[0], served
        yield paths[1], served
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_masks(interrupted(), out, print)
    assert [row["image_id"] for row in load_csv(out / "trust.csv")] == ["image 2", "image 0", "image 1"]
    save_masks([(paths[2], Served(b"of a model that does not assess", {}))], out, print)
    save_masks([(paths[1], Served(b"of a model that does not assess", {}))], out, print)
    assert [row["image_id"] for row in load_csv(out / "trust.csv")] == ["image 0"]
    save_masks([(paths[0], Served(b"of a model that does not assess", {}))], out, print)
    assert not (out / "trust.csv").exists()


def test_table_of_others_is_never_replaced(tmp_path: Path) -> None:
    table = tmp_path / "out" / "trust.csv"
    table.parent.mkdir()
    table.write_text("image_id,lesion_id,jaccard\nimage 0,L1,0.8\n")  # as in a run's folder
    with serve({"serve_bytes": Calibrated()}) as url, pytest.raises(HamError, match=r"trust\.csv: exists and was not"):
        main([url, *map(str, images(tmp_path, 1)), "-o", str(table.parent), "--overwrite"])
    assert [path.name for path in table.parent.iterdir()] == ["trust.csv"] and "L1" in table.read_text()


class Other(Echo):
    """A model without masks."""

    def __call__(self, image_bytes: Any) -> dict[str, Any]:
        return {"probability": super().__call__(image_bytes)["probability"]}


def test_unresponsive_server_times_out(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/models/lesion"
        with pytest.raises(HamError, match=r"no response from .* within 0\.2 seconds"):
            Client(url, timeout_seconds=0.2, retries=0).segment(images(tmp_path, 1)[0])


def test_exif_rotation_is_applied_before_sending(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    with serve(SIGNATURES) as url:
        answer = Client(url).segment(tmp_path / "a.jpg")
    assert Image.open(io.BytesIO(answer)).size == (4, 6)


def test_tensorflow_is_not_imported() -> None:
    code = "import sys, ham_keras.client; print('tensorflow' in sys.modules, 'cv2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


def test_test_server_uses_the_row_format(tmp_path: Path) -> None:
    """As in TensorFlow Serving's REST documentation: one row per instance, bytes as {"b64": ...}."""
    import urllib.request

    with serve(SIGNATURES) as url:
        encoded = base64.b64encode(b"abc").decode()
        body = json.dumps({"signature_name": "serve_bytes", "instances": [{"b64": encoded}, {"b64": encoded}]})
        with urllib.request.urlopen(f"{url}:predict", body.encode()) as response:
            predictions = json.load(response)["predictions"]
    assert [row["mask_bytes"] for row in predictions] == [{"b64": encoded}] * 2
    assert predictions[0]["probability"] == [[0.0, 0.0], [0.0, 0.0]]
