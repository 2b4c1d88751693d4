"""Keras as the networks need it, whatever the environment chooses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf

from ham_keras.errors import HamError
from ham_keras.models.qubvel import check_keras

HOSTILE = {"SM_FRAMEWORK": "keras", "TF_USE_LEGACY_KERAS": "1", "KERAS_BACKEND": "jax"}
BUILD = """
from ham_keras.models.build import build_model
from ham_keras.settings import Model
print(build_model(Model(backbone="resnet18", encoder_weights=None)).output_shape)
"""


def test_network_is_built_whatever_the_environment_chooses(tmp_path: Path) -> None:
    settings = {"image_data_format": "channels_first", "backend": "torch", "floatx": "float16"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    environment = {**os.environ, **HOSTILE, "KERAS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "(None, None, None, 1)", done.stderr[-2000:]


def test_keras_imported_before_with_another_choice_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf, "keras", SimpleNamespace(__version__="2.21.0"), raising=False)
    with pytest.raises(HamError, match=r"^TF_USE_LEGACY_KERAS: tf\.keras is Keras 2\.21\.0"):
        check_keras()
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(HamError, match=r"^KERAS_BACKEND: Keras was imported with jax before ham_keras"):
        check_keras()


def test_data_format_of_keras_json_is_replaced() -> None:
    keras.config.set_image_data_format("channels_first")
    check_keras()
    assert keras.config.image_data_format() == "channels_last"
