"""Load the trained network of a run."""

from __future__ import annotations

import keras

from ham_keras.config import Config
from ham_keras.errors import HamError
from ham_keras.models.build import build_model
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
    try:
        model.load_weights(run.weights)
    except (ValueError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise HamError(f"{run.weights}: does not fit {run.config} ({first})") from None
    return model
