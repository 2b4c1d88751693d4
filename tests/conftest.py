"""Shared fixtures: small phantoms, the real data, a config that trains in seconds, a trained run, a browser."""

from __future__ import annotations

import functools
import os
import shutil

# Must be set before TensorFlow is imported.
if not os.environ.get("HAM_KERAS_TEST_GPU"):  # `make test-gpu` sets it
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ham_keras.config import Config, parse_config
from ham_keras.data.phantoms.dataset import draw_phantoms
from ham_keras.runs import Run


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 phantoms of 96x64 pixels, some with a reversed palette."""
    root = tmp_path_factory.mktemp("data") / "phantoms"
    draw_phantoms(root, 24, 7, palette_fraction=0.125, width_px=96, height_px=64)
    return root


@pytest.fixture(scope="session")
def real_root() -> Path:
    """The real HAM10000 in $HAM10000_ROOT; skips the test if it is not set."""
    root = os.environ.get("HAM10000_ROOT")
    if not root:
        pytest.skip("HAM10000_ROOT is not set")
    return Path(root)


@pytest.fixture(scope="session")
def tiny_config(phantoms: Path) -> Any:
    """Make the config of a run that trains in seconds, on the small phantoms at 32 pixels.

    Sections given as keywords override it.
    """

    def make(folder: Path, **sections: dict[str, Any]) -> Config:
        settings: dict[str, Any] = {
            "run": {"name": "tiny", "dir": str(folder / "runs")},
            "data": {"root": str(phantoms), "image_size": 32, "split": {"train": 0.5, "val": 0.25, "test": 0.25}},
            "model": {"backbone": "resnet18", "encoder_weights": None},
            "train": {"epochs": 2, "batch_size": 4, "precision": "float32"},
            "score": {"bootstrap_resamples": 100},
        }
        for name, section in sections.items():
            settings[name] = settings.get(name, {}) | section
        return parse_config(settings, "tiny")

    return make


@pytest.fixture
def tiny(tiny_config: Any, tmp_path: Path) -> Any:
    """`tiny_config` with the run in the test's own folder."""
    return functools.partial(tiny_config, tmp_path)


@pytest.fixture(scope="session")
def trained(tiny_config: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run, trained in bfloat16. Tests may score it again but must not change anything else."""
    from ham_keras.train import train

    settings = {"epochs": 2, "batch_size": 4, "precision": "mixed_bfloat16", "learning_rate": 1e-3}
    return train(tiny_config(tmp_path_factory.mktemp("trained"), train=settings), visible=False).run


@pytest.fixture
def plotted(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    """The data of each figure saved during the test: by file name, a dict per axes.

    It has "title", "lines" [x, y] by label, "points" [N, 2] of each scatter plot, "bars" (heights), "images" and
    "texts".
    """
    from matplotlib.figure import Figure

    figures: dict[str, list[dict[str, Any]]] = {}
    save = Figure.savefig

    def record(figure: Figure, path: Path, **options: Any) -> None:
        figures[Path(path).stem.rpartition(".")[2]] = [  # without the prefix of temporary files
            {
                "title": axes.get_title() or axes.get_title("left"),
                "lines": {str(line.get_label()): np.asarray(line.get_xydata()).T for line in axes.lines},
                "points": [np.asarray(points.get_offsets()) for points in axes.collections],
                "bars": [bar.get_height() for bar in axes.patches if hasattr(bar, "get_height")],
                "images": [np.asarray(image.get_array()) for image in axes.images],
                "texts": [text.get_text() for text in axes.texts],
            }
            for axes in figure.axes
        ]
        save(figure, path, **options)

    monkeypatch.setattr(Figure, "savefig", record)
    return figures


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium as a Playwright Browser. If none is on the PATH, skips the test, or fails it if $CI is set.

    Module scope, because nothing else in this thread can run an asyncio loop while it is open.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next((path for path in map(shutil.which, names) if path), None)
    if executable is None:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(f"none of {', '.join(names)} is on the PATH")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable, args=options)
        yield chromium
        chromium.close()
