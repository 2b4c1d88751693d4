"""What the demo page does behind the browser: when it asks the network, what it remembers, what it says of itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ham_keras.demo.page import (
    LARGEST_PIXELS,
    NOTHING_YET,
    Desk,
    read_upload,
    show_head,
)
from ham_keras.demo.photograph import SHOWN_PX, segment_photograph
from ham_keras.errors import HamError
from ham_keras.files import load_json
from ham_keras.runs import Run, load_run


class Ramp:
    """In a Segmenter's place: the probability rises evenly from 0 on the left to 1 on the right."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, image: np.ndarray) -> np.ndarray:
        self.asked += 1
        return np.tile(np.linspace(0, 1, 5, dtype=np.float32)[None, :, None], (4, 1, 1))


@pytest.fixture
def desk() -> Any:
    return Desk(Ramp())  # type: ignore[arg-type]


def test_moving_the_threshold_asks_no_network(desk: Any) -> None:
    photograph, _, results = desk.take_example(SimpleNamespace(index=1), 0.5, False, False)
    asked = desk.segmenter.asked
    assert (photograph.name, photograph.size) == ("phantom_2.png", (450, 600))
    # Bilinear between 5 columns whose centres are 120 px apart: at column x it is (x + 0.5 - 60) / 480.
    assert '<td data-measure="lesion_fraction">50.00 %</td>' in results
    assert '<td data-measure="box">300 × 450 px at 300, 0</td>' in results
    assert '<td data-measure="lesion_fraction">30.00 %</td>' in desk.outline(photograph, 0.75, False, False)
    assert desk.segmenter.asked == asked
    assert desk.outline(None, 0.5, False, False) == NOTHING_YET  # before an image, and after it was forgotten


def test_an_image_is_kept_small_and_measured_at_its_own_size() -> None:
    image = np.zeros((400, 4 * SHOWN_PX, 3), np.uint8)
    photograph = segment_photograph(Ramp(), "wide.png", image)  # type: ignore[arg-type]
    assert photograph.shown.shape == (100, SHOWN_PX, 3)
    assert photograph.probability.shape == (400, 4 * SHOWN_PX)
    assert (photograph.probability > 0.5).mean() == 0.5


def test_uploads_that_cannot_be_taken(desk: Any, tmp_path: Path) -> None:
    gone = tmp_path / "gone.jpg"
    with pytest.raises(HamError, match=r"gone\.jpg: another page was sent the same file in the same instant"):
        read_upload(gone)
    broken = tmp_path / "0123" / "broken.jpg"
    broken.parent.mkdir()
    broken.write_bytes(b"no image")
    sent = {"path": str(broken), "orig_name": "<i>broken.jpg"}
    photograph, message, results = desk.take_upload(sent, 0.5, False, False)
    assert (photograph, results, broken.exists()) == (None, NOTHING_YET, False)
    assert "&lt;i&gt;broken.jpg: not a readable image (unknown format)" in message.value
    assert str(tmp_path) not in message.value
    assert LARGEST_PIXELS > 6_000 * 4_000


def test_the_head_says_what_network_this_is_and_what_it_is_not(trained: Run, tmp_path: Path) -> None:
    run, config = load_run(trained.folder)
    jaccard = load_json(run.summary("test"))["native"]["jaccard"]
    head = show_head(run, config, local=True)
    low, high = jaccard["interval"]
    assert f"mean Jaccard {jaccard['mean']:.4f} (95 % interval {low:.4f} to {high:.4f}) on 6 test images" in head
    assert "Run <b>tiny</b> · network 32 × 32 px" in head
    assert "Research use; not a medical device.</b> Images stay on this machine; nothing is stored." in head
    assert "mirror" not in head and "mean over the image and its mirror images" in show_head(
        run, config, local=True, tta=True
    )
    unscored = show_head(Run(tmp_path), config, local=False)
    assert "Jaccard" not in unscored
    assert "Images go to this page's server and no further; nothing is stored." in unscored
