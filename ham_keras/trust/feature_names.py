"""The numbers that describe an answer of a network, in the order of `features.measure`."""

from __future__ import annotations

MAP_FEATURES = (
    "soft_jaccard",  # of the mask with the map: sum(p inside) / (mask + sum(p outside)), the plug-in expected Jaccard
    "agreement_0.1", "agreement_0.3", "agreement_0.4",  # Jaccard of the masks at a threshold and at 1 - threshold
    "lesion_fraction",  # of the image
    "soft_fraction",  # mean probability
    "band_entropy",  # mean entropy in a band along the outline, 0..1
    "unsure",  # pixels between 0.25 and 0.75, relative to the mask
    "inside", "outside",  # sums of 1 - p in the mask and of p outside, relative to the mask
    "frame",  # share of the image's outermost pixels that are lesion
    "compactness",  # of the map: 4 pi area / perimeter^2
    "spread",  # of the mask around its centre, relative to a disc of its area
    "highest",  # probability
)  # fmt: skip
IMAGE_FEATURES = ("contrast", "brightness", "focus")  # lesion against skin, 0..1; mean grey; see `measure_image`
FEATURES = (*MAP_FEATURES, *IMAGE_FEATURES)
