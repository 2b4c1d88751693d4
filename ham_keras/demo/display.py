"""An image on the demo page: what is kept of it, and its pictures and measurements as HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import PurePath
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ham_keras.data.overlay import draw_band, draw_outline
from ham_keras.prediction.measurements import measure_mask
from ham_keras.prediction.postprocessing import Mask, Probability, postprocess
from ham_keras.prediction.predictor import Answer, Predictor, resize_to_image
from ham_keras.reports.facts import DIAGNOSES
from ham_keras.settings import Outline
from ham_keras.trust.columns import EMPTY, UNLIKE, is_unlike, trust_columns

SHOWN_PX = 1200  # longest side of an image on the page
OUTLINE_FRACTION = 1 / 300  # of that side
COLOURS = cv2.COLORMAP_VIRIDIS
Pixels = npt.NDArray[np.uint8]
Diagnose = Callable[[Pixels, Any, Any], dict[str, float]]  # image, mask and probability to columns p_<diagnosis>


@dataclass(frozen=True)
class DisplayedImage:
    """An image as the page keeps it, reduced in size, with the network's output.

    Attributes:
        name: file name.
        size: original (height, width).
        shown: uint8 RGB, longest side at most `SHOWN_PX`.
        answer: the networks' output.
    """

    name: str
    size: tuple[int, int]
    shown: Pixels
    answer: Answer

    @property
    def probability(self) -> Probability:
        """Probabilities at the original size, as in `predict`."""
        return resize_to_image(self.answer.shares, *self.size)


def segment_for_display(predictor: Predictor, name: str, pixels: Pixels) -> DisplayedImage:
    """Run the network on an image, uint8 RGB [H, W, 3], and keep a reduced copy."""
    height_px, width_px = pixels.shape[:2]
    scale = min(1.0, SHOWN_PX / max(height_px, width_px))
    size = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    shown = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8) if scale < 1 else pixels
    return DisplayedImage(name, (height_px, width_px), shown, predictor.answer(pixels))


def render_results(image: DisplayedImage, outline: Outline, diagnose: Diagnose | None = None) -> str:
    """Return HTML with the outline, the probability map, the measurements and the mask to download.

    With a trust.json, also the expected Jaccard index and the band in which the true outline is expected. `diagnose`
    adds the probability of each diagnosis, see `Diagnoser.probabilities`, if there is a lesion in an image that passes
    the input check.
    """
    probability = image.probability
    mask = postprocess(probability, outline)
    measured = measure_mask(mask, probability)
    diagnoses = "" if diagnose is None else _diagnose_or_say_why(image, mask, probability, diagnose)
    trust = trust_columns(image.answer.observed, *image.size)
    mask_name = f"{PurePath(image.name).stem}_segmentation.png"
    mask_uri = _data_uri(255 * mask, "PNG")
    height_px, width_px = image.size
    return f"""{render_trust(trust)}
<div class="pictures">
  <figure>
    <img src="{_data_uri(_draw_outline(image, mask, trust.get("margin_px")), "JPEG")}"
      alt="{escape(_describe(image, measured))}">
    <figcaption>Outline: probability above {outline.threshold:g}{_describe_margin(trust)}</figcaption>
  </figure>
  <figure>
    <img src="{_data_uri(_draw_map(image, probability), "JPEG")}"
      alt="Probability of lesion at each pixel of {escape(image.name)}, from {probability.min():.2f} to
      {probability.max():.2f}; dark is skin, bright is lesion">
    <figcaption>Probability of lesion{_colour_bar(outline.threshold)}</figcaption>
  </figure>
</div>
<div class="under">
  <h2>{escape(image.name)}</h2>
  <a class="download" download="{escape(mask_name)}" href="{mask_uri}">Download the mask
    <small>PNG, {width_px} × {height_px} px, 0 and 255</small></a>
</div>
{diagnoses}{_table(measured)}"""


def _capitalized(words: str) -> str:
    """With a capital first letter; `str.capitalize` would lower the others."""
    return words[0].upper() + words[1:]


def _diagnose_or_say_why(image: DisplayedImage, mask: Mask, probability: Probability, diagnose: Diagnose) -> str:
    reason = UNLIKE if is_unlike(image.answer.observed) else "" if mask.any() else EMPTY
    if reason:
        return f'<h3>No diagnosis</h3>\n<p class="guess">{escape(_capitalized(reason))}.</p>'
    return render_diagnoses(_diagnose_shown(image, mask, probability, diagnose))


def _diagnose_shown(
    image: DisplayedImage, mask: Mask, probability: Probability, diagnose: Diagnose
) -> dict[str, float]:
    """Diagnose the reduced copy: the page does not keep the original."""
    small = _resize_like(image.shown, mask, cv2.INTER_NEAREST), _resize_like(image.shown, probability, cv2.INTER_LINEAR)
    return diagnose(image.shown, *small)


def render_diagnoses(columns: dict[str, float]) -> str:
    """Return HTML with a bar for each column p_<diagnosis>, the most probable first."""
    rows = ""
    for column, value in sorted(columns.items(), key=lambda item: -item[1]):
        name = column.removeprefix("p_")
        words = DIAGNOSES.get(name, name)
        rows += (
            f'<tr data-diagnosis="{escape(name)}"><th scope="row">{escape(_capitalized(words))}</th>'
            f'<td>{100 * value:.1f} %</td><td class="share"><span style="width: {100 * value:.1f}%"></span></td></tr>'
        )
    return f"""<h3>Probability of each diagnosis</h3>
