"""Named models: trained networks that are used by name, shipped with the package or in the user's own folders.

A model is a folder with model.json and the config, weights and scores of a run, which `ham_keras.pack` writes. The
folders that hold models are those of the environment variable HAM_KERAS_MODELS, separated by ":", then the package's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ham_keras.errors import HamError, shown, warn
from ham_keras.files import load_json
from ham_keras.settings import FEWEST_LESIONS

MODELS = "HAM_KERAS_MODELS"
SHIPPED = Path(__file__).parent.parent / "shipped"
DESCRIPTION = "model.json"
RUNS = Path("runs")


class About(BaseModel):
    """The content of model.json: what a user must know before using a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(min_length=1)
    trained_on: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    not_for: list[str] = Field(min_length=1)


@dataclass(frozen=True)
class NamedModel:
    """A trained network that is used by name.

    Attributes:
        name: that of the folder.
        folder: holds it, laid out as a run.
        about: what it is, what it was trained on, its licence, and when not to use it.
        size_mb: of its files, in 10^6 bytes.
        scores: the content of each scores/<set>/summary.json, by the name of the set.
    """

    name: str
    folder: Path
    about: About = field(repr=False)
    size_mb: float
    scores: dict[str, dict[str, Any]] = field(repr=False)

    @property
    def shipped(self) -> bool:
        """Whether it came with the package."""
        return self.folder.parent == SHIPPED

    def __str__(self) -> str:
        origin = "shipped" if self.shipped else str(self.folder)
        lines = [f"{self.name} ({self.size_mb:.1f} MB, {origin})", self.about.description]
        lines += [f"trained on: {self.about.trained_on}"]
        lines += [describe_scores(name, summary) for name, summary in self.scores.items()]
        lines += [f"licence: {self.about.licence}", f"not for: {'; '.join(self.about.not_for)}"]
        return "\n  ".join(map(shown, lines))


def describe_scores(name: str, summary: dict[str, Any]) -> str:
    """One line about a summary.json: the mean Jaccard index at the masks' own size, its interval, the share below."""
    native = summary["native"]
    mean, interval = native["jaccard"]["mean"], native["jaccard"]["interval"]
    few = ", too few lesions" if summary["lesions"] < FEWEST_LESIONS else ""
    between = f" ({interval[0]:.4f} to {interval[1]:.4f}{few})" if interval else " (one lesion only)"
    below = f"{100 * native['below_0.65']:.1f} % below 0.65"
    if name in ("train", "val", "test"):
        name = f"the {name} split of {Path(summary['data']).name}"
    return f"mean Jaccard on {name}, {summary['images']} images: {mean:.4f}{between}, {below}"


def find_models() -> list[NamedModel]:
    """All named models, the user's first; of two with one name, the first found. Warns of a damaged one."""
    found: dict[str, NamedModel] = {}
    for folder in model_folders():
        for path in sorted(folder.glob(f"[!.]*/{DESCRIPTION}")):  # a hidden one is of a killed `pack`
            try:
                found.setdefault(path.parent.name, load_named(path.parent))
            except HamError as error:
                warn(str(error))
    return list(found.values())


def list_models() -> str:
    """The named models as text, for people."""
    models = find_models()
    if not models:
        return f"no named models; pack a trained run with `python -m ham_keras.pack RUN -o FOLDER/NAME`, set {MODELS}"
    return "\n\n".join(map(str, models)) + "\n\nResearch use; not a medical device."


def model_folders() -> Iterator[Path]:
    """The folders that hold named models, those of the user first."""
    yield from (Path(each).expanduser() for each in os.environ.get(MODELS, "").split(os.pathsep) if each)
    yield SHIPPED


def is_named(folder: Path) -> bool:
    """Whether a folder is a named model: laid out as a run, but without its images, and not to be written to."""
    return (folder / DESCRIPTION).is_file()


def load_named(folder: Path) -> NamedModel:
    """Read a model's description and scores.

    Raises:
        HamError: a file is missing or damaged.
    """
    path = folder / DESCRIPTION
    try:
        about = About.model_validate(load_json(path))
        summaries = {each.parent.name: load_json(each) for each in sorted(folder.glob("scores/*/summary.json"))}
        size_mb = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) / 1e6
    except ValidationError as error:
        first = error.errors()[0]
        raise HamError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; pack the run again") from None
    except (OSError, ValueError) as error:
        raise HamError(f"{folder}: a model that cannot be read ({error}); pack the run again") from None
    return NamedModel(folder.name, folder, about, size_mb, summaries)


def find_run(given: Path | str) -> Path:
    """The folder that `given` means, wherever a run is accepted: a path, or the name of a model.

    A path that exists is that path, also without a slash. Any other name without a slash is looked up among the named
    models; if none has it, the path is returned as it is, for the caller to report.

    Raises:
        HamError: the name is that of a model and of a run in runs/.
    """
    path = Path(given).expanduser()
    if path.exists() or str(given) != path.name or not path.name:
        return path
    model = next((folder / path.name for folder in model_folders() if is_named(folder / path.name)), None)
    if model is None:
        return path
    if (RUNS / path).exists():
        raise HamError(f"{given}: a run, {RUNS / path}, and a model, {model}; give the folder of the one you mean")
    return model


def unknown_run(given: Path | str) -> str:
    """The one line of an error about something that is no run: says which names there are, if it looks like one."""
    path, start = Path(given), f"{given}: not a run folder (no config.json)"
    models = {model.name: model.folder for model in find_models()} if str(given) == path.name else {}
    if path.exists() and path.name in models:
        return f"{start}; the model of this name is {models[path.name]}"
    if path.exists() or str(given) != path.name:
        return f"{start}; expected e.g. runs/base"
    return f"{start} and no model has this name; models: {', '.join(models) or 'none'}"


def check_is_run(folder: Path, purpose: str) -> None:
    """Raise a HamError if a folder is a named model, which lacks the images and split of its run."""
    if is_named(folder):
        raise HamError(f"{folder}: a model, without the images of its run; {purpose} needs the run itself")
