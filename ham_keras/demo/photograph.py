"""What the demo page keeps of an image, and how it shows it: pictures and measurements as HTML, nothing on disk."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import PurePath
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.data.overlay import draw_outline
from ham_keras.prediction.outline import Lesion, Probability, measure, outline_lesion
from ham_keras.prediction.predictor import Segmenter, enlarge
from ham_keras.settings import Outline

SHOWN_PX = 1200  # longest side of a picture on the page
OUTLINE_FRACTION = 1 / 300  # of that side
COLOURS = cv2.COLORMAP_VIRIDIS
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Photograph:
    """An image as the page keeps it: small, whatever its size was.

    Attributes:
        name: of its file.
        size: its own (height, width).
        shown: uint8 RGB, at most `SHOWN_PX` long.
        answer: float32 [h, w, 1], the network's, at the network's size.
    """

    name: str
    size: tuple[int, int]
    shown: Pixels
    answer: npt.NDArray[np.float32]

    @property
    def probability(self) -> Probability:
        """At the image's own size, the very one that `predict` measures."""
        return enlarge(self.answer, *self.size)


def segment_photograph(segmenter: Segmenter, name: str, image: Pixels) -> Photograph:
    """Ask the network about an image, uint8 RGB [H, W, 3]."""
    height_px, width_px = image.shape[:2]
    shrunk = min(1.0, SHOWN_PX / max(height_px, width_px))
    size = max(1, round(width_px * shrunk)), max(1, round(height_px * shrunk))
    shown = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8) if shrunk < 1 else image
    return Photograph(name, (height_px, width_px), shown, segmenter.answer(image))


def show_photograph(photograph: Photograph, outline: Outline) -> str:
    """The HTML of outline, probability map, measurements and mask."""
    probability = photograph.probability
    lesion = outline_lesion(probability, outline)
    measured = measure(lesion, probability)
    mask_name = f"{PurePath(photograph.name).stem}_segmentation.png"
    mask = _data_uri(255 * lesion, "PNG")
    height_px, width_px = photograph.size
    return f"""
<div class="pictures">
  <figure>
    <img src="{_data_uri(_outlined(photograph, lesion), "JPEG")}" alt="{escape(_describe(photograph, measured))}">
    <figcaption>Outline: probability above {outline.threshold:g}</figcaption>
  </figure>
  <figure>
    <img src="{_data_uri(_mapped(photograph, probability), "JPEG")}"
      alt="Probability of lesion at each pixel of {escape(photograph.name)}, from {probability.min():.2f} to
      {probability.max():.2f}; dark is skin, bright is lesion">
    <figcaption>Probability of lesion{_colour_bar(outline.threshold)}</figcaption>
  </figure>
</div>
<div class="under">
  <h2>{escape(photograph.name)}</h2>
  <a class="download" download="{escape(mask_name)}" href="{mask}">Download the mask
    <small>PNG, {width_px} × {height_px} px, 0 and 255</small></a>
</div>
{_table(measured)}"""


def _outlined(photograph: Photograph, lesion: Lesion) -> Pixels:
    thickness_px = max(1, round(max(photograph.shown.shape) * OUTLINE_FRACTION))
    return draw_outline(photograph.shown, _like(photograph.shown, lesion, cv2.INTER_NEAREST), thickness_px)


def _mapped(photograph: Photograph, probability: Probability) -> Pixels:
    levels = np.rint(255 * _like(photograph.shown, probability, cv2.INTER_LINEAR)).astype(np.uint8)
    return _coloured(levels)


def _coloured(levels: Pixels) -> Pixels:
    return np.asarray(cv2.applyColorMap(levels, COLOURS)[..., ::-1], np.uint8)


def _like(shown: Pixels, values: npt.NDArray[Any], interpolation: int) -> npt.NDArray[Any]:
    height_px, width_px = shown.shape[:2]
    return np.asarray(cv2.resize(values, (width_px, height_px), interpolation=interpolation))


def _colour_bar(threshold: float) -> str:
    colours = _data_uri(_coloured(np.arange(256, dtype=np.uint8)[None]), "PNG")
    return f"""<span class="bar" role="img" aria-label="Colours from 0, dark violet, to 1, yellow; the threshold is
 {threshold:g}"><span>0</span><span class="scale" style="background-image: url({colours})"><span class="tick"
 style="left: {100 * threshold:.1f}%"></span></span><span>1</span></span>"""


def _describe(photograph: Photograph, measured: dict[str, Any]) -> str:
    if not measured["components"]:
        return f"{photograph.name}, without an outline: no lesion was found"
    return f"{photograph.name} with the outline of the lesion, {100 * measured['lesion_fraction']:.1f} % of the image"


def _table(measured: dict[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{label}</th><td data-measure="{key}">{value}</td><td>{meaning}</td></tr>'
        for key, label, value, meaning in describe_measurements(measured)
    )
    return f'<table class="measurements"><caption>Measurements</caption><tbody>{rows}</tbody></table>'


def describe_measurements(measured: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """What `measure` found as rows of the page: key, label, value with its unit, meaning."""
    none = "none"
    box = (
        "{box_width_px} × {box_height_px} px at {box_left_px}, {box_top_px}".format(**measured)
        if measured["components"]
        else none
    )
    mean, lowest = (measured[f"border_confidence_{which}"] for which in ("mean", "lowest"))
    return [
        ("lesion_fraction", "Lesion", f"{100 * measured['lesion_fraction']:.2f} %", "of the image's area"),
        ("box", "Bounding box", box, "the smallest box around all lesion; its place counts from the upper left"),
        ("components", "Parts", str(measured["components"]), "that do not touch each other"),
        (
            "border_confidence_mean",
            "Border confidence",
            f"{mean:.3f}" if mean else none,
            "the mean along the outline: 0.5 is undecided, 1 sure",
        ),
        (
            "border_confidence_lowest",
            "Lowest",
            f"{lowest:.3f}" if lowest else none,
            "border confidence, where the outline is least sure",
        ),
        (
            "touches_frame",
            "Touches the frame",
            "yes" if measured["touches_frame"] else "no",
            "if so, the photograph may not show all of the lesion",
        ),
    ]


def thumbnail(image: Pixels, width_px: int) -> str:
    """A small picture as a data URI."""
    height_px = max(1, round(image.shape[0] * width_px / image.shape[1]))
    return _data_uri(np.asarray(cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)), "JPEG")


def _data_uri(pixels: npt.NDArray[Any], form: str) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **({"quality": 90} if form == "JPEG" else {}))
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
