"""The folder of a diagnosis run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ham_keras.diagnosis.config import DiagnosisConfig
from ham_keras.errors import HamError
from ham_keras.files import load_json, save_json
from ham_keras.runs import WorkFolder

CONFIG, PAGE = "diagnosis.json", "report.html"


@dataclass(frozen=True)
class DiagnosisFolder(WorkFolder):
    """The paths of a diagnosis run."""

    kind = "diagnosis run"
    config_name = CONFIG
    config_type = DiagnosisConfig
    movable = ("segmentation", "features.cross_validation")

    @property
    def features(self) -> Path:
        """Cached features of the images; deleted when the config changes."""
        return self.folder / "features"

    def answers(self, side: str) -> Path:
        """The log-probabilities [N, K] by the networks of `features.trained`, in the order of the cached features."""
        return self.features / side / "answers.npy"

    @property
    def classifier(self) -> Path:
        return self.folder / "classifier"

    @property
    def inputs(self) -> Path:
        """SHA-256 of the files that features and networks are made from, when the run was begun."""
        return self.folder / "inputs.json"

    @property
    def importances(self) -> Path:
        return self.folder / "importances.csv"

    @property
    def importance_groups(self) -> Path:
        return self.folder / "importance_groups.csv"

    @property
    def contents(self) -> tuple[Path, ...]:
        folders = (self.features, self.classifier, self.folder / "scores", self.folder / "reports")
        return (
            *folders,
            self.inputs,
            self.importances,
            self.importance_groups,
            self.environment,
            self.split,
            self.config,
        )

    def scores(self, name: str) -> Path:
        return self.folder / "scores" / name

    def summary(self, name: str) -> Path:
        return self.scores(name) / "summary.json"

    def report(self, name: str) -> Path:
        return self.folder / "reports" / name

    @property
    def begun_well(self) -> bool:
        """Whether a seed or a network has been trained."""
        return any(self.classifier.glob("[!.]*"))

    @property
    def finished(self) -> bool:
        """Whether the test side is scored and reported; the report is written last."""
        return self.summary("test").exists() and (self.report("test") / PAGE).exists()


def open_diagnosis(config: DiagnosisConfig, *, overwrite: bool = False) -> AbstractContextManager[DiagnosisFolder]:
    """Open the folder of a config; see `WorkFolder.opened`."""
    return DiagnosisFolder(Path(config.run.dir) / str(config.run.name)).opened(config, overwrite=overwrite)


def is_diagnosis(folder: Path | str) -> bool:
    """Whether a folder is a diagnosis run."""
    return (Path(folder) / CONFIG).is_file()


def load_diagnosis(folder: Path | str) -> tuple[DiagnosisFolder, DiagnosisConfig]:
    """An existing diagnosis run and its config.

    Raises:
        HamError: the folder is not a diagnosis run.
    """
    found = DiagnosisFolder(Path(folder))
    if not is_diagnosis(folder):
        raise HamError(f"{folder}: not a diagnosis run (no {CONFIG}); expected e.g. runs/diagnosis")
    return found, found.load()


def check_inputs(folder: DiagnosisFolder, digests: Mapping[str, str]) -> None:
    """Check that the files a run is made from are those it was begun with, which a new run writes down.

    Args:
        digests: by setting, see `segmentation.input_digests`.

    Raises:
        HamError: a file has changed, and the setting is named; or the run was begun before these were written down.
    """
    if not folder.inputs.exists():
        if any(folder.features.glob("*/*.npz")) or folder.begun_well:
            raise HamError(
                f"{folder.folder}: was begun by an earlier version, which did not write down what from; --overwrite "
                f"starts over"
            )
        save_json(folder.inputs, dict(digests))
        return
    begun = load_json(folder.inputs)
    changed = [setting for setting, digest in digests.items() if begun.get(setting) != digest]
    if changed:
        raise HamError(
            f"{changed[0]}: its files have changed since {folder.folder} was begun; --overwrite starts over, and "
            f"run.name=NAME keeps this run"
        )


def describe_classifier(folder: Path | str) -> dict[str, str]:
    """What probabilities depend on, for the settings of predictions: the run and the SHA-256 of its classifier.

    Raises:
        HamError: not a diagnosis run, or not trained yet.
    """
    found, _ = load_diagnosis(folder)
    files = sorted(found.classifier.glob("*.json"))
    if not found.finished:
        raise HamError(f"{folder}: not finished yet; run diagnose with its config first")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return {"run": found.folder.resolve().name, "sha256": digest}
