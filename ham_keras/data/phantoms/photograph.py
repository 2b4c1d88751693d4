"""Draw one phantom: a synthetic dermoscopy photograph with exact masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ham_keras.data.phantoms.artefacts import (
    add_bubbles,
    add_ink,
    add_reflections,
    add_ruler,
    add_sticker,
    develop,
    draw_light,
)
from ham_keras.data.phantoms.drawing import draw_lesion, make_lesion
from ham_keras.data.phantoms.hairs import add_hairs
from ham_keras.data.phantoms.looks import LOOKS, draw_skin_colour
from ham_keras.data.phantoms.tiles import Mask, Size

VIEWS, LESION, IMAGE = 1, 2, 3  # independent random streams of one seed
# In the order of LOOKS. Pale lesions, which are harder, are more frequent than in HAM10000.
DIAGNOSIS_SHARES = (0.56, 0.13, 0.14, 0.07, 0.05, 0.025, 0.025)
SITES = ("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face", "chest", "foot", "neck")
ARTEFACTS = ((0.15, add_bubbles), (0.09, add_reflections), (0.12, add_ruler), (0.04, add_ink), (0.02, add_sticker))
JPEG_QUALITY = (72, 96)
Drawn = tuple[npt.NDArray[np.uint8], Mask, Mask, dict[str, Any]]


def draw_phantom(seed: int, index: int, lesion: int, size: Size, *, hairless: bool = False) -> Drawn:
    """Draw image number `index`, a photograph of lesion number `lesion`; `size` is (width, height).

    With `hairless`, the same photograph is drawn without the hairs, whose mask is returned all the same.

    Returns:
        The image, uint8 [H, W, 3] RGB; the masks of lesion and hairs, bool [H, W]; the metadata.
    """
    patient = np.random.default_rng([seed, LESION, lesion])
    diagnosis = str(patient.choice(list(LOOKS), p=DIAGNOSIS_SHARES))
    histories = ["histo", "follow_up", "consensus"] if diagnosis == "nv" else ["histo"]
    facts: dict[str, Any] = {
        "dx": diagnosis,
        "dx_type": str(patient.choice(histories)),
        "sex": str(patient.choice(["male", "female"])),
    }
    facts |= {
        "age": 5.0 * min(max(round(patient.normal(10.4, 3.4)), 1), 17),
        "localization": str(patient.choice(SITES)),
    }
    colour = draw_skin_colour(patient)
    traits = make_lesion(patient, diagnosis, size[1] / size[0])

    rng = np.random.default_rng([seed, IMAGE, index])
    zoom, turn = float(np.exp(rng.normal(0, 0.1))), rng.uniform(0, 2 * np.pi)
    shift = np.clip(rng.normal(0, 0.036, 2) * np.exp(np.abs(rng.normal(0, 0.4))), -0.2, 0.2)
    image, mask = draw_lesion(traits, size, zoom, turn, shift)
    image *= colour * rng.uniform(0.96, 1.04, 3).astype(np.float32)
    hairs = add_hairs(rng, image.copy() if hairless else image)
    for share, add in ARTEFACTS:
        if rng.random() < share:
            add(rng, image)
    image *= draw_light(rng, size)
    image = develop(rng, image)
    facts |= {
        "skin_type": traits.skin_type,
        "lesion_fraction": float(mask.mean()),
        "hair_fraction": float(hairs.mean()),
        "jpeg_quality": int(rng.integers(*JPEG_QUALITY)),
    }
    return np.clip(image + 0.5, 0, 255).astype(np.uint8), mask, hairs, facts
