"""Run folders: their paths, and opening them to start or resume a run."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ham_keras.config import Config
from ham_keras.errors import HamError
from ham_keras.files import save_json
from ham_keras.runs.named import find_run, unknown_run
from ham_keras.runs.work import AnyConfig, CalibratedFolder, WorkFolder, differences
from ham_keras.settings.versions import RENAMED

__all__ = [
    "AnyConfig", "CalibratedFolder", "Run", "WorkFolder", "check_name", "check_overrides", "differences",
    "find_data_root", "load_run", "load_trained_run", "open_run", "with_data_root",
]  # fmt: skip


@dataclass(frozen=True)
class Run(CalibratedFolder):
    """The paths of a run folder."""

    @property
    def weights(self) -> Path:
        return self.folder / "model.weights.h5"

    @property
    def side_weights(self) -> Path:
        return self.folder / "side_outputs.npz"

    @property
    def resume_state(self) -> Path:
        return self.folder / "resume.npz"

    @property
    def history(self) -> Path:
        return self.folder / "history.csv"

    @property
    def repaired(self) -> Path:
        return self.folder / "repaired.json"

    @property
    def extension(self) -> Path:
        """Exists while a finished run waits to be continued with more epochs."""
        return self.folder / "extension.json"

    @property
    def curves(self) -> Path:
        return self.folder / "curves.png"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"

    @property
    def contents(self) -> tuple[Path, ...]:
        return (
            self.resume_state, self.extension, self.weights, self.side_weights, self.history, self.split,
            self.environment, self.repaired, self.trust, self.trust_table, self.curves, self.tensorboard,
            self.folder / "scores", self.folder / "reports", self.robustness(), self.config,
        )  # fmt: skip

    def scores(self, name: str) -> Path:
        return self.folder / "scores" / name

    def report(self, name: str) -> Path:
        return self.folder / "reports" / name

    def robustness(self, name: str = "test") -> Path:
        """Where the scores of changed images are: those of the test split, and in it those of other sets."""
        folder = self.folder / "robustness"
        return folder if name == "test" else folder / name

    def summary(self, name: str) -> Path:
        return self.scores(name) / "summary.json"

    @property
    def started(self) -> bool:
        return any(path.exists() for path in (self.resume_state, self.weights, self.history))

    @property
    def begun_well(self) -> bool:
        """Whether an epoch has been saved."""
        return self.history.exists()

    @property
    def finished(self) -> bool:
        """Whether the run is trained and scored; the resume state is deleted last."""
        unfinished = self.resume_state.exists() or self.extension.exists()
        return self.summary("test").exists() and not unfinished

    def conflicts(self, old: Any, new: Any) -> list[str]:
        """As in `WorkFolder`; a run can also take over more epochs."""
        more = new.train.epochs > old.train.epochs
        return [key for key in super().conflicts(old, new) if key != "train.epochs" or not more]

    def adopt(self, config: Any) -> None:
        """As in `WorkFolder`; a finished run with more epochs is no longer finished."""
        epochs = self.load().train.epochs
        if self.finished and config.train.epochs > epochs:
            save_json(self.extension, {"from": epochs, "to": config.train.epochs})
        super().adopt(config)


def with_data_root(config: AnyConfig) -> AnyConfig:
    """Set the data folder in the config, see `find_data_root`.

    Raises:
        HamError: none is set, or the folder does not exist.
    """
    root = find_data_root(config.data.root)
    return config.model_copy(update={"data": config.data.model_copy(update={"root": root})})


def find_data_root(root: str | None) -> str:
    """The absolute path of the data folder: `root`, which is `data.root`, else $HAM10000_ROOT, else data/ham10000.

    Raises:
        HamError: none of them is set, or the folder does not exist.
    """
    named = "data.root"
    if root is None and os.environ.get("HAM10000_ROOT"):
        named, root = "HAM10000_ROOT", os.environ["HAM10000_ROOT"]
    if root is None and Path("data/ham10000").is_dir():
        root = "data/ham10000"
    if root is None:
        raise HamError(
            "data.root: no data folder; set data.root=FOLDER or HAM10000_ROOT, download HAM10000 with "
            "`python -m ham_keras.data.download data/ham10000`, or try `make sample`, which needs no data"
        )
    folder = Path(root).expanduser().resolve()
    if not folder.is_dir():
        raise HamError(f"{named}: {root}: no such data folder")
    return str(folder)


def open_run(config: Config, *, overwrite: bool = False) -> AbstractContextManager[Run]:
    """Open the run folder of a config; see `WorkFolder.opened`."""
    return Run(Path(config.run.dir) / str(config.run.name)).opened(config, overwrite=overwrite)


def load_run(folder: Path | str, overrides: Sequence[str] = ()) -> tuple[Run, Config]:
    """Load an existing run, or a named model, and its config, with `section.key=value` overrides applied.

    Raises:
        HamError: the folder is not a run, or an override is invalid.
    """
    run = Run(find_run(folder))
    run.recover()
    if not run.config.exists():
        raise HamError(unknown_run(folder))
    return run, run.load(overrides)


def load_trained_run(folder: Path | str, overrides: Sequence[str] = ()) -> tuple[Run, Config]:
    """Like `load_run`, for a run that has weights.

    Raises:
        HamError: see `load_run`, or the run has no weights yet.
    """
    run, config = load_run(folder, overrides)
    if not run.weights.exists():
        raise HamError(f"{run.weights}: not there yet; train the run first")
    return run, config


def check_overrides(overrides: Sequence[str], allowed: Sequence[str]) -> Sequence[str]:
    """Return the overrides of a trained run after checking that they set only these sections and keys.

    Raises:
        HamError: an override sets another key.
    """
    for override in overrides:
        key = override.partition("=")[0]
        key = RENAMED.get(key, key)
        if not any(f"{key}.".startswith(f"{each}.") for each in allowed):
            raise HamError(
                f"{override}: expected only {', '.join(allowed)} for a trained run, e.g. outline.threshold=0.4"
            )
    return overrides


def check_name(option: str, name: str, *, reserved: Collection[str] = ()) -> None:
    """Check the name of a set of scores, which is that of a folder in the run's.

    Raises:
        HamError: it leads elsewhere, is hidden, or is one of `reserved`.
    """
    if Path(name).name != name or name.startswith("."):
        raise HamError(f"{option} {name}: expected a name without slashes and without a leading dot")
    if name in reserved:
        raise HamError(f"{name!r} is a name of the run's own; choose --name NAME")
