"""Measurements of a predicted mask: area, bounding box, connected parts and border confidence."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ham_keras.prediction.postprocessing import Mask, Probability

BORDER_WINDOW_FRACTION = 1 / 64  # of the image's longer side: two pixels at a network size of 128


def measure_mask(mask: Mask, probability: Probability) -> dict[str, Any]:
    """Measure a mask, uint8 [H, W] in {0, 1}, and the network's confidence along its border.

    A pixel's confidence is max(probability, 1 - probability): 0.5 is undecided, 1 certain. On the border itself it is
    always close to the threshold, so each border pixel gets the mean over a window around it, a 32nd of the image's
    longer side wide: high where the transition from lesion to skin is sharp, low where it is gradual.

    Returns:
        width_px, height_px: of the image.
        lesion_fraction: of the image's area, 0..1.
        box_left_px, box_top_px, box_width_px, box_height_px: the bounding box of the whole lesion; "" if it is empty.
        components: number of connected parts.
        border_confidence_mean, border_confidence_lowest: over the border pixels, 0.5..1, not counting the image's
            edge; "" if there is no border.
        touches_frame: 1 if the lesion reaches the image's outermost pixels, else 0.
    """
    height_px, width_px = mask.shape
    left, top, width, height = cv2.boundingRect(mask)
    box = (left, top, width, height) if width else ("", "", "", "")
    mean, lowest = border_confidence(mask, probability)
    return {
        "width_px": width_px,
        "height_px": height_px,
        "lesion_fraction": round(float(mask.mean()), 6),
        **dict(zip(("box_left_px", "box_top_px", "box_width_px", "box_height_px"), box, strict=True)),
        "components": cv2.connectedComponents(mask, connectivity=8)[0] - 1,
        "border_confidence_mean": mean,
        "border_confidence_lowest": lowest,
        "touches_frame": int(mask[[0, -1]].any() or mask[:, [0, -1]].any()),
    }


def border_confidence(mask: Mask, probability: Probability) -> tuple[float, float] | tuple[str, str]:
    """Return the mean and lowest confidence along the border, see `measure_mask`; ("", "") if there is no border."""
    # Pixels outside the image count as lesion, so a lesion cut off by the image's edge has no border there.
    inner = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), borderValue=1)
    border = mask > inner
    if not border.any():
        return "", ""
    radius = max(1, round(max(mask.shape) * BORDER_WINDOW_FRACTION))
    confidence = cv2.blur(np.maximum(probability, 1 - probability), (2 * radius + 1, 2 * radius + 1))[border]
    return round(float(confidence.mean()), 4), round(float(confidence.min()), 4)
