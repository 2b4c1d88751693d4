"""Run folders: their paths, and opening them to start or resume work. Search folders have the same structure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from ham_keras.config import RENAMED, Config, load_config, load_config_as, to_json
from ham_keras.errors import HamError
from ham_keras.files import locked, save_text

AnyConfig = TypeVar("AnyConfig", bound=Config)


@dataclass(frozen=True)
class WorkFolder:
    """A folder that holds a config and the resumable work that it describes."""

    folder: Path

    kind: ClassVar[str] = "run"
    config_name: ClassVar[str] = "config.json"
    config_type: ClassVar[type[Config]] = Config

    @property
    def config(self) -> Path:
        return self.folder / self.config_name

    @property
    def split(self) -> Path:
        return self.folder / "split.json"

    @property
    def environment(self) -> Path:
        return self.folder / "environment.json"

    @property
    def contents(self) -> tuple[Path, ...]:
        """Everything that the work writes, the config last."""
        raise NotImplementedError

    @property
    def started(self) -> bool:
        """Whether the folder holds work that must not be mixed with another config's."""
        return self.config.exists()

    @contextmanager
    def opened(self, config: Config, *, overwrite: bool = False, lock: str = ".lock") -> Iterator[Self]:
        """Lock the folder, creating it if missing, until the `with` block ends.

        A folder without work takes the new config. Work of another config is an error, unless `overwrite` deletes it.

        Raises:
            HamError: the folder holds another config's work or other files, or another process holds the lock.
        """
        if self.folder.exists() and not self.has_valid_config():
            other_files = [child for child in self.folder.iterdir() if not child.name.startswith(".")]
            if other_files:
                raise HamError(
                    f"{self.folder}: exists and is not a {self.kind} (it holds {other_files[0].name}); choose "
                    f"run.name=NAME"
                )
        with locked(self.folder, lock):
            if self.config.exists() and (overwrite or not self.started):
                self.empty()
            if self.config.exists():
                different = differences(load_config_as(self.config_type, self.config), config)
                if different:
                    raise HamError(
                        f"{self.folder}: is a {self.kind} of another config (differs in {different}); choose "
                        f"run.name=NAME for a new {self.kind}, or --overwrite to delete this one"
                    )
            else:
                save_text(self.config, to_json(config))
            yield self

    def has_valid_config(self) -> bool:
        """Whether the folder is one of this kind."""
        try:
            load_config_as(self.config_type, self.config)
        except HamError:
            return False
        return True

    def empty(self) -> None:
        """Delete what the work wrote and nothing else; the config last, so that the deletion can be repeated."""
        for path in self.contents:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Run(WorkFolder):
    """The paths of a run folder."""

    @property
    def weights(self) -> Path:
        return self.folder / "model.weights.h5"

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
    def trust(self) -> Path:
        return self.folder / "trust.json"

    @property
    def trust_table(self) -> Path:
        return self.folder / "trust.csv"

    @property
    def curves(self) -> Path:
        return self.folder / "curves.png"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"

    @property
    def contents(self) -> tuple[Path, ...]:
        return (
            self.resume_state, self.weights, self.history, self.split, self.environment, self.repaired, self.trust,
            self.trust_table, self.curves, self.tensorboard, self.folder / "scores", self.folder / "reports",
            self.config,
        )  # fmt: skip

    def scores(self, name: str) -> Path:
        return self.folder / "scores" / name

    def report(self, name: str) -> Path:
        return self.folder / "reports" / name

    def summary(self, name: str) -> Path:
        return self.scores(name) / "summary.json"

    @property
    def started(self) -> bool:
        return any(path.exists() for path in (self.resume_state, self.weights, self.history))

    @property
    def finished(self) -> bool:
        """Whether the run is trained and scored; the resume state is deleted last."""
        return self.summary("test").exists() and not self.resume_state.exists()


def with_data_root(config: AnyConfig) -> AnyConfig:
    """Set the data folder in the config: `data.root`, else $HAM10000_ROOT, else data/ham10000.

    Raises:
        HamError: none of them is set, or the folder does not exist.
    """
    named, root = "data.root", config.data.root
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
    return config.model_copy(update={"data": config.data.model_copy(update={"root": str(folder)})})


def open_run(config: Config, *, overwrite: bool = False) -> AbstractContextManager[Run]:
    """Open the run folder of a config; see `WorkFolder.opened`."""
    return Run(Path(config.run.dir) / str(config.run.name)).opened(config, overwrite=overwrite)


def load_run(folder: Path | str, overrides: Sequence[str] = ()) -> tuple[Run, Config]:
    """Load an existing run and its config, with `section.key=value` overrides applied.

    Raises:
        HamError: the folder is not a run, or an override is invalid.
    """
    run = Run(Path(folder))
    if not run.config.exists():
        raise HamError(f"{folder}: not a run folder (no config.json); expected e.g. runs/base")
    return run, load_config(run.config, overrides)


def load_trained_run(folder: Path | str, overrides: Sequence[str] = ()) -> tuple[Run, Config]:
    """Like `load_run`, for a run that has weights.

    Raises:
        HamError: see `load_run`, or the run has no weights yet.
    """
    run, config = load_run(folder, overrides)
    if not run.weights.exists():
        raise HamError(f"{run.weights}: not there yet; train the run first")
    return run, config


def differences(old: Config, new: Config) -> str:
    """The first few keys in which two configs differ, except those that do not affect the work; empty if none."""
    ignored = {"schema_", "description", "run"}
    found = _differences(old.model_dump(exclude=ignored), new.model_dump(exclude=ignored))
    return ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], place: str = "") -> list[str]:
    found = []
    for key in {**old, **new}:
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            found += _differences(old[key], new[key], f"{place}{key}.")
        elif old.get(key) != new.get(key):
            found.append(place + key)
    return found


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
