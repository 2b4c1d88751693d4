"""Writing an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
from limits import largest_file

from ham_keras.errors import FULL
from ham_keras.serving.formats import Writer, write_litert, write_onnx, write_openvino, write_saved_model
from ham_keras.settings import Outline


def test_full_disk_is_a_system_error(tiny: Any, tmp_path: Path) -> None:
    images = keras.Input((32, 32, 3))
    model = keras.Model(images, keras.layers.Conv2D(1, 1, activation="sigmoid")(images))
    with largest_file(1000), pytest.raises(OSError) as raised:
        write_saved_model([(model, tiny().data)], Outline(), tmp_path / "1", "tiny")
    assert raised.value.errno in FULL


@pytest.mark.parametrize("write", [write_litert, write_openvino, write_onnx])
def test_full_disk_is_a_system_error_in_every_format(write: Writer, tiny: Any, tmp_path: Path) -> None:
    """Also with files that are deleted at the end, which are then in the folder of the export."""
    images = keras.Input((None, None, 3))
    hidden = keras.layers.Conv2D(512, 3, padding="same")(images)
    model = keras.Model(images, keras.layers.Conv2D(1, 1, activation="sigmoid")(hidden))
    (tmp_path / "1").mkdir()
    with largest_file(20_000), pytest.raises(OSError) as raised:
        write([(model, tiny().data)], Outline(), tmp_path / "1", "tiny")
    assert raised.value.errno in FULL
