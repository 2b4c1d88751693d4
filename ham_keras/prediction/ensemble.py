"""Trained runs whose probabilities are averaged: one run, several, or the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ham_keras.config import Config
from ham_keras.crossval_folder import CrossvalFolder
from ham_keras.errors import HamError, warn
from ham_keras.runs import Run, load_trained_run
from ham_keras.runs.named import find_run
from ham_keras.settings import Outline
from ham_keras.trust.file import Trust, file_digest, load_trust

Folders = Path | str | Sequence[Path | str]


@dataclass(frozen=True)
class Member:
    """A trained run and its config. `name` is its folder's name; that of a fold is e.g. "base/fold_0"."""

    name: str
    run: Run
    config: Config


@dataclass(frozen=True)
class Ensemble:
    """Trained runs whose probabilities are averaged. A single run is an ensemble of one.

    Attributes:
        name: that of the run or the cross-validation; of several runs, their names joined by "+".
        split: the split file of the first folder.
        home: holds the ensemble's scores: the run itself, or the cross-validation's `ensemble`; None for several runs.
        trust: the trust.json of the run or the cross-validation, which may be missing; None for several runs.
    """

    name: str
    members: tuple[Member, ...]
    split: Path
    home: Run | None
    trust: Path | None = None

    @property
    def config(self) -> Config:
        """The first member's config, for settings that do not belong to a network."""
        return self.members[0].config

    @property
    def names(self) -> list[str]:
        return [member.name for member in self.members]

    @property
    def trust_table(self) -> Path:
        """The answers that `trust` was made from. Only of a run or a cross-validation."""
        assert self.trust is not None
        return self.trust.with_name("trust.csv")

    def weights_digest(self) -> str:
        """SHA-256 of the weights of each member, joined with "+"."""
        return "+".join(file_digest(member.run.weights) for member in self.members)

    def load_trust(self) -> Trust | None:
        """Read trust.json; None if there is none.

        Raises:
            HamError: see `trust.file.load_trust`.
        """
        if self.trust is None or not self.trust.exists():
            return None
        return load_trust(self.trust, self.weights_digest())

    def agreed_outline(self) -> Outline:
        """The first member's post-processing. Warns of settings in which other members differ."""
        outlines = [member.config.outline.model_dump() for member in self.members]
        for key, value in outlines[0].items():
            if any(outline[key] != value for outline in outlines):
                warn(f"outline.{key} differs between the runs; if not set here, it is {value}, as in {self.names[0]}")
        return self.config.outline


def single_run(run: Run, config: Config) -> Ensemble:
    """Return a run as an ensemble of one."""
    name = run.folder.resolve().name
    return Ensemble(name, (Member(name, run, config),), run.split, run, run.trust)


def load_ensemble(folders: Folders, overrides: Sequence[str] = ()) -> Ensemble:
    """Find the runs of an ensemble: `folders` are runs, and cross-validations, which count as their folds.

    A run can also be the name of a model, see `runs.named.find_run`.

    `overrides` are applied to the config of each run.

    Raises:
        HamError: a folder is neither, a run is given twice or has no weights yet, or an override is invalid.
    """
    given = [find_run(folder) for folder in ([folders] if isinstance(folders, str | Path) else folders)]
    if not given:
        raise HamError("expected at least one run folder, e.g. runs/base")
    members = tuple(member for folder in given for member in _members(folder, overrides))
    seen: set[Path] = set()
    for member in members:
        folder = member.run.folder.resolve()
        if folder in seen:
            raise HamError(f"{member.run.folder}: given twice; give each run once")
        seen.add(folder)
    first = CrossvalFolder(given[0])
    if len(given) > 1:
        return Ensemble("+".join(folder.resolve().name for folder in given), members, first.split, None)
    if first.config.exists():
        return Ensemble(first.folder.resolve().name, members, first.split, first.ensemble, first.trust)
    return single_run(members[0].run, members[0].config)


def is_run_folder(path: Path | str) -> bool:
    """Whether a path is the folder of a run or of a cross-validation, or the name of a model."""
    folder = find_run(path)
    folders = Run(folder), CrossvalFolder(folder)
    return any(folder.config.exists() and folder.has_valid_config() for folder in folders)


def _members(folder: Path, overrides: Sequence[str]) -> Iterator[Member]:
    crossval = CrossvalFolder(folder)
    if not crossval.config.exists():
        run, config = load_trained_run(folder, overrides)
        yield Member(folder.resolve().name, run, config)
        return
    for number in range(crossval.load().folds):
        fold = crossval.fold(number)
        if not fold.weights.exists():
            raise HamError(f"{fold.weights}: not there yet; finish the cross-validation with its command")
        run, config = load_trained_run(fold.folder, overrides)
        yield Member(f"{folder.resolve().name}/{fold.folder.name}", run, config)


def describe_settings(
    ensemble: Ensemble, outline: Outline, probability_bits: int | None = None, *, margin: bool = False
) -> dict[str, Any]:
    """Describe what predictions depend on: the weights, the post-processing, trust.json, and what is saved."""
    used = {"run": "+".join(ensemble.names), "weights_sha256": ensemble.weights_digest(), **outline.model_dump()}
    trust = file_digest(ensemble.trust) if ensemble.trust is not None and ensemble.trust.exists() else None
    return {**used, "trust_sha256": trust, "probability_bits": probability_bits, "margin": margin or None}
