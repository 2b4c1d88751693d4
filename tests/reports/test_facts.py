"""The facts that a report lists about a run's network and training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ham_keras.files import save_csv
from ham_keras.reports.facts import _network, _training
from ham_keras.runs import Run


@pytest.mark.parametrize(
    ("augment", "expected"),
    [
        ({"engine": "none"}, "none"),
        (
            {
                "engine": "native",
                "quarter_turns": False,
                "scale": 0,
                "shift": 0,
                "brightness": 0,
                "contrast": 0,
                "hue": 0,
            },
            "native: flips",
        ),
        (
            {"engine": "native", "flips": False, "hue": 0, "surroundings": "skin", "shading": 0.5},
            "native: quarter turns, scale 0.1, shift 0.05, brightness 0.1, contrast 0.1, surroundings skin, "
            "shading 0.5",
        ),
    ],
)
def test_augmentation_and_optimizer_are_those_of_the_config(
    tiny: Any, tmp_path: Path, augment: Any, expected: str
) -> None:
    config = tiny(augment=augment, train={"optimizer": "adamw", "learning_rate": 3e-4, "ema_momentum": 0.99})
    run = Run(tmp_path / "run")
    run.folder.mkdir(parents=True)
    save_csv(run.history, [{"epoch": 1, "val_jaccard": 0.5, "seconds": 90}])
    facts = _training(run, config.train, config.augment)
    assert facts["Augmentation"] == expected
    assert facts["Optimizer"] == "adamw, learning rate 0.0003, constant; moving average of the weights, 0.99"
    assert facts["Time"] == "1.5 minutes in 1 epochs"


def test_initial_weights_are_named_without_their_folder(tiny: Any) -> None:
    assert _network(tiny())["Encoder's initial weights"] == "random"
    tuned = tiny(model={"initial_weights": "elsewhere/best"}, train={"initial_share": 0.25})
    assert _network(tuned)["Initial weights"] == "best, kept at 25 %"
    assert "Encoder's initial weights" not in _network(tuned)
