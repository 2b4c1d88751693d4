"""What several test files need: small phantoms, the real data, a config that trains in seconds."""

from __future__ import annotations

import functools
import os
import shutil

# Before TensorFlow is imported by anything.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    """The real HAM10000 that $HAM10000_ROOT names; without it the test is skipped."""
    root = os.environ.get("HAM10000_ROOT")
    if not root:
        pytest.skip("HAM10000_ROOT is not set")
    return Path(root)


@pytest.fixture(scope="session")
def tiny_config(phantoms: Path) -> Any:
    """Make a config of a run below a folder, on the small phantoms at 32 pixels, that trains in seconds.

    Sections, as keywords, are laid over it.
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
    """`tiny_config` below this test's own folder."""
    return functools.partial(tiny_config, tmp_path)


@pytest.fixture(scope="session")
def trained(tiny_config: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run, trained in bfloat16. Tests may score it again, and change nothing else in it."""
    from ham_keras.train import train

    settings = {"epochs": 2, "batch_size": 4, "precision": "mixed_bfloat16", "learning_rate": 1e-3}
    return train(tiny_config(tmp_path_factory.mktemp("trained"), train=settings), visible=False).run


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, as Playwright's Browser; without one on the PATH the test is skipped, or fails where $CI is.

    Of a module, not of the session: while it lives, nothing else in this thread can run an asyncio loop.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next((path for path in map(shutil.which, names) if path), None)
    if executable is None:
        tell = pytest.fail if os.environ.get("CI") else pytest.skip
        tell(f"none of {', '.join(names)} is on the PATH")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable, args=options)
        yield chromium
        chromium.close()
