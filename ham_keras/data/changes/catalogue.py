"""The changes by name, with their amounts at the five strengths.

Names and, where given, amounts follow ImageNet-C (Hendrycks and Dietterich, ICLR 2019, Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations). Amounts there are for images of 224 pixels; those in pixels are
here of photographs whose longer side has 600. The artefacts are those that Bissoto et al. (CVPR workshops 2020,
Debiasing Skin Lesion Datasets and Models? Not So Fast) annotate, and Maron et al. (European Journal of Cancer 2021, A
benchmark for neural network robustness in skin cancer classification) and others corrupt dermoscopy with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ham_keras.data.changes import artefacts, geometry, quality
from ham_keras.data.changes.geometry import Affine, Size
from ham_keras.data.changes.quality import Pixels

Alter = Callable[[Pixels, float, np.random.Generator], Pixels]
View = Callable[[Size, float, np.random.Generator], Affine]
STRENGTHS = 5


@dataclass(frozen=True)
class Change:
    """One kind of change.

    Attributes:
        title: in words, for tables and plots.
        unit: what the amounts are.
        amounts: at strengths 1 to 5.
        alter, view: one of the two makes the change; a view moves image and mask.
        alter_mask: of an `alter` that also hides parts of the lesion.
        directions: what the amounts mean with and without the reverse, if each image gets one of two directions.
        reverse: how an amount is reversed: its sign, or a factor's reciprocal.
        source: of the amounts, if published.
    """

    title: str
    unit: str
    amounts: tuple[float, float, float, float, float]
    alter: Alter | None = None
    view: View | None = None
    alter_mask: Alter | None = None
    directions: tuple[str, str] | None = None
    reverse: Literal["sign", "reciprocal"] = "sign"
    source: str = ""

    def __post_init__(self) -> None:
        assert (self.alter is None) != (self.view is None)

    def directed(self, amount: float, *, reversed_: bool) -> float:
        """The amount in one of two directions."""
        if not reversed_:
            return amount
        return -amount if self.reverse == "sign" else 1 / amount


SAME, MILDER = "ImageNet-C", "after ImageNet-C, milder"
CHANGES: dict[str, Change] = {
    "blur": Change("blur", "Gaussian, sigma in px", (1, 2, 4, 6, 10), quality.blur, source=MILDER),
    "noise": Change("noise", "deviation / 255", (0.04, 0.08, 0.12, 0.18, 0.26), quality.add_noise, source=MILDER),
    "jpeg": Change("JPEG", "quality", (25, 18, 15, 10, 7), quality.compress, source=SAME),
    "exposure": Change(
        "exposure", "stops", (0.3, 0.6, 1.0, 1.5, 2.0), quality.expose, directions=("brighter", "darker")
    ),
    "contrast": Change("contrast", "factor", (0.8, 0.6, 0.4, 0.3, 0.2), quality.reduce_contrast, source=MILDER),
    "colour_cast": Change(
        "colour cast", "log of the gains", (0.05, 0.1, 0.15, 0.2, 0.3), quality.cast_colour
    ),
    "gamma": Change(
        "gamma", "exponent", (1.2, 1.4, 1.7, 2.0, 2.5), quality.bend_tones,
        directions=("darker", "brighter"), reverse="reciprocal",
    ),
    "hairs": Change("drawn hairs", "dark hairs", (4, 10, 20, 40, 80), artefacts.draw_hairs),
    "bubbles": Change("bubbles", "bubbles", (10, 25, 50, 100, 200), artefacts.draw_bubbles),
    "ruler": Change("ruler", "distance from the centre / half", (0.95, 0.8, 0.6, 0.4, 0.2), artefacts.draw_ruler),
    "dark_corners": Change(
        "dark corners", "field's radius / half the longer side", (1.15, 1.05, 0.95, 0.85, 0.75),
        artefacts.darken_corners, alter_mask=artefacts.within_field,
    ),
    "ink": Change("ink", "strokes", (1, 2, 4, 7, 11), artefacts.draw_ink),
    "rotation": Change(
        "rotation", "degrees", (10, 25, 45, 80, 135), view=geometry.rotate,
        directions=("counter-clockwise", "clockwise"),
    ),
    "zoom": Change(
        "zoom", "factor", (1.15, 1.3, 1.5, 1.75, 2.0), view=geometry.zoom,
        directions=("enlarged", "shrunk"), reverse="reciprocal",
    ),
    "shift": Change("shift", "share of the longer side", (0.05, 0.1, 0.15, 0.2, 0.3), view=geometry.shift),
    "aspect": Change(
        "aspect ratio", "factor", (1.15, 1.3, 1.5, 1.75, 2.0), view=geometry.stretch,
        directions=("wider", "taller"), reverse="reciprocal",
    ),
    "downsampling": Change("downsampling", "factor", (3, 5, 8, 12, 20), quality.downsample),
}  # fmt: skip
