"""U-Net's deep supervision."""

from __future__ import annotations

from ham_keras.models.architectures.unet import build_unet
from ham_keras.settings import Model


def test_deep_supervision_halves_size_and_loss_weight() -> None:
    network = build_unet(Model(backbone="vgg16", deep_supervision=True))
    assert [(side.name, side.weight, side.logits.shape[-1]) for side in network.sides] == [
        ("deep_2", 0.5, 1),
        ("deep_4", 0.25, 1),
        ("deep_8", 0.125, 1),
    ]
    assert build_unet(Model(backbone="vgg16")).sides == ()
