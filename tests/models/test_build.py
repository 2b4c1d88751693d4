"""Networks: shapes, dtypes, ranges, side outputs, and the list of supported backbones."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ham_keras.errors import HamError
from ham_keras.models.backbones import SUPPORTED_BACKBONES
from ham_keras.models.build import build_model, build_network, build_training_model, lesion_model, preprocess
from ham_keras.models.network import SupervisedModel
from ham_keras.models.precision import dtype_policy
from ham_keras.models.qubvel import segmentation_models
from ham_keras.models.registry import ARCHITECTURES
from ham_keras.settings import Model

RNG = np.random.default_rng(0)


def model_settings(**settings: object) -> Model:
    return Model(**{"backbone": "resnet18", "encoder_weights": None, **settings})


def test_reference_unet_has_24_456_154_parameters_and_linear_logits() -> None:
    model = build_model(model_settings(backbone="resnet34"))
    assert model.count_params() == 24_456_154
    assert model.output.dtype == "float32"
    assert model.layers[-2].activation is keras.activations.linear


@pytest.mark.parametrize("architecture", ARCHITECTURES.names())
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_probabilities_are_float32_at_image_size(architecture: str, policy: str) -> None:
    keras.utils.set_random_seed(0)
    with dtype_policy(policy):
        model = build_model(model_settings(architecture=architecture))
    assert model.layers[1].compute_dtype == policy.removeprefix("mixed_")
    images = np.random.default_rng(0).uniform(0, 1, (2, 64, 96, 3))  # brighter images saturate an untrained network
    probability = model(images.astype(np.float32), training=False).numpy()
    assert probability.shape == (2, 64, 96, 1)
    assert probability.dtype == np.float32
    assert 0 <= probability.min() < probability.max() <= 1


@pytest.mark.parametrize("architecture", ARCHITECTURES.names())
@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet"])  # without and with preprocessing before the network
def test_inference_model_drops_side_outputs_and_keeps_lesion_output(
    architecture: str, backbone: str, tmp_path: Path
) -> None:
    settings = model_settings(architecture=architecture, backbone=backbone, deep_supervision=True)
    images = RNG.uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)
    try:
        trained = build_training_model(settings)
    except HamError as error:
        assert str(error) == f"model.deep_supervision: {architecture} has no side outputs; set it to false"
        return
    outputs = trained(images, training=False)
    assert isinstance(trained, SupervisedModel) and set(outputs) == {"lesion", *(side.name for side in trained.sides)}
    targets = trained.targets(tf.zeros([2, 64, 96, 1]))
    assert {name: output.shape for name, output in outputs.items()} == {name: t.shape for name, t in targets.items()}
    assert {output.dtype for output in outputs.values()} == {tf.float32}
    lesion_model(trained).save_weights(tmp_path / "a.weights.h5")
    for other in (settings, settings.model_copy(update={"deep_supervision": False})):
        used = build_model(other)
        used.load_weights(tmp_path / "a.weights.h5")
        np.testing.assert_array_equal(used(images, training=False), outputs["lesion"])
        assert used.count_params() < trained.count_params()


def test_initial_weights_do_not_depend_on_side_outputs() -> None:
    models = []
    for deep in (False, True):
        keras.utils.set_random_seed(1)
        models.append(build_model(model_settings(deep_supervision=deep)))
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batchnorm_momentum_comes_from_config() -> None:
    model = build_model(model_settings(batchnorm_momentum=0.75))
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(layers) > 20 and {layer.momentum for layer in layers} == {0.75}


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet"])  # with our layers, and with Keras' own
def test_batchnorm_is_synchronized_on_several_devices_alone(monkeypatch: pytest.MonkeyPatch, backbone: str) -> None:
    def synchronized(**options: Any) -> set[bool]:
        outer = build_training_model(model_settings(backbone=backbone, **options)).layers
        layers = [*outer, *(inner for layer in outer for inner in getattr(layer, "layers", ()))]
        return {layer.synchronized for layer in layers if isinstance(layer, keras.layers.BatchNormalization)}

    assert synchronized(batchnorm_synchronized=True) == {False}
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: SimpleNamespace(num_replicas_in_sync=2))
    assert synchronized(batchnorm_synchronized=True) == {True}
    assert synchronized() == {False}


def test_frozen_encoder_keeps_batchnorm_and_decoder_trainable() -> None:
    frozen = build_model(model_settings(encoder_freeze=True))
    free = build_model(model_settings())
    trainable = {variable.path for variable in frozen.trainable_variables}
    not_trained = {variable.path for variable in free.trainable_variables} - trainable
    assert not_trained and all("kernel" in path and "decoder" not in path for path in not_trained)
    assert any("bn" in path and "stage" in path for path in trainable)


def test_only_image_offset_is_not_trainable() -> None:
    free = build_model(model_settings())
    trainable = {variable.path for variable in free.trainable_variables}
    not_trained = {variable.path for variable in free.weights} - trainable
    assert {path for path in not_trained if "/moving_" not in path} == {"bn_data/beta"}


@pytest.mark.parametrize("backbone", SUPPORTED_BACKBONES)
def test_preprocessing_matches_segmentation_models(backbone: str) -> None:
    images = RNG.uniform(0, 255, (1, 4, 4, 3)).astype(np.float32)
    expected = segmentation_models.get_preprocessing(backbone)(images.copy())
    np.testing.assert_allclose(preprocess(tf.constant(images), backbone), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_network_with_preprocessing_reloads_its_weights(policy: str, tmp_path: Path) -> None:
    settings = model_settings(backbone="mobilenet")
    images = RNG.uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    with dtype_policy(policy):
        first, second = build_model(settings), build_model(settings)
    first.save_weights(tmp_path / "a.weights.h5")
    second.load_weights(tmp_path / "a.weights.h5")
    probability = first(images, training=False).numpy()
    assert probability.shape == (1, 64, 96, 1) and probability.dtype == np.float32
    np.testing.assert_array_equal(probability, second(images, training=False))


# `ALL_BACKBONES=1` tests every backbone with every architecture. By default one encoder of each
# family that differs only in depth, the architectures taking turns, because building depends on the encoder. The large
# ones have hundreds of layers for each of many groups and take minutes; resnext101 built and reloaded with all three
# architectures.
TOO_LARGE = {"resnext101", "seresnext101", "senet154"}
EXCLUDED = {"seresnext101", "senet154"}
DEEPER_VARIANTS = {
    "resnet34", "resnet101", "resnet152", "seresnet34", "seresnet101", "seresnet152", "vgg19", "densenet169",
    "densenet201", *(f"efficientnetb{number}" for number in range(1, 8)),
}  # fmt: skip
TEST_ALL = bool(os.environ.get("ALL_BACKBONES"))
KNOWN = sorted(segmentation_models.get_available_backbone_names())
CHOSEN = sorted({*KNOWN} - TOO_LARGE - DEEPER_VARIANTS)
PAIRS = (
    list(itertools.product(ARCHITECTURES.names(), KNOWN))
    if TEST_ALL
    else list(zip(itertools.cycle(ARCHITECTURES.names()), CHOSEN, strict=False))
)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "backbone"), PAIRS)
def test_supported_backbones_build_and_reload_and_others_do_not(
    architecture: str, backbone: str, tmp_path: Path
) -> None:
    images = RNG.uniform(0, 255, (1, 32, 64, 3)).astype(np.float32)
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    try:
        settings = Model.model_construct(architecture=architecture, backbone=backbone)
        networks = [build_network(settings), build_network(settings)]
    except ValueError:
        assert backbone not in SUPPORTED_BACKBONES
        return
    first, second = (keras.Model(network.image, network.lesion) for network in networks)
    first.save_weights(tmp_path / "a.weights.h5")
    second.load_weights(tmp_path / "a.weights.h5")
    logits = first(images, training=False).numpy()
    assert logits.shape == (1, 32, 64, 1) and np.isfinite(logits).all()
    np.testing.assert_array_equal(logits, second(images, training=False))
    assert backbone in {*SUPPORTED_BACKBONES, *EXCLUDED}
