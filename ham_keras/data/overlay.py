"""Draw a mask's outline over its image, and the band around it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
TINT = 0.25  # of the band
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


def draw_band(
    image: npt.NDArray[np.uint8], lesion: npt.NDArray[np.uint8], margin_px: float, colour: Colour = OUTLINE
) -> npt.NDArray[np.uint8]:
    """A copy of `image`, uint8 RGB [H, W, 3], tinted within `margin_px` of the outlines of a {0, 1} mask [H, W]."""
    contours, _ = cv2.findContours(lesion, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    drawn = cv2.drawContours(np.ones(lesion.shape, np.uint8), contours, -1, 0, 1)
    near = cv2.distanceTransform(drawn, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= margin_px
    pixels = image.copy()
    if contours:
        pixels[near] = np.rint((1 - TINT) * pixels[near] + TINT * np.array(colour)).astype(np.uint8)
    return pixels
