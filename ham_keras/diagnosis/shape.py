"""Asymmetry and irregularity of an outline: A and B of the ABCD rule (Stolz et al. 1994; Nachbar et al. 1994)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.diagnosis.crops import Mask

BOXES_PX = (2, 4, 8, 16)  # of the box-counting dimension
Matrix = npt.NDArray[np.float64]


def principal_axes(mask: Mask) -> tuple[Matrix, Matrix, Matrix]:
    """The centroid (x, y), the directions of the major and minor axis [2, 2] and the standard deviations along them."""
    found = cv2.moments(mask, binaryImage=True)
    centre = np.array([found["m10"], found["m01"]]) / found["m00"]
    covariance = np.array([[found["mu20"], found["mu11"]], [found["mu11"], found["mu02"]]]) / found["m00"]
    # A pixel is a square of variance 1/12, so that a line of pixels has a width.
    variances, axes = np.linalg.eigh(covariance + np.eye(2) / 12)
    return centre, axes.T[::-1], np.sqrt(variances[::-1])


def mirrored(pixels: npt.NDArray[np.generic], centre: Matrix, axis: Matrix) -> npt.NDArray[np.generic]:
    """Mirror pixels [H, W] or [H, W, C] about the line through `centre` (x, y) along the unit vector `axis`.

    What comes from outside is 0.
    """
    reflection = 2 * np.outer(axis, axis) - np.eye(2)
    affine = np.column_stack([reflection, centre - reflection @ centre])
    linear = cv2.INTER_NEAREST if pixels.dtype == np.uint8 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(pixels, affine, pixels.shape[1::-1], flags=linear | cv2.WARP_INVERSE_MAP))


def measure_shape(mask: Mask) -> dict[str, float]:
    """Measure the outline of a mask [h, w] in {0, 1} that is not empty.

    Returns:
        asymmetry_major, asymmetry_minor: share of the lesion, 0..1, outside its mirror image about the principal axes.
        axis_ratio: minor over major axis, 0..1; 1 for a disc.
        compactness: 4 pi area / perimeter^2; 1 for a disc, less for an irregular border.
        solidity: area over that of the convex hull, 0..1.
        fractal_dimension: of the border by box counting; 1 for a smooth one, more for a jagged one.
        radial_deviation: standard deviation over mean of the border's distance from the centroid; 0 for a disc.
        parts: number of connected parts.
    """
    from skimage.measure import perimeter_crofton

    mask = np.pad(mask, max(mask.shape) // 4)  # so that mirror images are not cut off
    area = float(mask.sum())
    centre, axes, deviations = principal_axes(mask)
    outside = [float((mask & (1 - np.asarray(mirrored(mask, centre, axis)))).sum()) / area for axis in axes]
    perimeter = float(perimeter_crofton(mask, directions=4))
    border = mask > cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    outline = np.argwhere(border)[:, ::-1]
    # Corners of the pixels instead of their centres.
    corners = np.concatenate([outline + np.array([x, y]) for x in (0, 1) for y in (0, 1)])
    hull = cv2.convexHull(corners.astype(np.int32))
    distances = np.hypot(*(outline - centre).T)
    return {
        "asymmetry_major": outside[0],
        "asymmetry_minor": outside[1],
        "axis_ratio": float(deviations[1] / deviations[0]),
        "compactness": 4 * np.pi * area / perimeter**2 if perimeter else 1.0,
        "solidity": area / float(cv2.contourArea(hull)),
        "fractal_dimension": _box_dimension(outline),
        "radial_deviation": float(distances.std() / distances.mean()) if distances.any() else 0.0,
        "parts": float(cv2.connectedComponents(mask, connectivity=8)[0] - 1),
    }


def _box_dimension(outline: npt.NDArray[np.int64]) -> float:
    """The slope of log(boxes that the pixels (x, y) of the outline meet) against log(1 / side of the box)."""
    counts = [len(np.unique(outline // side @ np.array([1, 1 << 16]))) for side in BOXES_PX]
    slope, _ = np.polyfit(np.log(BOXES_PX), np.log(counts), 1)
    return float(-slope)
