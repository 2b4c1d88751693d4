"""Feature Pyramid Network (Lin et al. 2017) for segmentation (Kirillov et al. 2019)."""

from __future__ import annotations

from ham_keras.models.network import Network
from ham_keras.models.qubvel import FPN, build_segmenter
from ham_keras.models.registry import ARCHITECTURES
from ham_keras.settings import Model


@ARCHITECTURES.register("fpn")
def build_fpn(settings: Model) -> Network:
    """Build segmentation_models' FPN."""
    model = build_segmenter(FPN, settings)
    return Network(model.input, model.output)
