"""Run every command and all Python code in the README, "getting started" and the how-to pages.

They run in a folder that looks like a checkout: phantoms replace the data, and the project's configs are changed to use
few small images, a small network and few epochs. Pages run in order and use the output of previous pages.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from serving import serve

from ham_keras.data.phantoms.dataset import draw_phantoms

ROOT = Path.cwd()
ORDER = [
    "download",
    "train",
    "gpu",
    "hair",
    "score",
    "predict",
    "trust",
    "robustness",
    "diagnose",
    "ensembles",
    "models",
    "few-masks",
    "predict-on-ray",
    "report",
    "app",
    "serve",
    "tune",
]
HOW_TO = [f"docs/how-to/{name}.md" for name in ORDER]
PAGES = ["README.md", "docs/getting-started.md", *HOW_TO]
# Commands that tests/test_export.py and tests/serving/test_precisions.py run.
ELSEWHERE = {
    "python -m ham_keras.export runs/base --format onnx",
    "python -m ham_keras.export runs/base --format openvino",
    "python -m ham_keras.export runs/base --format litert --precision float16",
}
# Beginnings of commands that cannot run here, and why. Except for `make`, they are in blocks of another kind.
NOT_RUN = {
    "ham-keras calibrate runs/base": "too few validation images here; the page also runs it with --data",
    "ham-keras calibrate runs/folds": "too few images here; tests/test_calibrate.py has a cross-validation",
    "ham-keras train best": "minutes, and another backbone than the configs here; benchmarks/few_masks.py does it",
    "make test": "these are the tests",
    "make test-gpu": "no GPU",
    "docker run --rm -p 8501:8501 -v": "no Docker; replaced by a server of the tests",
    "tensorboard --logdir runs": "a server that never ends",
    "python -m ham_keras.data.download data/ham10000": "no network; tests/data/test_download.py uses a local server",
    "python -m ham_keras.app runs/base": "a server that never ends; tests/test_app.py opens it in a browser",
    "RAY_ADDRESS=": "no cluster; the page also runs it on this machine",
}
# Some of the files that the commands of a page write.
OUTPUTS = {
    "README.md": [
        "runs/sample/scores/test/summary.json",
        "audit/contact_sheet.png",
        "runs/best/reports/test/report.html",
        "runs/quick/scores/val/summary.json",
    ],
    "docs/getting-started.md": ["runs/short/scores/test/summary.json", "export/sample/1/saved_model.pb"],
    "docs/how-to/train.md": [
        "runs/focal/model.weights.h5",
        "runs/tuned/model.weights.h5",
        "runs/robust/model.weights.h5",
        "runs/folds/oof/masks",
    ],
    "docs/how-to/gpu.md": ["runs/on-cpu/model.weights.h5"],
    "docs/how-to/hair.md": ["hair.png"],
    "docs/how-to/score.md": ["runs/base/scores/val/summary.json", "runs/base/scores/other/masks", "results.json"],
    "docs/how-to/predict.md": [
        "predictions/predictions.csv",
        "predictions/overlays",
        "smooth/predictions.csv",
        "soft/probabilities",
    ],
    "docs/how-to/diagnose.md": [
        "runs/diagnosis/reports/test/report.html",
        "runs/diagnosis/scores/other/summary.json",
        "diagnosed/predictions.csv",
    ],
    "docs/how-to/ensembles.md": [
        "averaged-folds/predictions.csv",
        "ensembles/two/scores/test/summary.json",
        "runs/folds/ensemble/scores/other/summary.json",
        "export/two/1/saved_model.pb",
        "export/folds/1/saved_model.pb",
    ],
    "docs/how-to/models.md": ["by-name/predictions.csv", "models/clinic/README.md", "export/clinic/1/saved_model.pb"],
    "docs/how-to/few-masks.md": ["outlines/review.jpg", "evaluations/phantom/scores/other/summary.json"],
    "docs/how-to/trust.md": [
        "runs/base/trust.json",
        "sorted/review.jpg",
        "runs/base/scores/trusted/summary.json",
    ],
    "docs/how-to/robustness.md": [
        "runs/base/robustness/summary.json",
        "runs/base/robustness/elsewhere/summary.json",
        "runs/focal/robustness/vs-base.png",
        "sheet.png",
    ],
    "docs/how-to/predict-on-ray.md": ["bulk/predictions.csv"],
    "docs/how-to/report.md": ["runs/base/reports/elsewhere/report.html", "runs/focal/reports/test-vs-base/report.html"],
    "docs/how-to/download.md": [],
    "docs/how-to/app.md": [],
    "docs/how-to/serve.md": [
        "export/base-openvino-int8/1/base.bin",
        "export/base-litert-int8/1/base.tflite",
        "masks",
    ],
    "docs/how-to/tune.md": ["runs/tune-best/scores/test/summary.json", "runs/shared/best_config.json"],
}
SMALL: dict[str, dict[str, Any]] = {
    "data": {"image_size": 32, "split": {"train": 0.5, "val": 0.25, "test": 0.25}},
    "model": {"backbone": "resnet18", "encoder_weights": None},
    "train": {"epochs": 1, "batch_size": 4, "precision": "float32"},
    "score": {"bootstrap_resamples": 100},
}
INTERPRETERS = {"sh": ["bash", "-euo", "pipefail"], "python": [sys.executable]}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVER = re.compile(r"http://localhost:(\d+)/v1/models/lesion")


def blocks(page: str, kind: str) -> list[str]:
    return [lines for found, lines in BLOCK.findall(Path(page).read_text()) if found == kind]


def test_python_snippet_is_short() -> None:
    (snippet,) = blocks("README.md", "python")
    assert len(snippet.splitlines()) <= 10


def is_not_run(line: str) -> bool:
    return runs_elsewhere(line) or any(line.removeprefix("$ ").startswith(command) for command in NOT_RUN)


def runs_elsewhere(line: str) -> bool:
    return line.partition(" #")[0].strip() in ELSEWHERE


def test_all_pages_run_and_only_listed_commands_are_skipped() -> None:
    assert set(HOW_TO) == {str(path) for path in Path("docs/how-to").glob("*.md")} and OUTPUTS.keys() == set(PAGES)
    shown = [line for page in PAGES for block in blocks(page, "console") for line in block.splitlines()]
    made = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines() if is_not_run(line)]
    assert all(is_not_run(line) for line in shown)
    assert all(line.startswith("make ") or runs_elsewhere(line) for line in made)
    for command in [*NOT_RUN, *ELSEWHERE]:
        assert any(command in line for line in [*shown, *made]), command
    kinds = {kind for page in PAGES for kind, _ in BLOCK.findall(Path(page).read_text())}
    assert kinds <= {"sh", "python", "console", "json", "yaml", "text"}


@pytest.fixture(scope="module")
def checkout(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project, installed and with data."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "constraints.txt"):
        shutil.copy(name, place)
    shutil.copytree("configs", place / "configs")
    for path in (place / "configs").glob("*.json"):
        settings = json.loads(path.read_text())
        if "schema" not in path.name:
            path.write_text(json.dumps(shrink(settings)))
    programs = place / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    (programs / "activate").touch()
    for stamp in (".base", ".dev"):
        (place / ".venv" / stamp).touch()
    (place / "data").mkdir()
    (place / "path" / "to").mkdir(parents=True)
    shutil.copytree(phantoms, place / "path" / "to" / "ham10000")
    draw_phantoms(place / "path" / "to" / "other", 4, 8, width_px=96, height_px=64)
    shutil.copytree(place / "path" / "to" / "other" / "images", place / "photos")
    shutil.copytree(phantoms, place / "data" / "phantoms", copy_function=shutil.copyfile)
    return place


def shrink(settings: dict[str, Any]) -> dict[str, Any]:
    if "segmentation" in settings:
        settings |= {"features": {"size_px": 32}, "classifier": {"rounds": 3, "seeds": 1}, "score": SMALL["score"]}
    elif "extends" not in settings:
        for name, section in SMALL.items():
            settings[name] = settings.get(name, {}) | section
        settings["train"].pop("schedule", None)
    elif "train" in settings:
        settings["train"]["epochs"] = 1
    return settings


@contextlib.contextmanager
def servers(block: str, place: Path) -> Iterator[None]:
    """Serve the model that the page exported at the address in the block, if any."""
    address = SERVER.search(block)
    if address is None:
        yield
        return
    signatures = tf.saved_model.load(str(place / "export" / "base" / "1")).signatures
    with serve(signatures, port=int(address[1])) as url:
        assert url.endswith(address[0].partition(":" + address[1])[2])
        yield


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_run(page: str, checkout: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HAM10000_ROOT"}
    environment["PATH"] = f"{checkout / '.venv' / 'bin'}:{os.environ['PATH']}"
    environment["PYTHONPATH"] = str(ROOT)  # this checkout's package, even if another is installed
    for kind, block in BLOCK.findall(Path(page).read_text()):
        if kind not in INTERPRETERS:
            continue
        lines = "".join(line for line in block.splitlines(keepends=True) if not is_not_run(line))
        with servers(block, checkout):
            done = subprocess.run(
                [*INTERPRETERS[kind], "-c", lines], cwd=checkout, env=environment, capture_output=True, text=True
            )
        assert done.returncode == 0, f"{page}:\n{lines}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    for path in OUTPUTS[page]:
        assert (checkout / path).exists(), f"{page}: {path}"
