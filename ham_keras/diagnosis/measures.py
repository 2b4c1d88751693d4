"""The features of a lesion that have names: outline, colours, texture, doubt, and what is known of the patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from ham_keras.diagnosis.colour import measure_border, measure_colours
from ham_keras.diagnosis.config import Features
from ham_keras.diagnosis.crops import Mask, Pixels
from ham_keras.diagnosis.patients import PATIENT_FEATURES
from ham_keras.diagnosis.shape import measure_shape
from ham_keras.diagnosis.texture import measure_doubt, measure_texture
from ham_keras.diagnosis.view import Floats, View, make_view

Measures = dict[str, float]
WORDS = {
    "difference_": "lesion minus skin: ", "asymmetry_": "asymmetry about the axis: ", "pattern_": "binary pattern ",
    "colour_asymmetry_": "colour asymmetry about the axis: ", "network_": "trained network: ", "on_": "localisation: ",
}  # fmt: skip
ASYMMETRY, BORDER, COLOUR, DIAMETER = "asymmetry (A)", "border (B)", "colours (C)", "diameter (D)"
TEXTURE, DOUBT, NETWORK, PATIENT = "texture", "doubt of the segmentation", "trained network", "patient"


def measure_size(mask: Mask) -> Measures:
    """Measure a mask [H, W] in {0, 1} at the image's size; an empty one has area 0.

    Returns:
        area_fraction: of the image, 0..1.
        diameter_fraction: diameter of the disc of the same area, over the longer side of the image.
        touches_frame: 1 if the lesion reaches the image's outermost pixels, else 0.
    """
    area = cv2.countNonZero(mask)
    return {
        "area_fraction": area / mask.size,
        "diameter_fraction": float(np.sqrt(4 * area / np.pi) / max(mask.shape)),
        "touches_frame": float(mask[[0, -1]].any() or mask[:, [0, -1]].any()),
    }


def measure_lesion(image: Pixels, mask: Mask, probability: Floats | None, features: Features) -> Measures:
    """The chosen measures of a lesion; all but those of its size are nan if the mask is empty.

    Args:
        image: uint8 RGB [H, W, 3].
        mask: uint8 [H, W] in {0, 1}.
        probability: float32 [H, W] in 0..1; None without a network.
    """
    view = make_view(image, mask, probability)
    found = measure_size(mask) if features.outline else {}
    parts: list[tuple[bool, Callable[[View], Measures]]] = [
        (features.outline, lambda view: measure_shape(view.mask)),
        (features.outline, measure_border),
        (features.outline, measure_colours),
        (features.texture, measure_texture),
        (features.doubt, measure_doubt),
    ]
    for chosen, measure in parts:
        if chosen:
            found |= measure(view) if view is not None else dict.fromkeys(measure(_EXAMPLE), float("nan"))
    return found


def measure_names(features: Features) -> list[str]:
    """The names of the chosen measures, in order, those of the patient last."""
    names = measure_lesion(_EXAMPLE.image, _EXAMPLE.mask, None, features)
    return [*names, *(PATIENT_FEATURES if features.metadata else ())]


def measures_in_order(measures: Mapping[str, float], patient: Mapping[str, float], features: Features) -> Floats:
    """Measures and, if chosen, the patient's features as float32 [F]; an unknown one is nan."""
    known = [patient.get(name, float("nan")) for name in PATIENT_FEATURES] if features.metadata else []
    return np.array([*measures.values(), *known], np.float32)


def group_of(name: str) -> str:
    """What a feature is about, e.g. "border (B)"; for a channel of an encoder, the encoder and its depth."""
    if "/" in name:  # of an encoder: mobilenet/16/12
        encoder, factor, _ = name.split("/")
        return f"{encoder} encoder at 1/{factor}"
    if name in PATIENT_FEATURES:
        return PATIENT
    prefixes = {
        "asymmetry": ASYMMETRY, "axis_ratio": ASYMMETRY, "area": DIAMETER, "diameter": DIAMETER,
        "texture": TEXTURE, "pattern": TEXTURE, "doubt": DOUBT, "network": NETWORK,
        **dict.fromkeys(("lesion", "skin", "difference", "variegation", "colour", "centre_rim", "share"), COLOUR),
    }  # fmt: skip
    return next((group for prefix, group in prefixes.items() if name.startswith(prefix)), BORDER)


def in_words(name: str) -> str:
    """A feature's name for people."""
    if "/" in name:
        return f"{group_of(name)}, channel {name.rpartition('/')[2]}"
    for beginning, words in WORDS.items():
        if name.startswith(beginning):
            return (words + name.removeprefix(beginning)).replace("_", " ")
    return name.replace("_", " ")


_EXAMPLE = View(np.zeros((8, 8, 3), np.uint8), np.pad(np.ones((4, 4), np.uint8), 2))
