"""A folder that holds a config and the resumable work that it describes: a run, a cross-validation or a search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from ham_keras.config import Config, load_config_as, to_json
from ham_keras.errors import DamagedFileError, HamError, NewerVersionError
from ham_keras.files import LOCK, MovedAside, load_json, locked, save_text
from ham_keras.settings import WorkConfig

AnyConfig = TypeVar("AnyConfig", bound=Config)
# Where images are and are cached, which does not change the result, and what trains the network, which does so by
# rounding, and by more if the number of devices changes.
FREE = (
    "data.root", "data.cache", "data.cache_dir", "data.cache_limit_gb", "train.devices", "train.jit_compile",
)  # fmt: skip
IGNORED = ("schema_", "description", "run")
SPLIT_FILE = "data.split_file"


@dataclass(frozen=True)
class WorkFolder:
    """A folder that holds a config and the resumable work that it describes."""

    folder: Path

    kind: ClassVar[str] = "run"
    config_name: ClassVar[str] = "config.json"
    config_type: ClassVar[type[WorkConfig]] = Config
    movable: ClassVar[tuple[str, ...]] = ("model.initial_weights",)  # keys of runs and files that may have moved

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

    @property
    def begun_well(self) -> bool:
        """Whether this work has a first result, so that the work it overwrites is no longer needed."""
        raise NotImplementedError

    @contextmanager
    def opened(self, config: WorkConfig, *, overwrite: bool = False, lock: str = ".lock") -> Iterator[Self]:
        """Lock the folder, creating it if missing, until the `with` block ends.

        A folder without work takes the new config. Work of another config is an error, unless `overwrite` replaces it:
        the former work is moved aside and deleted when the block ends. If the new work has no result by then (see
        `begun_well`), it is moved back instead; after a kill, by the next call.

        Raises:
            HamError: the folder holds another config's work or other files, or another process holds the lock.
        """
        former = self._former
        other = self._other_work()
        if other is not None:
            raise HamError(f"{self.folder}: exists and is not a {self.kind} ({other}); choose run.name=NAME")
        with locked(self.folder, lock):
            if lock == LOCK:
                former.settle(self.begun_well)
            if self.config.exists() and not self.started:
                former.delete()
            elif self.config.exists() and overwrite:
                former.move()
            if self.config.exists():
                different = self.conflicts(self.load(), config)
                if different:
                    raise HamError(
                        f"{self.folder}: is a {self.kind} of another config (differs in {_first_few(different)}); "
                        f"choose run.name=NAME for a new {self.kind}, or --overwrite to delete this one"
                    )
            else:
                save_text(self.config, to_json(config))
            try:
                yield self
            finally:
                if lock == LOCK:
                    former.settle(self.begun_well)

    def _other_work(self) -> str | None:
        """What is in the folder that does not belong to this kind of work, if there is nothing of this kind."""
        former = self._former
        if former.exists():
            place = former.moved if former.moved.exists() else former.moving
            return None if former.holds(self.config_name) else f"a killed --overwrite has moved other work to {place}"
        if not self.folder.exists() or self.has_valid_config():
            return None
        others = (child.name for child in self.folder.iterdir() if not child.name.startswith("."))
        return next((f"it holds {name}" for name in others), None)

    @property
    def _former(self) -> MovedAside:
        return MovedAside(self.folder, lambda: self.contents)

    def recover(self) -> None:
        """Put work back that a killed --overwrite has moved aside, unless another process is replacing it."""
        if self._former.exists() and self._former.holds(self.config_name):
            with suppress(HamError), locked(self.folder):
                self._former.settle(self.begun_well)

    def conflicts(self, old: Any, new: Any) -> list[str]:
        """The keys in which two configs differ, except those of `FREE` and paths of the same thing.

        These are a split file that holds the same split, and what is `movable` and now elsewhere under its name.
        """
        found = [key for key in _differing_keys(old, new) if key not in FREE]
        moved = [key for key in self.movable if _has_moved(_value(old, key), _value(new, key))]
        return [key for key in found if key not in moved and not (key == SPLIT_FILE and self._is_own_split(new))]

    def adopt(self, config: Any) -> None:
        """Save what may differ between the config and that of this work, see `conflicts`.

        Call it after the data was found to contain all images of split.json.
        """
        saved = self.load()
        adopted = config.model_copy(update={key: getattr(saved, key) for key in IGNORED})
        if adopted != saved:
            save_text(self.config, to_json(adopted))

    def _is_own_split(self, config: Any) -> bool:
        try:
            return bool(load_json(Path(str(config.data.split_file))) == load_json(self.split))
        except (OSError, ValueError):
            return False

    def has_valid_config(self) -> bool:
        """Whether the folder is one of this kind.

        Raises:
            DamagedFileError: work is there, but its config is damaged.
            NewerVersionError: a newer version of this package wrote the config.
        """
        try:
            self.load()
        except DamagedFileError:
            if any(path.exists() for path in self.contents if path != self.config):
                raise
            return False
        except NewerVersionError:
            raise
        except HamError:
            return False
        return True

    def load(self, overrides: Sequence[str] = ()) -> Any:
        """Load the config, a `config_type`, with `section.key=value` overrides applied.

        Raises:
            DamagedFileError: the file is damaged; says how to write it again.
            HamError: see `config.load_config`.
        """
        try:
            return load_config_as(self.config_type, self.config, overrides)
        except DamagedFileError as error:
            raise DamagedFileError(
                f"{error}; write it again: python -m ham_keras.config CONFIG data.root=FOLDER > {self.config}"
            ) from None


def differences(old: WorkConfig, new: WorkConfig) -> str:
    """The first few keys in which two configs differ, except those that do not affect the work; empty if none."""
    return _first_few(_differing_keys(old, new))


def _first_few(keys: Sequence[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")


def _differing_keys(old: WorkConfig, new: WorkConfig) -> list[str]:
    return _differences(old.model_dump(exclude=set(IGNORED)), new.model_dump(exclude=set(IGNORED)))


def _value(config: WorkConfig, key: str) -> Any:
    return reduce(getattr, key.split("."), config)


def _has_moved(old: str | None, new: str | None) -> bool:
    """Whether a path was adopted whose last part is that of a path that no longer exists."""
    if not old or not new:
        return False
    return Path(old).name == Path(new).name and not Path(old).exists()


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], place: str = "") -> list[str]:
    found = []
    for key in {**old, **new}:
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            found += _differences(old[key], new[key], f"{place}{key}.")
        elif old.get(key) != new.get(key):
            found.append(place + key)
    return found


@dataclass(frozen=True)
class CalibratedFolder(WorkFolder):
    """A folder with trained networks, which `calibrate` writes trust.json into."""

    @property
    def trust(self) -> Path:
        return self.folder / "trust.json"

    @property
    def trust_table(self) -> Path:
        """The answers that trust.json was made from."""
        return self.folder / "trust.csv"
