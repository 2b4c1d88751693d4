"""Draw a mask's outline over its image."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
OUTLINE, HALO = (60, 255, 220), (10, 30, 30)  # a colour that skin does not have, visible on light and dark skin


def draw_outline(
    image: npt.NDArray[np.uint8],
    lesion: npt.NDArray[np.uint8],
    thickness_px: int,
    colour: Colour = OUTLINE,
    halo: Colour = HALO,
) -> npt.NDArray[np.uint8]:
    """A copy of `image`, uint8 RGB [H, W, 3], with the outlines of a {0, 1} mask [H, W], edged in `halo`."""
    pixels = image.copy()
    contours, _ = cv2.findContours(lesion, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for rgb, thickness in ((halo, 3 * thickness_px), (colour, thickness_px)):
        cv2.drawContours(pixels, contours, -1, rgb, thickness, cv2.LINE_AA)
    return pixels
