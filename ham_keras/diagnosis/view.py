"""A lesion and the skin around it at a common size, on which outline, colours and texture are measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from ham_keras.diagnosis.crops import Mask, Pixels, lesion_box

LONGEST_PX = 128  # side of a view
MARGIN = 0.25
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """A lesion and the skin around it.

    Attributes:
        image: uint8 RGB [h, w, 3], the longer side at most `LONGEST_PX`.
        mask: uint8 [h, w] in {0, 1}, with at least one pixel of lesion.
        probability: float32 [h, w] in 0..1, or None without a network.
    """

    image: Pixels
    mask: Mask
    probability: Floats | None = None

    @cached_property
    def lab(self) -> Floats:
        """The image in CIE L*a*b* (D65), float32 [h, w, 3]: L* in 0..100, a* and b* about -100..100."""
        return np.asarray(cv2.cvtColor(self.image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)

    @cached_property
    def depth_px(self) -> Floats:
        """The distance to the outline, float32 [h, w]: more than 0 inside, less outside; the frame is no outline."""
        inside = cv2.distanceTransform(self.mask, cv2.DIST_L2, 3)
        outside = cv2.distanceTransform(1 - self.mask, cv2.DIST_L2, 3)
        farthest = float(sum(self.mask.shape))  # without an outline, OpenCV's distances are huge
        return np.asarray(np.clip(np.where(self.mask > 0, inside, -outside), -farthest, farthest), np.float32)

    @cached_property
    def diameter_px(self) -> float:
        """The diameter of the disc of the same area."""
        return float(np.sqrt(4 * self.mask.sum() / np.pi))


def make_view(image: Pixels, mask: Mask, probability: Floats | None = None) -> View | None:
    """Cut out a lesion with a margin and shrink it; None if the mask is empty. Shapes as in `Prediction`."""
    if not mask.any():
        return None
    left, top, right, bottom = lesion_box(mask, MARGIN)
    scale = LONGEST_PX / max(right - left, bottom - top)
    size = max(1, round(scale * (right - left))), max(1, round(scale * (bottom - top)))

    def cut(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        part = np.ascontiguousarray(pixels[top:bottom, left:right])
        return part if scale >= 1 else np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA))

    # A lesion thinner than a pixel of the view would vanish at 0.5.
    share = np.asarray(cut(mask.astype(np.float32)), np.float32)
    small = (share >= min(0.5, float(share.max()))).astype(np.uint8)
    values = None if probability is None else np.asarray(cut(probability), np.float32)
    return View(np.asarray(cut(image), np.uint8), small, values)
