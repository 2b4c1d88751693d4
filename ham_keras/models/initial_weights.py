"""Start from weights that were trained before: those of another run, or of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ham_keras.errors import HamError, SettingError
from ham_keras.runs import AnyConfig, Run, load_run
from ham_keras.settings import Model

if TYPE_CHECKING:
    import keras

KEY = "model.initial_weights"


def with_initial_weights(config: AnyConfig, *, overwrite: bool = False) -> AnyConfig:
    """The config with the absolute path of `model.initial_weights`, checked where training would start from it.

    A run that was started needs it no more, unless `overwrite` deletes that run.

    Raises:
        HamError: no such run or file, it is this run itself, or of another architecture or backbone.
    """
    if config.model.initial_weights is None:
        return config
    source = Path(config.model.initial_weights).expanduser().resolve()
    run = Run(Path(config.run.dir) / str(config.run.name))
    if run.folder.resolve() in (source, *source.parents):
        raise SettingError(KEY, f"{config.model.initial_weights}: is this run itself; choose run.name=NAME")
    if overwrite or not run.started:
        find_weights(source, config.model)
    return config.model_copy(update={"model": config.model.model_copy(update={"initial_weights": str(source)})})


def find_weights(source: Path, settings: Model) -> Path:
    """The weights file of a run's folder, or the file itself.

    Raises:
        HamError: no such run or file; a run without weights, or of another architecture or backbone.
    """
    if source.is_file():
        if not source.name.endswith(".weights.h5"):
            raise SettingError(KEY, f"{source}: expected a run folder or a .weights.h5 file")
        return source
    if not source.is_dir():
        raise SettingError(KEY, f"{source}: no such run folder or .weights.h5 file")
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
    """Load `settings.initial_weights` into a network as `build_model` makes it, and so into what shares its layers.

    Raises:
        HamError: as `find_weights`; the file is of another network, or damaged.
    """
    path = find_weights(Path(str(settings.initial_weights)).expanduser(), settings)
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        first = str(error).strip().splitlines()[0]
        raise SettingError(KEY, f"{path}: does not fit {settings.architecture} {settings.backbone} ({first})") from None
