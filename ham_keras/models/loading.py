"""Load the trained network of a run."""

from __future__ import annotations

import zipfile

import keras
import numpy as np

from ham_keras.config import Config
from ham_keras.errors import HamError
from ham_keras.models.build import build_model, build_training_model, lesion_model, side_variables
from ham_keras.models.network import SupervisedModel
from ham_keras.models.precision import dtype_policy
from ham_keras.runs import Run


def load_model(run: Run, config: Config) -> keras.Model:
    """Build the run's network in float32 and load its best weights.

    Raises:
        HamError: the run has no weights yet, or they belong to another network.
    """
    if not run.weights.exists():
        raise HamError(f"{run.weights}: not there yet; train the run first")
    with dtype_policy("float32"):
        model = build_model(config.model.model_copy(update={"encoder_weights": None}))
    _load_weights(model, run)
    return model


def load_side_outputs(run: Run, config: Config) -> SupervisedModel | None:
    """Like `load_model`, with the side outputs that the run was trained with; None if it has none.

    Raises:
        HamError: the weights belong to another network.
    """
    if not (config.model.deep_supervision and run.side_weights.exists()):
        return None
    with dtype_policy("float32"):
        model = build_training_model(config.model.model_copy(update={"encoder_weights": None}))
    _load_weights(lesion_model(model), run)
    try:
        with np.load(run.side_weights, allow_pickle=False) as values:
            for variable in side_variables(model):
                variable.assign(values[variable.path])
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise HamError(f"{run.side_weights}: does not fit {run.config} ({error})") from None
    return model


def _load_weights(model: keras.Model, run: Run) -> None:
    try:
        model.load_weights(run.weights)
    except (ValueError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise HamError(f"{run.weights}: does not fit {run.config} ({first})") from None
