"""Writing an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
from limits import largest_file

from ham_keras.errors import FULL
from ham_keras.serving.formats import write_saved_model
from ham_keras.settings import Outline


def test_full_disk_is_a_system_error(tiny: Any, tmp_path: Path) -> None:
    images = keras.Input((32, 32, 3))
    model = keras.Model(images, keras.layers.Conv2D(1, 1, activation="sigmoid")(images))
    with largest_file(1000), pytest.raises(OSError) as raised:
        write_saved_model([(model, tiny().data)], Outline(), tmp_path / "1", "tiny")
    assert raised.value.errno in FULL
