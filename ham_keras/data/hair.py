"""How hairy a photograph is: dark hairs, found as long thin lines darker than what they lie on.

The black-hat transform by which DullRazor finds hairs (Lee et al., Computers in Biology and Medicine 27:533, 1997),
then openings by straight lines, which what is not long does not survive. In the red channel, where melanin and blood
absorb least, pigment network and vessels hardly show; a dark hair does. benchmarks/hair.py holds it to phantoms,
whose hairs are known. Light (vellus) hairs and stubble shorter than `LENGTH_PX` are not found.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

# In pixels of an image whose longer side has 600, as HAM10000's photographs have.
THICKNESS_PX = 9  # what is thicker is no hair
LENGTH_PX = 31  # what is nowhere as long and straight is no hair either: dots, network, most of a ruler's ticks
DIRECTIONS = 16
DARKER_BY = 15  # grey levels, of 0..255
BORDER_PX = 4  # some photographs have a dark line along their edge


def find_hairs(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where an image, uint8 RGB [H, W, 3] with a longer side of about 600 pixels, shows dark hairs: bool [H, W]."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (THICKNESS_PX, THICKNESS_PX))
    darkness = cv2.morphologyEx(np.ascontiguousarray(image[..., 0]), cv2.MORPH_BLACKHAT, disc)
    inner = np.zeros_like(darkness)
    middle = (slice(BORDER_PX, -BORDER_PX),) * 2
    inner[middle] = darkness[middle]
    along = [cv2.morphologyEx(inner, cv2.MORPH_OPEN, line) for line in _lines()]
    return np.asarray(np.max(along, axis=0) > DARKER_BY)


@functools.cache
def _lines() -> list[npt.NDArray[np.uint8]]:
    """Lines of LENGTH_PX through the middle of a square, in DIRECTIONS evenly spread directions."""
    middle, lines = LENGTH_PX // 2, []
    for angle in np.linspace(0, np.pi, DIRECTIONS, endpoint=False):
        line = np.zeros((LENGTH_PX, LENGTH_PX), np.uint8)
        dx, dy = round(middle * np.cos(angle)), round(middle * np.sin(angle))
        cv2.line(line, (middle - dx, middle - dy), (middle + dx, middle + dy), 1)
        lines.append(line)
    return lines
