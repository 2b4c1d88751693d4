"""Prediction with a local Ray writes the same folder as without it, even if a worker dies."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ham_keras.data.records import find_records
from ham_keras.errors import HamError
from ham_keras.files import load_csv
from ham_keras.predict import main, predict
from ham_keras.prediction import ray_engine
from ham_keras.prediction.ensemble import load_ensemble
from ham_keras.prediction.folder import PredictionFolder
from ham_keras.runs import Run
from ham_keras.settings import Outline

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def two_cores(request: pytest.FixtureRequest) -> Iterator[None]:
    """A local Ray cluster with room for two workers, which is told that it has so many GPUs."""
    ray.init(num_cpus=2, num_gpus=request.param, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


def masks(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")}


def workers() -> set[int]:
    """Process ids of the living workers."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # also raised for zombies
            if "MapWorker" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("two_cores", [0, 1], ids=["no GPU", "a GPU"], indirect=True)
def test_killed_workers_are_replaced_and_outputs_are_the_same(
    trained: Run, phantoms: Path, two_cores: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_text("no image")
    paths = [record.image_path for record in find_records(phantoms).records] + [broken]
    repeated = tmp_path / "p1" / paths[0].name  # so that ids include folders
    repeated.parent.mkdir()
    shutil.copy(paths[1], repeated)
    paths.append(repeated)
    alone = predict(trained.folder, paths, tmp_path / "alone", visible=False)
    monkeypatch.setattr(ray_engine, "BLOCK", 1)
    seen: list[set[int]] = []
    free_gpus: list[float] = []
    add = PredictionFolder.add

    def add_and_kill(predictions: PredictionFolder, row: dict[str, Any]) -> None:
        add(predictions, row)
        seen.append(workers())
        free_gpus.append(ray.available_resources().get("GPU", 0.0))
        if len(seen) == 1:
            for pid in seen[0]:
                os.kill(pid, signal.SIGKILL)

    monkeypatch.setattr(PredictionFolder, "add", add_and_kill)
    shared = predict(trained.folder, paths, tmp_path / "shared", engine="ray", workers=2, visible=False)
    assert len(seen[0]) == 2 and free_gpus[0] == 0.0  # each worker holds half of it
    assert set.union(*seen) - seen[0], "no new worker did the rest"
    assert shared == alone and list(shared.failures) == [broken]
    assert any(name.endswith(f"p1/{paths[0].stem}_segmentation.png") for name in masks(tmp_path / "shared"))
    assert masks(tmp_path / "shared") == masks(tmp_path / "alone")
    assert load_csv(tmp_path / "shared" / "predictions.csv") == load_csv(tmp_path / "alone" / "predictions.csv")


def test_nothing_to_predict_needs_no_cluster(trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ham_keras.prediction.ray_engine._ray", lambda: pytest.fail("started Ray"))
    assert (
        list(ray_engine.predict_on_ray(load_ensemble(trained.folder), Outline(), [], PredictionFolder(tmp_path))) == []
    )


@pytest.mark.slow
@pytest.mark.parametrize("two_cores", [0], indirect=True)
def test_worker_that_cannot_write_raises(trained: Run, phantoms: Path, two_cores: None, tmp_path: Path) -> None:
    (tmp_path / "overlays").symlink_to("a disk that is gone")
    with pytest.raises(HamError, match=r"a worker of Ray: .*overlays"):
        predict(trained.folder, [phantoms / "images"], tmp_path, engine="ray", workers=1, visible=False)


@pytest.mark.parametrize(
    ("cluster", "blocks", "workers", "expected"),
    [
        ({"CPU": 8.0}, 9, None, (4, 0.0)),  # one for two cores
        ({"CPU": 1.0}, 9, None, (1, 0.0)),
        ({"CPU": 8.0}, 3, None, (3, 0.0)),
        ({"CPU": 8.0}, 9, 6, (6, 0.0)),
        ({"CPU": 8.0, "GPU": 2.0}, 9, None, (2, 1.0)),  # one for each GPU
        ({"CPU": 8.0, "GPU": 2.0}, 1, None, (1, 1.0)),
        ({"CPU": 8.0, "GPU": 4.0}, 9, 2, (2, 1.0)),
        ({"CPU": 8.0, "GPU": 2.0}, 9, 3, (3, 0.5)),  # with 2/3, the third would fit on neither
        ({"CPU": 8.0, "GPU": 1.0}, 9, 3, (3, 0.3333)),
        ({"CPU": 8.0, "GPU": 1.0}, 9, 7, (7, 0.1428)),  # not 0.1429, of which seven are more than one
    ],
)
def test_workers_share_cores_and_gpus(
    cluster: dict[str, float], blocks: int, workers: int | None, expected: tuple[int, float]
) -> None:
    assert ray_engine.share_cluster(cluster, blocks, workers) == expected


def test_unreachable_cluster_raises(
    trained: Run, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise ConnectionError("Failed to connect")

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(HamError, match=r"RAY_ADDRESS: 127\.0\.0\.1:1: Failed to connect"):
        main([str(trained.folder), str(phantoms / "images"), "-o", str(tmp_path), "--engine", "ray"])


def test_missing_ray_raises(trained: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HamError, match=r"ray is not installed; pip install 'ray\[data\]'$"):
        ensemble = load_ensemble(trained.folder)
        next(ray_engine.predict_on_ray(ensemble, Outline(), [tmp_path / "a.jpg"], PredictionFolder(tmp_path)))
