"""Lesion segmentation in dermoscopy photographs: train, score, predict, diagnose and serve.

`load` opens a trained run or a model by its name, `models` lists these; `train`, `evaluate`, `predict`, `diagnose`,
`export`, `pack` and `report` run the commands of the same names.
Heavy dependencies are imported when one of them is called.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

# Must be set before TensorFlow, Keras and albumentations are imported. Errors in TensorFlow's C++ log that a user can
# fix are also raised as exceptions; albumentations would check for a newer release. The networks need Keras 3 on
# TensorFlow as `tf.keras`; models/qubvel.py checks what an earlier import has chosen.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else TensorFlow takes all memory of every GPU at once
os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "0", "SM_FRAMEWORK": "tf.keras"}

from ham_keras.errors import HamError

if TYPE_CHECKING:
    from ham_keras.diagnose import diagnose as diagnose
    from ham_keras.evaluate import evaluate as evaluate
    from ham_keras.export import export as export
    from ham_keras.models import models as models
    from ham_keras.pack import pack as pack
    from ham_keras.predict import predict as predict
    from ham_keras.prediction.ensemble import Folders
    from ham_keras.prediction.trained_run import TrainedEnsemble, TrainedRun
    from ham_keras.report import report as report
    from ham_keras.train import train as train

    __version__: str

__all__ = [
    "HamError", "__version__", "diagnose", "evaluate", "export", "load", "models", "pack", "predict", "report", "train",
]  # fmt: skip

# Modules that are also callable, as the function of the same name in them.
CALLABLE = {"train", "evaluate", "predict", "diagnose", "export", "models", "pack", "report"}


def load(run: Folders) -> TrainedRun | TrainedEnsemble:
    """Load a trained run to segment images, or several, whose probabilities are averaged.

    A run is a folder or the name of a model, see `models`. A cross-validation counts as its folds. A single run also
    has its `config` and `model`. A diagnosis run, a `TrainedDiagnosis`, also diagnoses.

    >>> run = ham_keras.load("runs/base")
    >>> run.segment("photo.jpg").mask
    >>> ham_keras.load("phantom").segment("photo.jpg").mask
    >>> ham_keras.load(["runs/base", "runs/other"]).segment("photo.jpg").mask
    >>> ham_keras.load("runs/diagnosis").diagnose("photo.jpg").probabilities

    Raises:
        HamError: `run` is not a run folder, or is not trained yet.
    """
    from ham_keras.diagnosis.folder import is_diagnosis

    if isinstance(run, str | os.PathLike) and is_diagnosis(run):
        from ham_keras.diagnosis.diagnoser import TrainedDiagnosis

        return TrainedDiagnosis(run)
    from ham_keras.prediction.trained_run import load_trained

    return load_trained(run)


class _Callable(ModuleType):
    """A module that is also callable as its function of the same name, e.g. `ham_keras.train`."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._function(*args, **options)

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(self._function)

    @property
    def _function(self) -> Any:
        return vars(self)[self.__name__.rpartition(".")[2]]


class _Package(ModuleType):
    """Makes the modules of `CALLABLE` callable when Python binds it to the package, in any order of imports."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in CALLABLE and isinstance(value, ModuleType):
            value.__class__ = _Callable
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in CALLABLE:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "__version__":
        from importlib import metadata

        try:
            return metadata.version("ham-keras")
        except metadata.PackageNotFoundError:
            pass  # running from a source tree without installation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
