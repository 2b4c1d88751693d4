"""The search space: its settings, checks before the first trial, and the config of each trial."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from ham_keras.config import Config, parse_config
from ham_keras.errors import HamError
from ham_keras.settings import Section, Seed
from ham_keras.settings.kinds import to_plain

Number = int | float
Bounds = Annotated[list[Number], Field(min_length=2, max_length=2)]

# Trials with different images or scores cannot be compared; devices are those of the search.
NOT_SEARCHABLE = (
    "$schema", "description", "run", "outline", "score", "data.root", "data.split", "data.split_file", "data.sample",
    "data.group_by", "data.stratify", "data.seed", "data.repair_masks", "data.lesion_values", "train.devices",
)  # fmt: skip


class Range(Section):
    """The possible values of a key: exactly one of `log`, `linear` and `choice`."""

    log: Bounds | None = Field(None, description="[lowest, highest], sampled uniformly on a log scale.")
    linear: Bounds | None = Field(None, description="[lowest, highest], sampled uniformly.")
    choice: Annotated[list[Any], Field(min_length=1), BeforeValidator(to_plain)] | None = Field(
        None, description="One of these values."
    )

    @model_validator(mode="after")
    def _one_of_three(self) -> Range:
        given = [name for name in ("log", "linear", "choice") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of log, linear and choice, got {', '.join(given) or 'none'}")
        if self.choice is None and not self.lowest < self.highest:
            raise ValueError(f"{given[0]}: expected [lowest, highest], got [{self.lowest}, {self.highest}]")
        if self.log is not None and self.lowest <= 0:
            raise ValueError(f"log: expected more than 0, got {self.lowest}")
        if self.choice is not None and len({json.dumps(value) for value in self.choice}) < len(self.choice):
            raise ValueError("choice: a value occurs twice")
        return self

    @property
    def lowest(self) -> Number:
        return (self.log or self.linear or [0])[0]

    @property
    def highest(self) -> Number:
        return (self.log or self.linear or [0])[-1]

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers; a search can use their order."""
        return self.choice is None or all(type(value) in (int, float) for value in self.choice)

    def encode(self, value: Any) -> int | float | str:
        """Encode a choice for KerasTuner: numbers get the same type, everything else becomes JSON text."""
        if not self.numeric:
            return json.dumps(value)
        return float(value) if any(isinstance(other, float) for other in self.choice or []) else int(value)

    def decode(self, value: int | float | str) -> Any:
        """Decode a value sampled by KerasTuner, which sends float32 to workers."""
        if isinstance(value, str):
            return json.loads(value)
        if self.choice is not None:
            return min(self.choice, key=lambda choice: abs(choice - value))
        return value if isinstance(value, int) else min(max(float(f"{value:.6g}"), self.lowest), self.highest)

    def __str__(self) -> str:
        if self.choice is not None:
            return "one of " + ", ".join(json.dumps(value) for value in self.choice)
        return f"{self.lowest:g} to {self.highest:g}, {'logarithmic' if self.log else 'linear'}"


class Search(Section):
    algorithm: Literal["hyperband", "bayesian_optimization", "random_search"] = Field(
        "hyperband",
        description="hyperband (Li et al. 2018): many trials for few epochs, the best of them for more; "
        "bayesian_optimization: a Gaussian process proposes each trial; random_search.",
    )
    trials: Annotated[int, Field(ge=1)] = Field(
        20,
        description="Number of trials; hyperband computes it from train.epochs instead.",
    )
    factor: Annotated[int, Field(ge=2)] = Field(3, description="hyperband: one in `factor` trials continues.")
    iterations: Annotated[int, Field(ge=1)] = Field(1, description="hyperband: number of full runs of the algorithm.")
    seed: Seed = Field(0, description="Seed for sampling the values.")


DEFAULT_SPACE = {
    "train.learning_rate": Range(log=[1e-5, 1e-2]),
    "train.batch_size": Range(choice=[8, 16, 32]),
}


class TuneConfig(Config):
    """Config of a search: the settings all trials share, and the search space. `train.epochs` limits each trial."""

    search: Search = Search()
    space: Annotated[dict[str, Range], Field(min_length=1)] = Field(
        DEFAULT_SPACE, description="Dotted keys of the config, e.g. train.learning_rate, and their possible values."
    )


def trial_config(config: TuneConfig, values: Mapping[str, Any], name: str | None = None) -> Config:
    """Return the config of a trial: the config of the search with these values; `name` becomes run.name.

    Raises:
        HamError: a key is unknown or its value is not allowed.
    """
    settings = config.model_dump(by_alias=True, exclude={"schema_", "description", "search", "space"})
    settings["run"]["name"] = name
    for key, value in values.items():
        *sections, last = key.split(".")
        section = settings
        for part in sections:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise HamError(f"space: {key}: {part} is not a section of the config")
        section[last] = value
    return parse_config(settings, "space")


