"""Colours of a lesion and how it stands out from the skin: B and C of the ABCD rule, in CIE L*a*b*."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.diagnosis.shape import mirrored, principal_axes
from ham_keras.diagnosis.view import Floats, View

# The six colours that the ABCD rule counts, as RGB in 0..1.
COLOURS = {
    "white": (1.0, 1.0, 1.0),
    "red": (0.8, 0.2, 0.2),
    "light_brown": (0.6, 0.4, 0.0),
    "dark_brown": (0.2, 0.0, 0.0),
    "blue_grey": (0.2, 0.6, 0.6),
    "black": (0.0, 0.0, 0.0),
}
COUNTED_SHARE = 0.05  # of the lesion that a colour covers to be counted
NEAR, FAR = 0.04, 0.14  # of the diameter: bands along the border
SECTORS = 8  # of the border, as in the ABCD rule
CHANNELS = ("lightness", "redness", "yellowness")
_LAB = cv2.cvtColor(np.array([[*COLOURS.values()]], np.float32), cv2.COLOR_RGB2LAB)[0]
Band = npt.NDArray[np.bool_]


def measure_colours(view: View) -> dict[str, float]:
    """Measure the colours inside the mask, and against the skin around it.

    Differences of colours are distances in L*a*b*.

    Returns:
        lesion_<channel>_mean, _spread, _low, _high: mean, standard deviation, 5th and 95th percentile of lightness
            (L*), redness (a*) and yellowness (b*).
        skin_<channel>: the skin's mean; nan if the view has no skin.
        difference_<channel>: the lesion's mean minus the skin's.
        variegation: root mean square distance of the lesion's colours from their mean.
        colour_asymmetry_major, colour_asymmetry_minor: mean difference between the lesion and its mirror image.
        centre_rim_lightness: lightness of the inner half of the lesion minus that of the outer half.
        share_<colour>: share of the lesion, 0..1, whose nearest of `COLOURS` this is.
        colours: how many of them cover at least 5 %.
    """
    inside = view.mask > 0
    lesion = view.lab[inside]
    mean, spread = (np.ravel(each) for each in cv2.meanStdDev(view.lab, mask=view.mask))
    low, high = np.percentile(lesion, [5, 95], axis=0)
    skin_mean = _mean(view.lab, ~inside)
    found: dict[str, Any] = {}
    for place, name in enumerate(CHANNELS):
        found |= {f"lesion_{name}_mean": mean[place], f"lesion_{name}_spread": spread[place]}
        found |= {f"lesion_{name}_low": low[place], f"lesion_{name}_high": high[place]}
        found |= {f"skin_{name}": skin_mean[place], f"difference_{name}": mean[place] - skin_mean[place]}
    found["variegation"] = np.sqrt((spread**2).sum())
    centre, axes, _ = principal_axes(view.mask)
    for name, axis in zip(("major", "minor"), axes, strict=True):
        both = inside & (np.asarray(mirrored(view.mask, centre, axis)) > 0)
        change = view.lab - np.asarray(mirrored(view.lab, centre, axis), np.float32)
        found[f"colour_asymmetry_{name}"] = _lengths(change[both]).mean() if both.any() else 0.0
    depth = view.depth_px[inside]
    inner = depth >= np.median(depth)
    found["centre_rim_lightness"] = lesion[inner, 0].mean() - lesion[~inner, 0].mean() if not inner.all() else 0.0
    nearest = np.argmin((_LAB**2).sum(1) - 2 * lesion @ _LAB.T, axis=1)  # the squared distance but for |lesion|^2
    shares = np.bincount(nearest, minlength=len(COLOURS)) / len(lesion)
    found |= {f"share_{name}": share for name, share in zip(COLOURS, shares, strict=True)}
    found["colours"] = (shares >= COUNTED_SHARE).sum()
    return {name: float(value) for name, value in found.items()}


def measure_border(view: View) -> dict[str, float]:
    """Measure how the colour changes across the border; nan if there is no skin on its other side.

    Returns:
        border_contrast: colour difference of bands on both sides of the border, away from it.
        border_abruptness: the same close to the border, as a share of that: about 1 for a sharp border.
        border_contrast_lowest, _highest, _spread: the least, most and standard deviation of the contrast over eight
            sectors around the centroid.
    """
    near, far = max(2.0, NEAR * view.diameter_px), max(5.0, FAR * view.diameter_px)
    depth = view.depth_px
    bands = {
        "near": ((depth > 0) & (depth <= near), (depth < 0) & (depth >= -near)),
        "far": ((depth > near) & (depth <= far), (depth < -near) & (depth >= -far)),
    }
    contrast = _contrast(view.lab, *bands["far"])
    rows, columns = np.nonzero(view.mask)
    ys, xs = np.indices(view.mask.shape, np.float32)
    angle = np.arctan2(ys - rows.mean(), xs - columns.mean())
    sector = np.minimum(((angle + np.pi) * SECTORS / (2 * np.pi)).astype(int), SECTORS - 1)
    inner, outer = bands["far"]
    each = [_contrast(view.lab, inner & (sector == number), outer & (sector == number)) for number in range(SECTORS)]
    known = np.array([value for value in each if not np.isnan(value)] or [np.nan])
    return {
        "border_contrast": contrast,
        "border_abruptness": _contrast(view.lab, *bands["near"]) / contrast if contrast > 0 else float("nan"),
        "border_contrast_lowest": float(known.min()),
        "border_contrast_highest": float(known.max()),
        "border_contrast_spread": float(known.std()),
    }


def _contrast(lab: Floats, inner: Band, outer: Band) -> float:
    return float(_lengths(_mean(lab, inner) - _mean(lab, outer)))


def _mean(lab: Floats, band: Band) -> Floats:
    """The mean colour [3] of a band, nan if it is empty."""
    return np.array(cv2.mean(lab, band.view(np.uint8))[:3] if band.any() else [np.nan] * 3, np.float32)


def _lengths(differences: Floats) -> Floats:
    return np.asarray(np.sqrt((differences**2).sum(-1)), np.float32)
