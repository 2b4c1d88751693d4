"""The package installed from its wheel works in an empty folder, without the clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ham_keras.config import load_config
from ham_keras.files import load_csv, load_json

ROOT = Path.cwd()
SOURCES = ("ham_keras", "configs", "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
MODEL = "ham_keras/shipped/named/scores/test/summary.json"
TINY = (
    "train.epochs=1", "train.batch_size=4", "train.schedule.warmup_epochs=0", "train.precision=float32",
    "data.image_size=32", "score.bootstrap_resamples=100",
)  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel, built from a copy of the sources."""
    place = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, place / "source")
    (place / "source" / MODEL).parent.mkdir(parents=True)
    (place / "source" / MODEL).write_text("{}")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = ["wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(place), "./source"]
    subprocess.run([*pip, *built], check=True, cwd=place, capture_output=True)
    (wheel,) = place.glob("*.whl")
    installed = ["install", "--no-deps", "--no-index", "--target", str(place / "site"), str(wheel)]
    subprocess.run([*pip, *installed], check=True, cwd=place, capture_output=True)
    return place / "site"


@pytest.fixture(scope="module")
def run(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run a command in an initially empty folder; returns its output, or its error output if it should fail."""
    folder = tmp_path_factory.mktemp("empty")
    environment = {name: value for name, value in os.environ.items() if name != "HAM10000_ROOT"}
    environment |= {"PYTHONPATH": str(site), "PATH": f"{site / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def run(*line: str, status: int = 0) -> str:
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == status, f"{line}:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
        return done.stdout if status == 0 else done.stderr

    run.folder = folder  # type: ignore[attr-defined]
    return run


def test_wheel_contains_all_package_files(site: Path) -> None:
    def files(folder: Path) -> set[str]:
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {str(path) for path in found if "__pycache__" not in path.parts}

    configs = {f"configs/{name}" for name in files(ROOT / "configs")}
    model = MODEL.removeprefix("ham_keras/")  # stands for one that ships
    assert files(site / "ham_keras") == files(ROOT / "ham_keras") | configs | {model}
    assert "py.typed" in files(site / "ham_keras")


def test_sample_is_trained_predicted_and_reported(site: Path, run: Any) -> None:
    assert run(sys.executable, "-c", "import ham_keras; print(ham_keras.__file__)").startswith(f"{site}/")
    assert run("ham-keras").startswith("usage: ham-keras COMMAND ...")
    run("ham-keras", "data.phantom", "data/phantoms", "--count", "16", "--width", "96", "--height", "64")
    printed = run("ham-keras", "train", "sample", *TINY)
    assert "runs/sample: unet resnet18, float32, 12 train, " in printed
    left = run.folder / "runs" / "sample"
    assert load_config(left / "config.json").run.name == "sample"
    assert load_json(left / "environment.json")["command"].endswith(" ".join(["ham-keras train sample", *TINY]))
    run("ham-keras", "predict", "runs/sample", "data/phantoms/images", "-o", "predictions")
    rows = load_csv(run.folder / "predictions" / "predictions.csv")
    assert len(rows) == 16
    mask = np.asarray(Image.open(run.folder / "predictions" / f"{rows[0]['image_id']}_segmentation.png"))
    photograph = f"predictions/{rows[0]['image']}"
    code = f"import ham_keras; print(ham_keras.load('runs/sample').segment({photograph!r}).mask.sum())"
    assert int(run(sys.executable, "-c", code)) == (mask == 255).sum()
    run("ham-keras", "pack", "runs/sample", "-o", "models/own", "--licence", "CC0")
    code = code.replace("runs/sample", "own").replace(
        "import ", "import os; os.environ['HAM_KERAS_MODELS'] = 'models'; import "
    )
    assert abs(int(run(sys.executable, "-c", code)) - (mask == 255).sum()) < 0.05 * mask.size
    page = left / "reports" / "test" / "report.html"
    page.unlink()
    run("ham-keras", "report", "runs/sample")
    assert "<html" in page.read_text()


def test_shipped_configs_are_found_by_name(run: Any) -> None:
    assert "hyperband" in run("ham-keras", "tune", "tune", "--dry-run").lower()
    assert run("ham-keras", "train", "nosuch", status=2) == (
        "error: nosuch: no such config file; expected a file, or a shipped config's name: base, best, diagnosis, "
        "diagnosis-sample, full, mfsnet, phantom, robust, sample, tune\n"
    )
    shutil.copy(ROOT / "configs" / "sample.json", run.folder / "base")
    assert '"resnet18"' in run("ham-keras", "config", "base")
