"""How hairy a photograph is: dark hairs, found as long thin lines darker than what they lie on.

The black-hat transform by which DullRazor finds hairs (Lee et al., Computers in Biology and Medicine 27:533, 1997),
then openings by straight lines, which what is not long does not survive. In a mosaic of dark globules long lines find
room too, but there short ones fit crosswise as well, as in no thin line. In the red channel, where melanin and blood
absorb least, pigment network and vessels hardly show; a dark hair does. benchmarks/hair.py holds it to phantoms,
whose hairs are known. Light (vellus) hairs and stubble shorter than `LENGTH_PX` are not found.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

# In pixels of an image whose longer side has 600, as HAM10000's photographs have.
THICKNESS_PX = 9  # what is thicker is no hair
LENGTH_PX, DIRECTIONS = 31, 16  # what is nowhere as long and straight is none either: dots, most of a ruler's ticks
CROSS_PX, CROSSES = 11, 4  # arms of the crosses that no hair has room for
DARKER_BY = 12  # grey levels, of 0..255
BORDER_PX = 4  # some photographs have a dark line along their edge


def find_hairs(image: Pixels) -> npt.NDArray[np.bool_]:
    """Where an image, uint8 RGB [H, W, 3] with a longer side of about 600 pixels, shows dark hairs: bool [H, W]."""
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
    """Lines through the middle of a square, in evenly spread directions."""
    middle, lines = length_px // 2, []
    for angle in np.linspace(0, np.pi, directions, endpoint=False):
        line = np.zeros((length_px, length_px), np.uint8)
        dx, dy = round(middle * np.cos(angle)), round(middle * np.sin(angle))
        cv2.line(line, (middle - dx, middle - dy), (middle + dx, middle + dy), 1)
        lines.append(line)
    return lines
