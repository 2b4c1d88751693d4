"""MFSNet: its outputs, its ablations, and the sum of its maps."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError
from untrained import enlarge_mfsnet_logits

from ham_keras.models.architectures.mfsnet import build_mfsnet
from ham_keras.models.build import build_model, build_training_model
from ham_keras.models.layers.attention import ReverseAttention
from ham_keras.models.network import mask_edges
from ham_keras.models.precision import dtype_policy
from ham_keras.serving.signatures import build_signatures
from ham_keras.settings import Data, Model, Outline
from ham_keras.training.losses import NamedLoss


def settings(**model: Any) -> Model:
    return Model(**{"architecture": "mfsnet", "backbone": "mobilenet", "encoder_weights": None} | model)


def test_deep_supervision_adds_the_coarser_maps_and_the_edge() -> None:
    sides = {side.name: side for side in build_mfsnet(settings(deep_supervision=True)).sides}
    assert list(sides) == ["global", "deep_32", "deep_16", "edge"]
    assert {side.weight for side in sides.values()} == {1.0}
    assert {name: side.loss for name, side in sides.items() if side.loss} == {"edge": "bce"}
    without = build_mfsnet(settings(deep_supervision=True, boundary_attention=False))
    assert [side.name for side in without.sides] == ["global", "deep_32", "deep_16"]


def test_ablations_remove_weights_of_the_boundary_only() -> None:
    whole, without_reverse, without_boundary = (
        build_model(settings(**off)).count_params()
        for off in ({}, {"reverse_attention": False}, {"boundary_attention": False})
    )
    assert whole == without_reverse
    # Convolutions of 64 features (1x1 of MobileNet's 128, two 3x3), their BatchNormalization, and what the first
    # convolution of each stage has for them: 256 filters of 5x5, twice 64 of 3x3.
    edge = 128 * 64 + 2 * 9 * 64 * 64 + 3 * 4 * 64
    assert whole - without_boundary == edge + 64 * (256 * 25 + 2 * 64 * 9)
    with pytest.raises(ValidationError, match="reverse_attention is false, but unet has no attention; only mfsnet has"):
        Model(reverse_attention=False)


@pytest.mark.parametrize("reverse", [True, False])
def test_stages_see_features_weighted_by_what_the_coarser_map_has_not_found(reverse: bool) -> None:
    model = build_training_model(settings(reverse_attention=reverse))
    inner = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    coarser = {32: "reverse_32x_coarser_pool", 16: "reverse_16x_coarser_up", 8: "reverse_8x_coarser_up"}
    attentions = {layer.name: layer for layer in inner.layers if isinstance(layer, ReverseAttention)}
    assert set(attentions) == ({f"reverse_{factor}x_attention" for factor in coarser} if reverse else set())
    for factor, name in coarser.items():
        entering = inner.get_layer(f"reverse_{factor}x_in_conv").input
        block = inner.get_layer(f"rfb_{factor}x_1_conv").input  # the encoder's features
        if reverse:
            attention = attentions[f"reverse_{factor}x_attention"]
            assert attention.input[0] is block and attention.input[1] is inner.get_layer(name).output
            assert entering is attention.output
        else:
            assert entering is block


def test_frozen_encoder_trains_its_batchnorm_and_the_decoder() -> None:
    frozen, free = (
        {variable.path for variable in build_model(settings(encoder_freeze=freeze)).trainable_variables}
        for freeze in (True, False)
    )
    kernels = {path for path in free if path.startswith(("conv1/", "conv_dw_", "conv_pw_")) and "_bn/" not in path}
    assert free - frozen == kernels and len(kernels) == 27  # MobileNet's convolutions
    assert any("bn" in path and path.startswith("conv_pw") for path in frozen)
    assert any(path.startswith("ppd") for path in frozen)


def test_each_map_adds_to_the_coarser_one() -> None:
    """Stages that add nothing leave the global map, averaged to 1/32 of the size and enlarged again."""
    keras.utils.set_random_seed(0)
    model = build_training_model(settings(deep_supervision=True))
    inner = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    for factor in (32, 16, 8):
        layer = inner.get_layer(f"reverse_{factor}x_logits")
        layer.set_weights([0 * weight for weight in layer.get_weights()])
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    outputs = keras.Model(inner.input, [inner.get_layer("ppd_logits").output, inner.output])(images / 127.5 - 1)
    small, maps = outputs[0], outputs[1]
    coarsest = tf.nn.avg_pool2d(small, 4, 4, "VALID")
    expected = tf.image.resize(coarsest, [4, 6])
    np.testing.assert_allclose(maps["deep_16"], tf.image.resize(expected, [64, 96]), atol=1e-4)
    expected = tf.image.resize(expected, [8, 12])
    np.testing.assert_allclose(maps["lesion"], tf.image.resize(expected, [64, 96]), atol=1e-4)
    assert np.ptp(maps["global"].numpy()) > np.ptp(maps["lesion"].numpy()) > 0


def test_maps_are_float32_in_half_precision_and_near_those_in_float32() -> None:
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    found = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.utils.set_random_seed(0)
        with dtype_policy(policy):
            model = build_training_model(settings(deep_supervision=True))
        enlarge_mfsnet_logits(model)
        found.append(model(images, training=False))
    inner = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    assert {tensor.dtype for tensor in inner.output.values()} == {"float32"}
    for name, half in found[1].items():
        np.testing.assert_allclose(half, found[0][name], atol=0.1)
    assert np.ptp(found[0]["lesion"]) > 0.2


def test_edges_are_the_two_pixels_at_the_outline_and_not_the_border() -> None:
    mask = np.zeros((1, 6, 6, 1), np.float32)
    mask[:, 3:, 2:] = 1
    expected = np.zeros((6, 6))
    expected[2:4, 1:], expected[2:, 1:3] = 1, 1
    np.testing.assert_array_equal(mask_edges(tf.constant(mask))[0, ..., 0], expected)


def test_exported_signature_returns_the_networks_probabilities() -> None:
    keras.utils.set_random_seed(0)
    model = build_model(settings())
    enlarge_mfsnet_logits(model)
    signatures = build_signatures([(model, Data(image_size=[32, 64]))], Outline())
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 64, 3)).astype(np.float32)
    found = signatures["serve_network"](images=tf.constant(images))["probability"]
    expected = model(images, training=False)[..., 0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(expected) > 0.05


@pytest.mark.slow
def test_step_compiled_with_xla_matches_the_ordinary_one() -> None:
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    masks = (images[..., :1] > 128).astype(np.float32)
    losses, changes = [], []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        model = build_training_model(settings(deep_supervision=True))
        inner = next(layer for layer in model.layers if isinstance(layer, keras.Model))
        kernels = [inner.get_layer(name).kernel for name in ("ppd_logits", "reverse_8x_logits", "edge_logits")]
        before = [kernel.numpy() for kernel in kernels]
        loss = {name: NamedLoss("boundary_jaccard_bce") for name in model.output}
        model.compile("sgd", loss=loss, jit_compile=jit_compile)
        losses.append(model.train_on_batch(images, model.targets(masks)))
        changes.append([kernel.numpy() - old for kernel, old in zip(kernels, before, strict=True)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    for compiled, ordinary in zip(changes[1], changes[0], strict=True):
        np.testing.assert_allclose(compiled, ordinary, atol=0.02 * np.abs(ordinary).max())
