"""trust.json: written and read again; missing, damaged, newer, and of other weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ham_keras.errors import HamError
from ham_keras.trust.assess import WHOLE_IMAGE, Assessor
from ham_keras.trust.columns import COLUMNS, trust_columns
from ham_keras.trust.feature_names import FEATURES
from ham_keras.trust.file import InputCheck, Trust, load_trust, save_trust
from ham_keras.trust.trees import Trees

ONE_SPLIT = Trees(
    roots=[0], depth=1, feature=[FEATURES.index("soft_jaccard"), 0, 0], threshold=[0.9, 0, 0], left=[1, 1, 2],
    right=[2, 1, 2], values=[[0.0] * 3, [0.5, 0.29, 0.2], [0.9, 0.8101, 0.05]],
)  # fmt: skip
TRUST = Trust(
    version=1, made_from={"data": "phantoms"}, weights_sha256="abc", threshold=0.5, features=list(FEATURES),
    lowest=[0.0] * len(FEATURES), highest=[10.0] * len(FEATURES), trees=ONE_SPLIT, jaccard_factor=2.0,
    margin_factor=1.5, blurred_below=0.01, temperature=1.0,
    input_check=InputCheck(
        mean=[1.0, 0.0], scale=[1.0, 1.0], axes=[[1.0, 0.0]], whitening=[[0.5]], residual=4.0, limit=2.0
    ),
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_trust(tmp_path / "trust.json", TRUST)
    return tmp_path / "trust.json"


def test_file_is_read_as_written(path: Path) -> None:
    assert load_trust(path, "abc") == TRUST
    assert load_trust(path.with_name("other.json"), "abc") is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"version": 2}, "has version 2, but this ham_keras reads version 1"),
        ({"version": "x"}, "damaged (version"),
        ({"jaccard_factor": None}, "damaged (jaccard_factor"),
        ({"features": ["area"]}, "damaged (Value error, features: not those of this version)"),
        ({"surprise": 1}, "damaged (surprise"),
        ({"weights_sha256": "other"}, "was made with other weights"),
    ],
)
def test_wrong_file_is_a_line_with_file_and_command(path: Path, change: dict[str, object], problem: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(HamError) as caught:
        load_trust(path, "abc")
    message = str(caught.value)
    assert message.startswith(f"{path}: {problem}") and "\n" not in message
    assert message.endswith(f"write it again with `python -m ham_keras.calibrate {path.parent}`")


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1', "{}"])
def test_text_that_is_no_trust_is_a_line_too(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(HamError, match=r"trust\.json: damaged \("):
        load_trust(path, "abc")


def test_assessment_worked_out() -> None:
    disc = (np.hypot(*(np.indices((32, 32)) - 15.5)) <= 8).astype(np.float32)
    maps = np.stack([disc, 0.6 * disc, np.zeros_like(disc)])[..., None]
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    encoding = np.array([[1, 0], [1, 8], [9, 0]], np.float32)
    assess = Assessor(TRUST)
    found = {name: value.numpy() for name, value in assess(images, tf.constant(maps), encoding).items()}
    np.testing.assert_allclose(found["expected_jaccard"], [0.9, 0.5, 0])
    np.testing.assert_allclose(found["jaccard_at_least"], [0.88, 0.1, 0], atol=1e-4)  # deviations 0.01 and 0.2
    diameter = np.sqrt(4 / np.pi * disc.mean())
    margins = [1.5 * 0.05 * diameter, 1.5 * 0.2 * np.sqrt(0.6) * diameter, WHOLE_IMAGE]
    np.testing.assert_allclose(found["margin"], margins, rtol=1e-5)
    np.testing.assert_allclose(found["input_distance"], [0, 2, 2], atol=1e-6)  # sqrt(64 / 4) / 2, 8 * 0.5 / 2
    assert found["review"].tolist() == [False, True, True]
    columns = [trust_columns({name: value[i] for name, value in found.items()}, 100, 400) for i in range(3)]
    assert list(columns[0]) == list(COLUMNS)
    assert columns[0]["margin_px"] == round(200 * margins[0], 1)
    assert [row["review_reason"] for row in columns] == [
        "",
        "not like the dermoscopy images this network was trained on; outline uncertain",
        "not like the dermoscopy images this network was trained on; no lesion found",
    ]


def test_reasons_in_words() -> None:
    values = {"expected_jaccard": 0.5, "jaccard_at_least": 0.3, "margin": 0.1, "input_distance": 0.3, "review": True}
    cut_and_blurred = trust_columns(values | {"cut": True, "blurred": True}, 10, 10)
    assert cut_and_blurred["review_reason"] == "lesion cut by the frame; out of focus"
    good = values | {"expected_jaccard": 0.9, "review": False, "cut": True, "blurred": True}
    assert trust_columns(good, 10, 10)["review_reason"] == ""
    assert trust_columns({}, 10, 10) == {}
