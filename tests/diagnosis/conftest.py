"""A small diagnosis run on the small phantoms, behind the trained segmentation run."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from ham_keras.config import parse_config_as
from ham_keras.diagnosis.config import DiagnosisConfig
from ham_keras.runs import Run


@pytest.fixture(scope="session")
def two_diagnoses(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small phantoms, every second lesion melanoma and the others nevi."""
    root = tmp_path_factory.mktemp("two") / "phantoms"
    shutil.copytree(phantoms, root)
    (root / "GroundTruth.csv").unlink()
    with open(root / "HAM10000_metadata.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    lesions = sorted({row["lesion_id"] for row in rows})
    for row in rows:
        row["dx"] = ("mel", "nv")[lesions.index(row["lesion_id"]) % 2]
    with open(root / "HAM10000_metadata.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root


@pytest.fixture(scope="session")
def small_diagnosis(trained: Run, two_diagnoses: Path) -> Any:
    """Make the config of a diagnosis run that takes seconds. Sections given as keywords override it."""

    def make(folder: Path, **sections: Any) -> DiagnosisConfig:
        settings: dict[str, Any] = {
            "run": {"name": "diagnosis", "dir": str(folder / "runs")},
            "segmentation": str(trained.folder),
            "data": {"root": str(two_diagnoses)},
            "features": {"size_px": 32},
            "network": {},
            "classifier": {"rounds": 5, "seeds": 2, "min_child_weight": 0, "colsample": 1.0},
            "score": {"bootstrap_resamples": 100},
        }
        for name, section in sections.items():
            settings[name] = settings[name] | section if isinstance(section, dict) else section
        return parse_config_as(DiagnosisConfig, settings, "diagnosis")

    return make


@pytest.fixture(scope="session")
def diagnosed(small_diagnosis: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished diagnosis run. Tests may score it on more images but must not change anything else."""
    from ham_keras.diagnose import diagnose

    return diagnose(small_diagnosis(tmp_path_factory.mktemp("diagnosed")), visible=False).run.folder
