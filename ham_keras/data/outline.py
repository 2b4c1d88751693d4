"""Draw a mask's outline over its image."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

OUTLINE, HALO = (60, 255, 220), (10, 30, 30)  # a colour that no skin has, seen on light and on dark


def draw_outline(
    image: npt.NDArray[np.uint8], lesion: npt.NDArray[np.uint8], thickness_px: int
) -> npt.NDArray[np.uint8]:
    """A copy of uint8 RGB [H, W, 3] with the outlines of a {0, 1} mask [H, W], dark on both sides."""
    pixels = image.copy()
    contours, _ = cv2.findContours(lesion, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for colour, thickness in ((HALO, 3 * thickness_px), (OUTLINE, thickness_px)):
        cv2.drawContours(pixels, contours, -1, colour, thickness, cv2.LINE_AA)
    return pixels
