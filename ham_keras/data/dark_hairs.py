"""Detect dark hairs: long, thin lines that are darker than their surroundings.

The black-hat transform of DullRazor (Lee et al., Computers in Biology and Medicine 27:533, 1997) finds thin dark
structures. Openings with long straight lines remove the short ones. Mosaics of dark globules survive this, but unlike
hairs they also survive openings with crosses of short lines. The red channel is used because melanin and blood absorb
least there: pigment network and vessels are faint, dark hairs are not. benchmarks/hair.py compares the result with the
known hairs of phantoms. Light (vellus) hairs and stubble shorter than `LENGTH_PX` are not found.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

# In pixels of an image whose longer side is 600, as in HAM10000.
THICKNESS_PX = 9  # thicker structures are not hairs
LENGTH_PX, DIRECTIONS = 31, 16  # shorter ones are not either: dots, most ruler ticks
CROSS_PX, CROSSES = 11, 4  # the arms of crosses, which do not fit into a hair
DARKER_BY = 12  # grey levels, of 0..255
BORDER_PX = 4  # ignored: some photographs have a dark line along their edge


def find_hairs(image: Pixels) -> npt.NDArray[np.bool_]:
    """The dark hairs of an image, uint8 RGB [H, W, 3] with a longer side of about 600 pixels, as bool [H, W]."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (THICKNESS_PX, THICKNESS_PX))
    darkness = cv2.morphologyEx(np.ascontiguousarray(image[..., 0]), cv2.MORPH_BLACKHAT, disc)
    inner = np.zeros_like(darkness)
    middle = (slice(BORDER_PX, -BORDER_PX),) * 2
    inner[middle] = darkness[middle]
    long = np.max(_openings(inner, LENGTH_PX, DIRECTIONS), axis=0)
    arms = _openings(inner, CROSS_PX, 2 * CROSSES)
    broad = np.max([cv2.min(arms[turn], arms[turn + CROSSES]) for turn in range(CROSSES)], axis=0)
    return np.asarray(cv2.subtract(long, broad) > DARKER_BY)


def _openings(darkness: Pixels, length_px: int, directions: int) -> list[Pixels]:
    return [cv2.morphologyEx(darkness, cv2.MORPH_OPEN, line) for line in _lines(length_px, directions)]


@functools.cache
def _lines(length_px: int, directions: int) -> list[Pixels]:
    """Lines through the centre of a square, in evenly spaced directions."""
    middle, lines = length_px // 2, []
    for angle in np.linspace(0, np.pi, directions, endpoint=False):
        line = np.zeros((length_px, length_px), np.uint8)
        dx, dy = round(middle * np.cos(angle)), round(middle * np.sin(angle))
        cv2.line(line, (middle - dx, middle - dy), (middle + dx, middle + dy), 1)
        lines.append(line)
    return lines
