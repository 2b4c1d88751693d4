"""Start training from existing weights: those of another run, or a weights file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ham_keras.errors import HamError, SettingError
from ham_keras.runs import AnyConfig, Run, load_run
from ham_keras.runs.named import find_run
from ham_keras.settings import Model

if TYPE_CHECKING:
    import keras

KEY = "model.initial_weights"


def with_initial_weights(config: AnyConfig, *, overwrite: bool = False) -> AnyConfig:
    """Make `model.initial_weights` an absolute path, and check it if training would start from it.

    A run that has started no longer needs these weights, unless `overwrite` deletes the run.

    Raises:
        HamError: the run or file does not exist, is this run itself, or has another architecture or backbone.
    """
    if config.model.initial_weights is None:
        return config
    source = find_run(config.model.initial_weights).resolve()
    run = Run(Path(config.run.dir) / str(config.run.name))
    if run.folder.resolve() in (source, *source.parents):
        raise SettingError(KEY, f"{config.model.initial_weights}: is this run itself; choose run.name=NAME")
    if overwrite or not run.started:
        find_weights(source, config.model)
    return config.model_copy(update={"model": config.model.model_copy(update={"initial_weights": str(source)})})


def find_weights(source: Path, settings: Model) -> Path:
    """Return the weights file of a run folder, or the file itself.

    Raises:
        HamError: the run or file does not exist, or the run has no weights or another architecture or backbone.
    """
    if source.is_file():
        if not source.name.endswith(".weights.h5"):
            raise SettingError(KEY, f"{source}: expected a run folder or a .weights.h5 file")
        return source
    if not source.is_dir():
        raise SettingError(KEY, f"{source}: no such run folder, .weights.h5 file or model")
    try:
        run, config = load_run(source)
    except HamError as error:
        raise SettingError(KEY, f"{error}") from None
    for key in ("architecture", "backbone"):
        theirs, ours = getattr(config.model, key), getattr(settings, key)
        if theirs != ours:
            raise SettingError(KEY, f"{source}: its model.{key} is {theirs}, here it is {ours}; they must be the same")
    if not run.weights.exists():
        raise SettingError(KEY, f"{source}: has no weights yet; train that run first")
    return run.weights


def load_initial_weights(model: keras.Model, settings: Model) -> None:
    """Load `settings.initial_weights` into a network from `build_model` or `lesion_model`.

    Raises:
        HamError: see `find_weights`; also if the file is damaged or belongs to another network.
    """
    path = find_weights(find_run(str(settings.initial_weights)), settings)
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        first = str(error).strip().splitlines()[0]
        raise SettingError(KEY, f"{path}: does not fit {settings.architecture} {settings.backbone} ({first})") from None