def check_space(config: TuneConfig) -> None:
    """Validate every choice, and both bounds and an inner value of every range, against the config.

    Raises:
        HamError: names the invalid key and the problem.
    """
    for key, values in config.space.items():
        if any(key == fixed or key.startswith(f"{fixed}.") for fixed in NOT_SEARCHABLE):
            raise HamError(f"space: {key}: cannot be searched: trials would not be comparable")
        if key == "train.epochs" and config.search.algorithm == "hyperband":
            raise HamError(f"space: {key}: hyperband sets the epochs of each trial; search with random_search")
        if any(isinstance(value, dict) for value in values.choice or ()):
            raise HamError(f"space: {key}: a choice is a whole section; search over its keys one by one")
        for value in [values.lowest, values.highest] if values.choice is None else values.choice:
            trial_config(config, {key: value})
        if values.choice is None:
            inner = min(values.lowest + 1, values.highest) if is_integer(config, key) else _non_integer(values)
            trial_config(config, {key: inner})
        if key.startswith("augment.") and config.augment.engine == "none" and "augment.engine" not in config.space:
            raise HamError(f"space: {key}: has no effect with augment.engine=none; set it to native")
    if config.search.algorithm == "hyperband":
        sampled, combinations = count_sampled(config), count_combinations(config)
        if combinations < 2 * sampled:
            raise HamError(
                f"space: has {combinations:g} combinations, but hyperband samples {sampled} trials and needs at least "
                f"twice as many combinations to fill its rounds; use random_search, or fewer train.epochs"
            )


def is_integer(config: TuneConfig, key: str) -> bool:
    """Return whether a key has a range with integer bounds and only accepts integers."""
    values = config.space[key]
    if values.choice is not None or not all(isinstance(bound, int) for bound in (values.lowest, values.highest)):
        return False
    try:
        trial_config(config, {key: _non_integer(values)})
    except HamError:
        return True
    return False


def _non_integer(values: Range) -> float:
    """Return a number inside the range that is not an integer."""
    middle = (
        math.sqrt(values.lowest) * math.sqrt(values.highest) if values.log else (values.lowest + values.highest) / 2
    )
    return middle if middle != int(middle) else middle + (values.highest - middle) / math.pi


def count_combinations(config: TuneConfig) -> float:
    """Return the number of different trials in the space; infinite if a range is continuous."""
    count = 1.0
    for key, values in config.space.items():
        if values.choice is not None:
            count *= len(values.choice)
        else:
            count *= values.highest - values.lowest + 1 if is_integer(config, key) else math.inf
    return count


def count_trials(config: TuneConfig) -> tuple[int, int]:
    """Return the maximum number of trials and of epochs over all trials; a small space can have fewer."""
    search, max_epochs = config.search, config.train.epochs
    if search.algorithm != "hyperband":
        return search.trials, search.trials * max_epochs
    rounds = [one for bracket in hyperband_brackets(max_epochs, search.factor) for one in bracket]
    trials = sum(size for size, _ in rounds)
    return trials * search.iterations, sum(size * epochs for size, epochs in rounds) * search.iterations


def count_sampled(config: TuneConfig) -> int:
    """Return the number of trials that Hyperband samples; its other trials continue these."""
    brackets = hyperband_brackets(config.train.epochs, config.search.factor)
    return sum(bracket[0][0] for bracket in brackets) * config.search.iterations


def hyperband_brackets(max_epochs: int, factor: int) -> list[list[tuple[int, int]]]:
    """Return the rounds of each bracket as (trials, epochs per trial in this round), with the sizes of KerasTuner.

    Bracket b starts with ceil(e / (b + 1) * factor**b) trials of max_epochs / factor**b epochs, where e is
    ceil(1 + log(max_epochs, factor)). In each round, one in `factor` trials continues.
    """
    last_size = math.ceil(1 + math.log(max_epochs, factor))
    brackets: list[list[tuple[int, int]]] = []
    while max_epochs / factor ** len(brackets) >= 1:
        number, trained, rounds = len(brackets), 0, []
        for power in range(number, -1, -1):
            until = math.ceil(max_epochs / factor**power)
            rounds.append((math.ceil(last_size / (number + 1) * factor**power), until - trained))
            trained = until
        brackets.append(rounds)
    return brackets


def describe_search(config: TuneConfig) -> str:
    """Describe algorithm and size of a search, e.g. "hyperband, at most 23 trials and 75 epochs in all"."""
    trials, epochs = count_trials(config)
    return f"{config.search.algorithm}, at most {trials} trials and {epochs} epochs in all"