<p class="guess">From a classifier for research, not from a doctor: do not use it to decide about a person.</p>
<table class="measurements diagnoses"><tbody>{rows}</tbody></table>"""


def render_trust(trust: Mapping[str, Any]) -> str:
    """Return HTML with the expected Jaccard index, amber where a review is advised; "" without `trust_columns`."""
    if not trust:
        return ""
    advice = f"Review advised: {trust['review_reason']}" if trust["review"] else "No review advised"
    return f"""
<div class="trust{" review" if trust["review"] else ""}" role="status"><b data-measure="expected_jaccard">
{trust["expected_jaccard"]:.2f}</b><span>expected Jaccard index of the run's outline; at least
{trust["jaccard_at_least"]:.2f} in 9 of 10 images like those of the calibration.<br>{escape(advice)}</span></div>"""


def _describe_margin(trust: Mapping[str, Any]) -> str:
    return f"; the true one is within {trust['margin_px']:.0f} px (band) in 9 of 10 images" if trust else ""


def _draw_outline(image: DisplayedImage, mask: Mask, margin_px: float | None) -> Pixels:
    thickness_px = max(1, round(max(image.shown.shape) * OUTLINE_FRACTION))
    small = _resize_like(image.shown, mask, cv2.INTER_NEAREST)
    if margin_px is None:
        return draw_outline(image.shown, small, thickness_px)
    scale = image.shown.shape[0] / image.size[0]
    return draw_outline(draw_band(image.shown, small, scale * margin_px), small, thickness_px)


def _draw_map(image: DisplayedImage, probability: Probability) -> Pixels:
    levels = np.rint(255 * _resize_like(image.shown, probability, cv2.INTER_LINEAR)).astype(np.uint8)
    return _apply_colours(levels)


def _apply_colours(levels: Pixels) -> Pixels:
    return np.asarray(cv2.applyColorMap(levels, COLOURS)[..., ::-1], np.uint8)


def _resize_like(shown: Pixels, values: npt.NDArray[Any], interpolation: int) -> npt.NDArray[Any]:
    height_px, width_px = shown.shape[:2]
    return np.asarray(cv2.resize(values, (width_px, height_px), interpolation=interpolation))


def _colour_bar(threshold: float) -> str:
    colours = _data_uri(_apply_colours(np.arange(256, dtype=np.uint8)[None]), "PNG")
    return f"""<span class="bar" role="img" aria-label="Colours from 0, dark violet, to 1, yellow; the threshold is
 {threshold:g}"><span>0</span><span class="scale" style="background-image: url({colours})"><span class="tick"
 style="left: {100 * threshold:.1f}%"></span></span><span>1</span></span>"""


def _describe(image: DisplayedImage, measured: dict[str, Any]) -> str:
    if not measured["components"]:
        return f"{image.name}, without an outline: no lesion was found"
    return f"{image.name} with the outline of the lesion, {100 * measured['lesion_fraction']:.1f} % of the image"


def _table(measured: dict[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{label}</th><td data-measure="{key}">{value}</td><td>{meaning}</td></tr>'
        for key, label, value, meaning in describe_measurements(measured)
    )
    return f'<table class="measurements"><caption>Measurements</caption><tbody>{rows}</tbody></table>'


def describe_measurements(measured: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Turn the results of `measure_mask` into table rows: key, label, value with unit, meaning."""
    none = "none"
    box = (
        "{box_width_px} × {box_height_px} px at {box_left_px}, {box_top_px}".format(**measured)
        if measured["components"]
        else none
    )
    mean, lowest = (measured[f"border_confidence_{which}"] for which in ("mean", "lowest"))
    return [
        ("lesion_fraction", "Lesion", f"{100 * measured['lesion_fraction']:.2f} %", "of the image's area"),
        ("box", "Bounding box", box, "of the whole lesion; position from the upper left"),
        ("components", "Parts", str(measured["components"]), "that do not touch each other"),
        (
            "border_confidence_mean",
            "Border confidence",
            f"{mean:.3f}" if mean else none,
            "mean along the outline: 0.5 is undecided, 1 certain",
        ),
        (
            "border_confidence_lowest",
            "Lowest",
            f"{lowest:.3f}" if lowest else none,
            "border confidence, where the outline is least certain",
        ),
        (
            "touches_frame",
            "Touches the frame",
            "yes" if measured["touches_frame"] else "no",
            "if so, the image may not show the whole lesion",
        ),
    ]


def thumbnail(image: Pixels, width_px: int) -> str:
    """Return a small version of an image as a data URI."""
    height_px = max(1, round(image.shape[0] * width_px / image.shape[1]))
    return _data_uri(np.asarray(cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)), "JPEG")


def _data_uri(pixels: npt.NDArray[Any], form: str) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **({"quality": 90} if form == "JPEG" else {}))
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
