"""A run folder: what lies where, whether it may be continued, and how its files are written."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ham_keras.config import Config, load_config, to_json
from ham_keras.errors import HamError


@dataclass(frozen=True)
class Run:
    """The paths of a run folder."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.json"

    @property
    def split(self) -> Path:
        return self.folder / "split.json"

    @property
    def environment(self) -> Path:
        return self.folder / "environment.json"

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
    def curves(self) -> Path:
        return self.folder / "curves.png"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"

    @property
    def contents(self) -> tuple[Path, ...]:
        """All that training and scoring write, the config last."""
        return (
            self.resume_state, self.weights, self.history, self.split, self.environment, self.repaired, self.curves,
            self.tensorboard, self.folder / "scores", self.folder / "reports", self.config,
        )  # fmt: skip

    def scores(self, name: str) -> Path:
        return self.folder / "scores" / name

    def report(self, name: str) -> Path:
        return self.folder / "reports" / name

    def summary(self, name: str) -> Path:
        return self.scores(name) / "summary.json"

    @property
    def started(self) -> bool:
        """Something was trained that a new config must not be mixed with."""
        return any(path.exists() for path in (self.resume_state, self.weights, self.history))

    @property
    def finished(self) -> bool:
        """Trained and scored: the resume state is removed last."""
        return self.summary("test").exists() and not self.resume_state.exists()


@contextmanager
def locked(folder: Path, name: str = ".lock", *, instead: str = "set run.name=") -> Iterator[None]:
    """Hold the folder, made when there is none, for this process; the lock goes with it, however it ends.

    `instead` is what the error names besides waiting.

    Raises:
        HamError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HamError(f"{folder}: another process is working on it; wait, or {instead}") from None
        yield


AnyConfig = TypeVar("AnyConfig", bound=Config)


def with_data_root(config: AnyConfig) -> AnyConfig:
    """Name the data folder in the config: `data.root`, else $HAM10000_ROOT, else data/ham10000.

    Raises:
        HamError: none of them is named, or the one that is named is not there.
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


@contextmanager
def open_run(config: Config, *, overwrite: bool = False) -> Iterator[Run]:
    """Hold the folder of this config's run, made when there is none, until the `with` block ends.

    A folder in which nothing was trained yet takes the new config. One that holds a trained or half-trained
    run must be of the same config, or is emptied first with `overwrite`.

    Raises:
        HamError: the folder holds another config's run, is not a run, or is held by another process.
    """
    run = Run(Path(config.run.dir) / str(config.run.name))
    if run.folder.exists() and not _is_config(run.config):
        strangers = [child for child in run.folder.iterdir() if not child.name.startswith(".")]
        if strangers:
            raise HamError(
                f"{run.folder}: exists and is not a run (it holds {strangers[0].name}); choose run.name=NAME"
            )
    with locked(run.folder):
        if run.config.exists() and (overwrite or not run.started):
            _empty(run)
        if run.config.exists():
            different = differences(load_run(run.folder)[1], config)
            if different:
                raise HamError(
                    f"{run.folder}: is a run of another config (differs in {different}); choose run.name=NAME for a "
                    f"new run, or --overwrite to delete this one"
                )
        else:
            save_text(run.config, to_json(config))
        yield run


def _is_config(path: Path) -> bool:
    try:
        load_config(path)
    except HamError:
        return False
    return True


def _empty(run: Run) -> None:
    """Delete what a run consists of and nothing else; its config last, so that until then it is a run to delete."""
    for path in run.contents:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def load_run(folder: Path | str, overrides: Sequence[str] = ()) -> tuple[Run, Config]:
    """An existing run and its config, with `section.key=value` overrides laid over it.

    Raises:
        HamError: the folder is not a run, an override is wrong.
    """
    run = Run(Path(folder))
    if not run.config.exists():
        raise HamError(f"{folder}: not a run folder (no config.json); expected e.g. runs/base")
    return run, load_config(run.config, overrides)


def differences(old: Config, new: Config) -> str:
    """The keys, a few of them, in which two configs ask for different work; empty where they ask for the same."""
    apart = {"schema_", "description", "run"}
    found = _differences(old.model_dump(exclude=apart), new.model_dump(exclude=apart))
    return ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], place: str = "") -> list[str]:
    found = []
    for key in {**old, **new}:
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            found += _differences(old[key], new[key], f"{place}{key}.")
        elif old.get(key) != new.get(key):
            found.append(place + key)
    return found


def save_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: names the file, also where the system does not: on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno is not None:
            error.filename = str(path)
        raise


def save_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    save_bytes(path, text.encode("utf-8"))


def save_json(path: Path, content: Any) -> None:
    save_text(path, json.dumps(content, indent=1) + "\n")


def load_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def load_csv(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:  # spreadsheets put a mark at the beginning
        return list(csv.DictReader(file))


def save_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of the same keys as a CSV with a header, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    save_text(path, text.getvalue())
