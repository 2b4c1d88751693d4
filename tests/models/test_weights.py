"""Encoder weights: loading files, also in the Keras 2 layout, and errors when they are not available."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from ham_keras.errors import HamError
from ham_keras.models.build import build_model
from ham_keras.models.qubvel import build_encoder
from ham_keras.models.weights import load_encoder_weights
from ham_keras.settings import Model

ENCODER = ("resnet18", None)


def write_legacy(path: Path, seed: int) -> dict[str, list[np.ndarray]]:
    """Write random encoder weights in the Keras 2 layout: one group per layer, named in attributes."""
    rng = np.random.default_rng(seed)
    encoder = build_encoder(*ENCODER)
    written = {}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in encoder.layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.2.4"
        for layer in encoder.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            values = [rng.uniform(0.5, 1.5, weight.shape).astype(np.float32) for weight in layer.weights]
            for name, value in zip(names, values, strict=True):
                group[name] = value
            if values:
                written[layer.name] = values
    return written


def test_legacy_file_sets_every_encoder_layer(tmp_path: Path) -> None:
    path = tmp_path / "resnet18_imagenet_1000_no_top.h5"
    written = write_legacy(path, 1)
    model = build_model(Model(backbone="resnet18", encoder_weights=str(path)))
    assert len(written) > 30
    for name, values in written.items():
        for expected, weight in zip(values, model.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("backbone", ["seresnet18", "mobilenet", pytest.param("inceptionv3", marks=pytest.mark.slow)])
def test_encoders_with_numbered_layers_get_their_weights(tmp_path: Path, backbone: str) -> None:
    """A layer of the network returns the same features of an image as the encoder."""
    path = tmp_path / "encoder.weights.h5"
    keras.utils.set_random_seed(2)
    encoder = build_encoder(backbone, None)
    rng = np.random.default_rng(2)
    encoder.set_weights([weight + rng.uniform(-0.01, 0.01, weight.shape) for weight in encoder.get_weights()])
    encoder.save_weights(path)
    model = build_model(Model(backbone=backbone, encoder_weights=str(path)))
    network = next((layer for layer in model.layers if isinstance(layer, keras.Model)), model)
    images = rng.uniform(-1, 1, (1, 96, 96, 3)).astype(np.float32)
    features = encoder(images, training=False).numpy()
    alike = [layer.output for layer in network.layers if layer.output.shape[-1] == features.shape[-1]]
    outputs = keras.Model(network.input, alike)(images, training=False)
    found = [output.numpy() for output in (outputs if isinstance(outputs, list) else [outputs])]
    assert any(output.shape == features.shape and np.allclose(output, features, atol=1e-5) for output in found)
    assert features.std() > 0


def test_file_of_another_encoder_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.h5"
    write_legacy(path, 1)
    with pytest.raises(HamError, match=r"model\.encoder_weights: .*resnet18\.h5: does not fit"):
        build_model(Model(backbone="resnet34", encoder_weights=str(path)))


def test_network_without_the_encoder_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.h5"
    write_legacy(path, 1)
    network = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(1, 3)], name="plain")
    with pytest.raises(HamError, match=r"model\.encoder_weights: plain does not contain .*; set it to null"):
        load_encoder_weights(network, lambda weights: build_encoder("resnet18", weights), str(path))


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_missing_or_invalid_file_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "encoder.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HamError, match=r"model\.encoder_weights: .*encoder\.h5: (no such file|does not fit)"):
        build_model(Model(backbone="resnet18", encoder_weights=str(path)))


def test_failed_imagenet_download_reports_url_and_solutions(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(url: str, *_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", unreachable)
    monkeypatch.setattr("keras.src.utils.file_utils.os.path.exists", lambda path: False)
    with pytest.raises(HamError) as caught:
        build_model(Model(encoder_weights="imagenet"))
    message = str(caught.value)
    assert "\n" not in message
    assert "classification_models/releases/download/0.0.1/resnet34_imagenet_1000_no_top.h5" in message
    assert "put resnet34_imagenet_1000_no_top.h5 into" in message and ".keras/models" in message
    assert "model.encoder_weights=null" in message
