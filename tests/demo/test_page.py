"""The demo page without a browser: its event handlers, what it keeps, and its header."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ham_keras.demo.display import SHOWN_PX, render_diagnoses, segment_for_display
from ham_keras.demo.page import (
    LARGEST_PIXELS,
    NO_RESULTS,
    EventHandlers,
    read_upload,
    render_header,
)
from ham_keras.errors import HamError
from ham_keras.files import load_json
from ham_keras.prediction.ensemble import single_run
from ham_keras.prediction.predictor import Answer
from ham_keras.runs import Run, load_run


class Ramp:
    """Stands in for a Predictor: probability rises linearly from 0 on the left to 1 on the right."""

    def __init__(self, observed: dict[str, Any] | None = None) -> None:
        self.calls = 0
        self.observed = observed or {}

    def answer(self, image: np.ndarray) -> Answer:
        self.calls += 1
        return Answer((np.tile(np.linspace(0, 1, 5, dtype=np.float32)[None, :, None], (4, 1, 1)),), self.observed)


@pytest.fixture
def handlers() -> Any:
    return EventHandlers(Ramp())  # type: ignore[arg-type]


def test_new_threshold_does_not_run_the_network(handlers: Any) -> None:
    image, _, results = handlers.open_example(SimpleNamespace(index=1), 0.5, False, False)
    calls = handlers.predictor.calls
    assert (image.name, image.size) == ("phantom_2.png", (450, 600))
    # Bilinear between 5 columns whose centres are 120 px apart: (x + 0.5 - 60) / 480 at column x.
    assert '<td data-measure="lesion_fraction">50.00 %</td>' in results
    assert '<td data-measure="box">300 × 450 px at 300, 0</td>' in results
    assert '<td data-measure="lesion_fraction">30.00 %</td>' in handlers.update_outline(image, 0.75, False, False)
    assert handlers.predictor.calls == calls
    assert handlers.update_outline(None, 0.5, False, False) == NO_RESULTS  # no image yet, or its state has expired


def test_image_is_kept_reduced_and_measured_at_its_original_size() -> None:
    pixels = np.zeros((400, 4 * SHOWN_PX, 3), np.uint8)
    image = segment_for_display(Ramp(), "wide.png", pixels)  # type: ignore[arg-type]
    assert image.shown.shape == (100, SHOWN_PX, 3)
    assert image.probability.shape == (400, 4 * SHOWN_PX)
    assert (image.probability > 0.5).mean() == 0.5


def test_upload_errors(handlers: Any, tmp_path: Path) -> None:
    gone = tmp_path / "gone.jpg"
    with pytest.raises(HamError, match=r"gone\.jpg: another page uploaded the same file at the same moment"):
        read_upload(gone)
    broken = tmp_path / "0123" / "broken.jpg"
    broken.parent.mkdir()
    broken.write_bytes(b"no image")
    sent = {"path": str(broken), "orig_name": "<i>broken.jpg"}
    image, message, results = handlers.open_upload(sent, 0.5, False, False)
    assert (image, results, broken.exists()) == (None, NO_RESULTS, False)
    assert "&lt;i&gt;broken.jpg: not a readable image (unknown format)" in message.value
    assert str(tmp_path) not in message.value
    assert LARGEST_PIXELS > 6_000 * 4_000


def test_header_shows_network_scores_and_intended_use(trained: Run, tmp_path: Path) -> None:
    run, config = load_run(trained.folder)
    jaccard = load_json(run.summary("test"))["native"]["jaccard"]
    header = render_header(single_run(run, config), local=True)
    low, high = jaccard["interval"]
    assert f"mean Jaccard {jaccard['mean']:.4f} (95 % interval {low:.4f} to {high:.4f}) on 6 test images" in header
    assert "Run <b>tiny</b> · network 32 × 32 px" in header
    assert "Research use; not a medical device.</b> Images stay on this machine; nothing is stored." in header
    assert "mirror" not in header and "mean over the image and its mirror images" in render_header(
        single_run(run, config), local=True, tta=True
    )
    unscored = render_header(single_run(Run(tmp_path), config), local=False)
    assert "Jaccard" not in unscored
    assert "Images are sent only to this page's server; nothing is stored." in unscored


def test_page_advises_a_review_beside_the_expected_jaccard() -> None:
    observed = {
        "expected_jaccard": 0.6, "jaccard_at_least": 0.41, "margin": 0.1, "input_distance": 0.5, "cut": False,
        "blurred": True, "review": True,
    }  # fmt: skip
    handlers = EventHandlers(Ramp(observed))  # type: ignore[arg-type]
    _, _, results = handlers.open_example(SimpleNamespace(index=0), 0.5, False, False)
    assert 'class="trust review"' in results and "Review advised: out of focus" in results
    assert "0.60" in results and "at least\n0.41" in results
    assert "within 52 px (band)" in results  # 0.1 of the root of 450 x 600
    handlers = EventHandlers(Ramp(observed | {"review": False, "expected_jaccard": 0.9}))  # type: ignore[arg-type]
    _, _, results = handlers.open_example(SimpleNamespace(index=0), 0.5, False, False)
    assert 'class="trust"' in results and "No review advised" in results


def test_diagnoses_are_listed_by_probability_and_spelt_as_in_a_sentence() -> None:
    page = render_diagnoses({"p_nv": 0.25, "p_akiec": 0.75})
    names = re.findall(r'<tr data-diagnosis="(\w+)"><th scope="row">([^<]+)</th><td>([^<]+)</td>', page)
    disease = "Actinic keratosis or Bowen&#x27;s disease"
    assert names == [("akiec", disease, "75.0 %"), ("nv", "Melanocytic nevus", "25.0 %")]
