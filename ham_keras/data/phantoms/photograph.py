"""Draw one phantom: a synthetic dermoscopy photograph with exact masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.data.phantoms.artefacts import add_bubbles, add_hairs, add_ruler, draw_light
from ham_keras.data.phantoms.drawing import LOOKS, REFERENCE_WIDTH_PX, Mask, Size, draw_lesion, make_lesion

VIEWS, LESION, IMAGE = 1, 2, 3  # independent random streams of one seed
DIAGNOSIS_SHARES = (0.62, 0.13, 0.12, 0.055, 0.035, 0.02, 0.02)  # in the order of LOOKS
SITES = ("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face", "chest", "foot", "neck")
# RGB 0..255 of skin without pigment in six dermatoscopes.
CAMERAS = ((252, 166, 158), (250, 180, 158), (230, 202, 228), (242, 224, 226), (248, 174, 196), (236, 204, 218))
Drawn = tuple[npt.NDArray[np.uint8], Mask, Mask, dict[str, Any]]


def draw_phantom(seed: int, index: int, lesion: int, size: Size) -> Drawn:
    """Draw image number `index`, a photograph of lesion number `lesion`; `size` is (width, height).

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
    camera = patient.choice(CAMERAS) * patient.uniform(0.88, 1.06)
    traits = make_lesion(patient, diagnosis, size[1] / size[0])

    rng = np.random.default_rng([seed, IMAGE, index])
    zoom, turn = float(np.exp(rng.normal(0, 0.1))), rng.uniform(0, 2 * np.pi)
    shift = np.clip(rng.normal(0, 0.045, 2) * np.exp(np.abs(rng.normal(0, 0.4))), -0.2, 0.2)
    image, mask = draw_lesion(traits, size, zoom, turn, shift)
    image *= (camera * rng.uniform(0.96, 1.04, 3)).astype(np.float32)
    hairs = add_hairs(rng, image)
    for share, add in ((0.2, add_bubbles), (0.13, add_ruler)):
        if rng.random() < share:
            add(rng, image)
    image *= draw_light(rng, size)[..., None]
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.35, 1.1) * size[0] / REFERENCE_WIDTH_PX))
    image += rng.standard_normal((*mask.shape, 1), dtype=np.float32) * np.float32(rng.uniform(0.5, 2.5))
    facts |= {
        "skin_type": traits.skin_type,
        "lesion_fraction": float(mask.mean()),
        "hair_fraction": float(hairs.mean()),
    }
    return np.clip(image + 0.5, 0, 255).astype(np.uint8), mask, hairs, facts
