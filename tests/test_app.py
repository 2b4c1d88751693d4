"""The demo page in a real browser: it matches `predict`, stores nothing and sends nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from ham_keras.app import main
from ham_keras.data.phantoms.photograph import draw_phantom
from ham_keras.demo.page import launch_page
from ham_keras.demo.server import serve
from ham_keras.errors import HamError
from ham_keras.files import load_csv
from ham_keras.predict import predict
from ham_keras.prediction.measurements import measure_mask
from ham_keras.prediction.postprocessing import postprocess
from ham_keras.prediction.predictor import Predictor, load_predictor
from ham_keras.runs import Run
from ham_keras.settings import Outline

TURNED = 6  # EXIF orientation: the top of the photograph is the right side of the stored pixels
Open = Callable[..., Any]


@dataclass(frozen=True)
class Served:
    """A page served by a separate process; `folder` is its folder for temporary files."""

    url: str
    folder: Path

    def files(self) -> list[Path]:
        """Files in the page's folders. TensorFlow puts generated source code beside these folders."""
        return [path for path in self.folder.glob("*/**/*") if path.is_file()]


@pytest.fixture(scope="module")
def served(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`python -m ham_keras.app`, with Gradio's telemetry switched on and a proxy that would see any request."""
    folder = tmp_path_factory.mktemp("temporary")
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        telemetry = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), address)
        telemetry |= {"GRADIO_ANALYTICS_ENABLED": "True", "GRADIO_SHARE": "True", "GRADIO_RUN_HISTORY": "True"}
        telemetry |= {"GRADIO_MCP_SERVER": "True", "GRADIO_SSR_MODE": "True", "GRADIO_TEMP_DIR": str(folder / "theirs")}
        with open(folder / "stderr.txt", "w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "ham_keras.app", str(trained.folder), "--port", str(port)],
                env=os.environ | telemetry | {"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
            assert process.stdout is not None
            with process.stdout as printed:
                first = printed.readline()
                assert first.startswith(f"http://127.0.0.1:{port}/: "), (folder / "stderr.txt").read_text()
                yield Served(f"http://127.0.0.1:{port}", folder)
                process.send_signal(signal.SIGTERM)
                rest = printed.read()
            assert (process.wait(60), rest) == (0, "stopped; no images are left on disk\n")
        assert [path for path in folder.iterdir() if path.is_dir()] == []
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):  # no connection was made
            proxy.accept()


@pytest.fixture
def open_page(browser: Any, served: Served) -> Iterator[Open]:
    """Open the page in a separate tab. Afterwards, no request was sent elsewhere, and no file is left."""
    elsewhere: list[str] = []
    errors: list[str] = []
    contexts: list[Any] = []

    def open_tab(width_px: int = 1280) -> Any:
        context = browser.new_context(viewport={"width": width_px, "height": 800}, accept_downloads=True)
        contexts.append(context)
        own = (served.url, "data:", "blob:")
        context.on("request", lambda asked: asked.url.startswith(own) or elsewhere.append(asked.url))
        context.on("console", lambda message: message.type == "error" and errors.append(message.text))
        context.on("weberror", lambda error: errors.append(str(error.error)))
        tab = context.new_page()
        tab.goto(served.url)
        tab.get_by_text("Drop a dermoscopy image or choose a phantom").wait_for()
        return tab

    yield open_tab
    for context in contexts:
        context.close()
    assert (elsewhere, errors, served.files()) == ([], [], [])


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Photographs of one phantom each, by kind, 96x64; the rotated one is displayed as 64x96."""
    folder = tmp_path_factory.mktemp("photographs")
    pixels = [Image.fromarray(draw_phantom(5, index, index, (96, 64))[0]) for index in range(5)]
    paths = {
        "jpeg": folder / "one.two.jpg",
        "turned": folder / "Turned & (upright).JPG",
        "tiff": folder / "läsion.tif",
        "16-bit": folder / "deep.png",
        "webp": folder / "small.webp",
    }
    turn = Image.Exif()
    turn[0x0112] = TURNED
    pixels[0].save(paths["jpeg"])
    pixels[1].save(paths["turned"], exif=turn)
    pixels[2].save(paths["tiff"])
    Image.fromarray(np.asarray(pixels[3].convert("L")).astype(np.uint16) << 8).save(paths["16-bit"])
    pixels[4].save(paths["webp"], lossless=True)
    return paths


@pytest.fixture(scope="module")
def predicted(trained: Run, photographs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of `predict` for the same files."""
    output = tmp_path_factory.mktemp("predictions")
    assert not predict(trained.folder, list(photographs.values()), output, visible=False).failures
    return output


@pytest.fixture(scope="module")
def predictor(trained: Run) -> Predictor:
    return load_predictor(trained.folder)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def upload(tab: Any, path: Path) -> None:
    tab.locator("#drop input[type=file]").set_input_files(path)


def wait_for(tab: Any, name: str, threshold: float = 0.5) -> None:
    tab.get_by_role("heading", name=name, exact=True).wait_for()
    tab.get_by_text(f"Outline: probability above {threshold:g}", exact=True).wait_for()


def read_measurements(tab: Any) -> dict[str, str]:
    return {
        cell.get_attribute("data-measure"): cell.inner_text()
        for cell in tab.locator("td[data-measure]").element_handles()
    }


def expected_measurements(row: dict[str, Any]) -> dict[str, str]:
    """A row of predictions.csv, or of `measure_mask`, as the page displays it."""
    found = int(row["components"]) > 0
    confidence = {
        f"border_confidence_{which}": f"{float(row[f'border_confidence_{which}']):.3f}" if found else "none"
        for which in ("mean", "lowest")
    }
    box = "{box_width_px} × {box_height_px} px at {box_left_px}, {box_top_px}".format(**row)
    return {
        "lesion_fraction": f"{100 * float(row['lesion_fraction']):.2f} %",
        "box": box if found else "none",
        "components": str(row["components"]),
        **confidence,
        "touches_frame": {"0": "no", "1": "yes"}[str(row["touches_frame"])],
    }


@pytest.mark.parametrize("kind", ["jpeg", "turned", "tiff", "16-bit", "webp"])
def test_upload_matches_predict(open_page: Open, photographs: dict[str, Path], predicted: Path, kind: str) -> None:
    path, tab = photographs[kind], open_page()
    upload(tab, path)
    wait_for(tab, path.name)
    row = next(row for row in load_csv(predicted / "predictions.csv") if row["image_id"] == path.stem)
    assert int(row["components"]) > 0
    assert read_measurements(tab) == expected_measurements(row)
    with tab.expect_download() as downloading:
        tab.get_by_role("link", name="Download the mask").click()
    mask = f"{path.stem}_segmentation.png"
    assert downloading.value.suggested_filename == mask
    assert downloading.value.path().read_bytes() == (predicted / mask).read_bytes()
    sizes = tab.eval_on_selector_all(".pictures img", "images => images.map(i => [i.naturalWidth, i.naturalHeight])")
    assert (
        sizes == [[int(row["width_px"]), int(row["height_px"])]] * 2 == [[64, 96] if kind == "turned" else [96, 64]] * 2
    )


def test_threshold_and_cleaning_update_the_outline(
    open_page: Open, photographs: dict[str, Path], predictor: Predictor
) -> None:
    from ham_keras.data.images import read_image

    path, tab = photographs["jpeg"], open_page()
    probability = predictor.predict(read_image(path)).probability
    upload(tab, path)
    wait_for(tab, path.name)
    shown = []
    hundredths = np.arange(1, 100) / 100
    # Away from any probability, because the page's process may round differently.
    apart = np.array([np.abs(probability - threshold).min() for threshold in hundredths])
    low, high = (float(hundredths[part][apart[part].argmax()]) for part in (slice(29, 49), slice(50, 70)))
    for threshold in (low, high):
        tab.get_by_label("number input for Threshold").fill(str(threshold))
        tab.get_by_label("number input for Threshold").press("Enter")
        wait_for(tab, path.name, threshold)
        shown.append(read_measurements(tab)["lesion_fraction"])
        assert shown[-1] == f"{100 * (probability > threshold).mean():.2f} %"
    assert shown[0] != shown[1]
    tab.get_by_label("Keep only the largest part").check()
    tab.get_by_label("Fill holes").check()
    cleaned = postprocess(probability, Outline(threshold=high, keep_largest=True, fill_holes=True))
    expected = expected_measurements(measure_mask(cleaned, probability))
    tab.wait_for_function(
        "text => document.querySelector('[data-measure=lesion_fraction]').innerText === text",
        arg=expected["lesion_fraction"],
    )
    assert read_measurements(tab) == expected


def test_two_pages_do_not_mix(open_page: Open, photographs: dict[str, Path], predicted: Path) -> None:
    first, second = open_page(), open_page()
    upload(first, photographs["jpeg"])
    upload(second, photographs["webp"])
    wait_for(first, photographs["jpeg"].name)
    wait_for(second, photographs["webp"].name)
    rows = {row["image_id"]: row for row in load_csv(predicted / "predictions.csv")}
    before = read_measurements(first)
    assert before == expected_measurements(rows[photographs["jpeg"].stem])
    other = read_measurements(second)
    assert other == expected_measurements(rows[photographs["webp"].stem]) != before
    first.get_by_label("number input for Threshold").fill("0.6")
    first.get_by_label("number input for Threshold").press("Enter")
    wait_for(first, photographs["jpeg"].name, 0.6)
    wait_for(second, photographs["webp"].name, 0.5)
    assert read_measurements(first)["lesion_fraction"] != before["lesion_fraction"]
    assert read_measurements(second) == other


def test_clicking_a_phantom_segments_it(open_page: Open) -> None:
    tab = open_page()
    tab.get_by_role("button", name="Phantom 2").click()
    wait_for(tab, "phantom_2.png")
    assert tab.get_by_role("link", name="Download the mask").get_attribute("download") == "phantom_2_segmentation.png"


def test_page_fits_a_phone(open_page: Open, photographs: dict[str, Path]) -> None:
    tab = open_page(375)
    upload(tab, photographs["turned"])
    wait_for(tab, photographs["turned"].name)
    assert tab.evaluate("document.documentElement.scrollWidth") == 375
    assert tab.get_by_text("Research use; not a medical device.").is_visible()


def test_unreadable_upload_is_reported_and_the_next_one_works(
    open_page: Open, photographs: dict[str, Path], tmp_path: Path
) -> None:
    tab = open_page()
    upload(tab, photographs["jpeg"])
    wait_for(tab, photographs["jpeg"].name)
    cut, text, wide = tmp_path / "<b>cut.jpg", tmp_path / "notes.txt", tmp_path / "wide.png"
    cut.write_bytes(photographs["jpeg"].read_bytes()[:-500])
    text.write_text("nothing to see")
    Image.new("1", (10_000, 8_001)).save(wide)
    for path, message in (
        (
            cut,
            r"<b>cut\.jpg: not a readable image \(truncated: the JPEG has no end\); replace it or remove it",
        ),
        (text, r"notes\.txt: not a readable image \(unknown format\); replace it or remove it"),
        (wide, r"wide\.png: has more than 80 million pixels; make it smaller"),
    ):
        upload(tab, path)
        alert = tab.get_by_role("alert").filter(has_text=path.name)
        alert.wait_for()
        assert re.fullmatch(message, alert.inner_text())
        assert tab.locator("figure").count() == 0  # of the previous image
    heavy = tmp_path / "heavy.tif"
    with open(heavy, "wb") as file:
        file.truncate(51 * 1024**2)
    upload(tab, heavy)
    tab.get_by_text('File(s) exceed the maximum allowed size of 50.0 Mb: "heavy.tif"').wait_for()
    upload(tab, photographs["jpeg"])
    wait_for(tab, photographs["jpeg"].name)
    assert tab.locator(".alert").count() == 0


def ask(served: Served, event: str, data: list[Any], session: str, **more: Any) -> dict[str, Any]:
    """Trigger an event without the page."""
    url = f"{served.url}/gradio_api/queue"
    events = requests.get(f"{served.url}/config", timeout=60).json()["dependencies"]
    number = next(one["id"] for one in events if one["api_name"] == event)
    asked = {"data": data, "fn_index": number, "session_hash": session, **more}
    requests.post(f"{url}/join", json=asked, timeout=60).raise_for_status()
    with requests.get(f"{url}/data?session_hash={session}", stream=True, timeout=60) as answer:
        lines = (json.loads(line.removeprefix(b"data: ")) for line in answer.iter_lines() if line)
        return next(line for line in lines if line["msg"] == "process_completed")


def test_only_uploads_are_read(served: Served, photographs: dict[str, Path]) -> None:
    """Other files on the machine are neither displayed nor deleted."""
    path = photographs["jpeg"]
    for meta in ({"meta": {"_type": "gradio.FileData"}}, {}):
        done = ask(served, "open_upload", [{"path": str(path), "orig_name": path.name, **meta}, 0.5, False, False], "a")
        assert not done["success"]
        assert "data" not in done["output"]
    assert path.exists()


def test_closed_page_is_forgotten(served: Served) -> None:
    """By default, Gradio would keep its image for another hour."""
    with requests.get(f"{served.url}/gradio_api/heartbeat/b", stream=True, timeout=60) as page:
        beats = page.iter_content(64)
        assert b"ALIVE" in next(beats)
        assert ask(served, "open_example", [0.5, False, False], "b", event_data={"index": 0})["success"]
        outline = ask(served, "update_outline", [None, 0.4, False, False], "b")
        assert "phantom_1.png" in outline["output"]["data"][0]
    answers = (ask(served, "update_outline", [None, 0.4, False, False], "b")["output"]["data"][0] for _ in range(100))
    assert any("Drop a dermoscopy image" in answer for answer in answers)


def test_gradio_stores_nothing(served: Served) -> None:
    config = requests.get(f"{served.url}/config", timeout=60).json()
    assert (config["analytics_enabled"], config["run_history"], config["mcp_server"]) == (False, False, False)
    assert {event["api_visibility"] for event in config["dependencies"]} == {"private"}
    assert requests.get(f"{served.url}/monitoring", timeout=60).status_code == 403


def test_page_beyond_this_machine_asks_for_the_password(
    trained: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: list[Any] = []

    @contextlib.contextmanager
    def serve_and_stop(*_: Any, **options: Any) -> Iterator[str]:
        taken.append(options)
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("ham_keras.app.serve", serve_and_stop)
    monkeypatch.setenv("HAM_KERAS_AUTH", "me:se:cret")
    kept = signal.getsignal(signal.SIGTERM)
    assert main([str(trained.folder), "--host", "0.0.0.0"]) == 0
    assert main([str(trained.folder), "--host", "0.0.0.0", "--auth", "you:other"]) == 0
    monkeypatch.delenv("HAM_KERAS_AUTH")
    assert main([str(trained.folder)]) == 0
    signal.signal(signal.SIGTERM, kept)
    assert [options["auth"] for options in taken] == [("me", "se:cret"), ("you", "other"), None]
    assert "images and password are sent unencrypted" in capsys.readouterr().err
    page: Any = SimpleNamespace(launch=lambda **options: (None, options["auth"], None))
    assert launch_page(page, "0.0.0.0", 7860, ("me", "secret")) == ("me", "secret")


def test_user_errors(trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HamError, match="not a run folder"), serve(tmp_path):
        pass
    (tmp_path / "config.json").write_bytes(trained.config.read_bytes())
    with pytest.raises(HamError, match=r"model\.weights\.h5: not there yet; train the run first"), serve(tmp_path):
        pass
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HamError, match=rf"127\.0\.0\.1:{port}: cannot be used \(Address already in use\)"):
            main([str(trained.folder), "--port", str(port)])
    with pytest.raises(HamError, match=r"70000: cannot be used \(.*\); choose another --port or --host"):
        main([str(trained.folder), "--port", "70000"])
    monkeypatch.delenv("HAM_KERAS_AUTH", raising=False)
    with pytest.raises(HamError, match=r"^--host 0\.0\.0\.0: anyone .*; set HAM_KERAS_AUTH=USER:PASSWORD, or --auth"):
        main([str(trained.folder), "--host", "0.0.0.0"])
    for wrong in ("me", "me:", ":secret"):
        with pytest.raises(HamError, match=r"^--auth, or HAM_KERAS_AUTH: expected USER:PASSWORD$"):
            main([str(trained.folder), "--auth", wrong])
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(HamError, match=r"gradio is not installed; pip install gradio$"):
        main([str(trained.folder), "--port", str(free_port())])


def test_command_starts_without_heavy_imports() -> None:
    heavy = "import sys, ham_keras.app; print(sorted({'gradio', 'tensorflow', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", heavy], text=True) == "[]\n"
