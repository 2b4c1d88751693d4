"""Distances between a true outline and a predicted one."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]


def outline_distance(truth: Mask, mask: Mask) -> float:
    """Return the largest distance in pixels from a point of the true outline to ours; masks are {0, 1} [H, W].

    It is the directed Hausdorff distance, and so the smallest margin around our outline that holds the true one. It is
    0 without a true outline, and the image's diagonal if only ours is missing.
    """
    true_outline, ours = _cropped_outlines(truth, mask)
    if not true_outline.any():
        return 0.0
    if not ours.any():
        return math.hypot(*truth.shape)
    return float(distance_to(ours)[true_outline].max())


def hausdorff95(truth: Mask, mask: Mask) -> float:
    """Return the 95th percentile Hausdorff distance of two outlines in pixels; masks are {0, 1} [H, W].

    It is the larger of two percentiles: of the distances from the points of each outline to the other one (as in MONAI;
    Taha and Hanbury, BMC Medical Imaging 15:29, 2015). It is 0 if neither has an outline, and the image's diagonal if
    only one has.
    """
    first, second = _cropped_outlines(truth, mask)
    missing = [not outline.any() for outline in (first, second)]
    if any(missing):
        return 0.0 if all(missing) else math.hypot(*truth.shape)
    return float(max(np.percentile(distance_to(b)[a], 95) for a, b in ((first, second), (second, first))))


def _cropped_outlines(truth: Mask, mask: Mask) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Both outlines within the smallest rectangle that holds them: distances between them need no more."""
    true_outline, ours = find_outline(truth), find_outline(mask)
    x, y, width, height = cv2.boundingRect((true_outline | ours).astype(np.uint8))
    return true_outline[y : y + height, x : x + width], ours[y : y + height, x : x + width]


def find_outline(mask: Mask) -> npt.NDArray[np.bool_]:
    """Mark the lesion's outermost pixels. A lesion that is cut by the frame has no outline there."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return np.asarray(mask > cv2.erode(mask, cross, borderValue=1), bool)


def distance_to(marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Distance in pixels from each pixel to the nearest marked one."""
    return np.asarray(cv2.distanceTransform((~marked).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
