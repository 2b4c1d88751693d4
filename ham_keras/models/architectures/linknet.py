"""LinkNet (Chaurasia and Culurciello 2017)."""

from __future__ import annotations

from ham_keras.models.network import Network
from ham_keras.models.qubvel import Linknet, build_segmenter
from ham_keras.models.registry import ARCHITECTURES
from ham_keras.settings import Model


@ARCHITECTURES.register("linknet")
def build_linknet(settings: Model) -> Network:
    """Build segmentation_models' Linknet."""
    model = build_segmenter(Linknet, settings)
    return Network(model.input, model.output)
