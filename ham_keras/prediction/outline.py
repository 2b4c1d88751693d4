"""From probabilities to a mask, and what is measured of it. serving/outline.py does the same in an exported graph."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.settings import Outline

Lesion = npt.NDArray[np.uint8]
Probability = npt.NDArray[np.float32]
BORDER_WINDOW_FRACTION = 1 / 64  # of the image's longer side: two pixels of a network of 128


def outline_lesion(probability: Probability, outline: Outline) -> Lesion:
    """The mask, uint8 [H, W] in {0, 1}, of probabilities, float32 [H, W]. Holes are filled before parts are compared.

    The threshold is compared in float32, as the exported graph does.
    """
    lesion = (probability > np.float32(outline.threshold)).astype(np.uint8)
    if outline.fill_holes:
        lesion = fill_holes(lesion)
    return keep_largest(lesion) if outline.keep_largest else lesion


def fill_holes(lesion: Lesion) -> Lesion:
    """Count as lesion what it encloses; skin that reaches the frame is not enclosed."""
    contours, _ = cv2.findContours(lesion, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(lesion), contours, -1, 1, cv2.FILLED), np.uint8)


def keep_largest(lesion: Lesion) -> Lesion:
    """The largest part alone; pixels that touch at a corner belong together.

    Of equals it is the one with the topmost pixel, the leftmost of these.
    """
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(lesion, connectivity=8)
    if count <= 2:
        return lesion
    areas = statistics[1:, cv2.CC_STAT_AREA]
    largest = 1 + np.flatnonzero(areas == areas.max())
    # OpenCV numbers parts by blocks of 2x2 pixels, so the lowest number is not always the topmost part.
    first = largest[0] if len(largest) == 1 else labels[np.isin(labels, largest)][0]
    return (labels == first).astype(np.uint8)


def measure(lesion: Lesion, probability: Probability) -> dict[str, Any]:
    """Measure a mask, uint8 [H, W] in {0, 1}, and how sure the network was of its border.

    A pixel's confidence is the larger of probability and 1 - probability: 0.5 is undecided, 1 sure. On the border
    itself it is always about the threshold, so a border pixel's confidence is the mean over a window around it, a
    32nd of the image's longer side wide: high where lesion turns to skin at once, low where the turn is gradual.

    Returns:
        width_px, height_px: of the image.
        lesion_fraction: of the image's area, 0..1.
        box_left_px, box_top_px, box_width_px, box_height_px: the smallest box around all lesion; "" without any.
        components: connected parts.
        border_confidence_mean, border_confidence_lowest: over the border pixels, 0.5..1; the frame is no border.
            "" where there is no border.
        touches_frame: 1 where lesion reaches the image's outermost pixels, else 0.
    """
    height_px, width_px = lesion.shape
    left, top, width, height = cv2.boundingRect(lesion)
    box = (left, top, width, height) if width else ("", "", "", "")
    mean, lowest = border_confidence(lesion, probability)
    return {
        "width_px": width_px,
        "height_px": height_px,
        "lesion_fraction": round(float(lesion.mean()), 6),
        **dict(zip(("box_left_px", "box_top_px", "box_width_px", "box_height_px"), box, strict=True)),
        "components": cv2.connectedComponents(lesion, connectivity=8)[0] - 1,
        "border_confidence_mean": mean,
        "border_confidence_lowest": lowest,
        "touches_frame": int(lesion[[0, -1]].any() or lesion[:, [0, -1]].any()),
    }


def border_confidence(lesion: Lesion, probability: Probability) -> tuple[float, float] | tuple[str, str]:
    """Mean and lowest confidence along the border, see `measure`; empty texts where there is none."""
    # Beyond the frame counts as lesion, so a lesion that the frame cuts has no border there.
    inner = cv2.erode(lesion, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), borderValue=1)
    border = lesion > inner
    if not border.any():
        return "", ""
    radius = max(1, round(max(lesion.shape) * BORDER_WINDOW_FRACTION))
    confidence = cv2.blur(np.maximum(probability, 1 - probability), (2 * radius + 1, 2 * radius + 1))[border]
    return round(float(confidence.mean()), 4), round(float(confidence.min()), 4)
