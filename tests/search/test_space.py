"""Search space: errors are reported before the first trial, and values are converted to those of the config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ham_keras.config import load_config_as, parse_config_as
from ham_keras.errors import HamError
from ham_keras.reference.schema import json_schema
from ham_keras.search.space import Range, TuneConfig, check_space, count_trials, is_integer, trial_config


def tune_config(**sections: Any) -> TuneConfig:
    return parse_config_as(TuneConfig, sections, "tune.json")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"train.learning_rte": {"log": [1, 2]}}, "train.learning_rte: unknown key, did you mean learning_rate?"),
        ({"train.learning_rate": {"log": [0, 1]}}, "space.train.learning_rate: log: expected more than 0, got 0"),
        ({"train.learning_rate": {"log": [2, 1]}}, r"expected \[lowest, highest\], got \[2, 1\]"),
        ({"train.learning_rate": {"linear": [-1, 1]}}, "train.learning_rate: input should be greater than 0, got -1"),
        ({"train.learning_rate": {}}, "expected exactly one of log, linear and choice, got none"),
        ({"train.learning_rate": {"log": [1, 2], "choice": [1]}}, "exactly one of .*, got log, choice"),
        ({"train.batch_size": {"log": [8.5, 64]}}, "train.batch_size: input should be a valid integer, got 8.5"),
        ({"train.batch_size": {"choice": [8, 8]}}, "choice: a value occurs twice"),
        ({"train.batch_size": {"chioce": [8]}}, "space.train.batch_size.chioce: unknown key, did you mean choice?"),
        ({"model.backbone": {"choice": ["resnet18", "resnet-34"]}}, "did you mean resnet34?"),
        ({"train.epochs.x": {"choice": [1]}}, "space: train.epochs.x: epochs is not a section"),
        ({"train.epochs": {"choice": [1]}}, "hyperband sets the epochs of each trial"),
        ({"data.split.train": {"choice": [0.5]}}, "data.split.train: cannot be searched"),
        ({"data.repair_masks": {"choice": ["never", "always"]}}, "data.repair_masks: cannot be searched"),
        ({"data.lesion_values": {"choice": [[1], [2]]}}, "data.lesion_values: cannot be searched"),
        ({"augment.scale": {"linear": [0, 0.3]}}, "augment.scale: has no effect with augment.engine=none"),
        ({"run.name": {"choice": ["a"]}}, "run.name: cannot be searched"),
        ({"train.devices": {"choice": [["CPU:0"]]}}, "train.devices: cannot be searched"),
        ({"train": {"choice": [{"epochs": 3}]}}, "train: a choice is a whole section"),
        ({"score.threshold": {"linear": [0.1, 0.9]}}, "score.threshold: cannot be searched"),
        ({"outline.tta": {"choice": [False, True]}}, "outline.tta: cannot be searched"),
        ({"data.image_size": {"linear": [64, 128]}}, "data.image_size: input should be a multiple of 32, got 65"),
        ({"train.batch_size": {"choice": [8, 16]}}, "space: has 2 combinations, but hyperband samples 22 trials"),
        ({"train.batch_size": {"linear": [1, 40]}}, "space: has 40 combinations, but hyperband samples 22 trials"),
        ({}, "space: dictionary should have at least 1 item"),
    ],
)  # fmt: skip
def test_invalid_space_names_the_key(space: dict[str, Any], message: str) -> None:
    with pytest.raises(HamError, match=message):
        check_space(tune_config(space=space))


def test_integer_keys_are_sampled_as_integers() -> None:
    space = {
        "train.batch_size": {"log": [8, 64]},
        "train.learning_rate": {"log": [1, 4]},
        "augment.scale": {"linear": [0, 0.5]},
    }
    config = tune_config(space=space, augment={"engine": "native"})
    check_space(config)
    assert [is_integer(config, key) for key in space] == [True, False, False]
    check_space(tune_config(space={"train.learning_rate": {"log": [1e-300, 1e300]}}))


def test_decode_undoes_rounding_to_float32() -> None:
    rate = Range(log=[1e-5, 1e-2])
    assert [rate.decode(float(np.float32(value))) for value in (1e-5, 1e-2, 0.00123456)] == [1e-5, 1e-2, 0.00123456]
    decay = Range(choice=[0.9, 0.99])
    assert [decay.decode(float(np.float32(value))) for value in (0.9, 0.99)] == [0.9, 0.99]


@pytest.mark.parametrize("choices", [[8, 16], [0.1, 1], ["a", "b"], [True, False], ["imagenet", None], [[64, 96], 32]])
def test_choices_of_any_type_are_encoded_and_decoded(choices: list[Any]) -> None:
    values = Range(choice=choices)
    encoded = [values.encode(choice) for choice in choices]
    assert len({type(value) for value in encoded}) == 1 and type(encoded[0]) in (int, float, str)
    assert [values.decode(value) for value in encoded] == choices


def test_trial_config_differs_from_search_only_in_its_values() -> None:
    config = tune_config(train={"epochs": 7}, run={"name": "tune"})
    trial = trial_config(config, {"train.batch_size": 8, "train.schedule.name": "cosine"}, "trial_1")
    assert (trial.train.batch_size, trial.train.schedule.name, trial.train.epochs) == (8, "cosine", 7)
    assert trial.run.name == "trial_1"
    assert trial.model == config.model and trial.data == config.data
    # Each value is allowed, but not the combination.
    with pytest.raises(HamError, match=r"warmup_epochs is 3, but epochs is 2"):
        trial_config(config, {"train.schedule.warmup_epochs": 3, "train.epochs": 2})


def test_trial_counts_match_worked_out_values() -> None:
    # epochs 9, factor 3: brackets of 9 + 3 + 1, 5 + 2 and 3 trials; e = 1 + log3(9) = 3.
    assert count_trials(tune_config(train={"epochs": 9})) == (23, 9 * 1 + 3 * 2 + 1 * 6 + 5 * 3 + 2 * 6 + 3 * 9)
    assert count_trials(tune_config(search={"algorithm": "random_search", "trials": 4})) == (4, 80)


def test_schema_includes_search() -> None:
    assert '"bayesian_optimization"' in json_schema(TuneConfig)


def test_choices_written_with_a_decimal_point_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "tune.json"
    path.write_text(
        '{"space": {"train.learning_rate": {"choice": [0.0010, 0.01]}, "data.image_size": {"choice": [64]}}}'
    )
    space = load_config_as(TuneConfig, path).space["train.learning_rate"]
    assert space.numeric and [type(value) for value in space.choice or []] == [float, float]
    assert (space.encode(0.001), space.decode(0.00099)) == (0.001, 0.001)
