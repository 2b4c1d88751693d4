"""What a search varies: its settings, checked before anything runs, and the config of each trial."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ham_keras.config import Config, parse_config
from ham_keras.errors import HamError
from ham_keras.settings import Section, Seed

Number = int | float
Ends = Annotated[list[Number], Field(min_length=2, max_length=2)]

# Trials that see other images or another measure cannot be compared.
NOT_SEARCHED = (
    "$schema", "description", "run", "outline", "score", "data.root", "data.split", "data.split_file", "data.sample",
    "data.group_by", "data.seed",
)  # fmt: skip


class Range(Section):
    """The values a key may take: exactly one of `log`, `linear` and `choice`."""

    log: Ends | None = Field(None, description="[lowest, highest], drawn evenly on a logarithmic scale.")
    linear: Ends | None = Field(None, description="[lowest, highest], drawn evenly.")
    choice: Annotated[list[Any], Field(min_length=1)] | None = Field(None, description="One of these values.")

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
            raise ValueError("choice: a value stands there twice")
        return self

    @property
    def lowest(self) -> Number:
        return (self.log or self.linear or [0])[0]

    @property
    def highest(self) -> Number:
        return (self.log or self.linear or [0])[-1]

    @property
    def numeric(self) -> bool:
        """All values are numbers, which have an order that a search can use."""
        return self.choice is None or all(type(value) in (int, float) for value in self.choice)

    def encode(self, value: Any) -> int | float | str:
        """A choice as KerasTuner holds it: numbers of one type, all else as JSON text."""
        if not self.numeric:
            return json.dumps(value)
        return float(value) if any(isinstance(other, float) for other in self.choice or []) else int(value)

    def decode(self, value: int | float | str) -> Any:
        """A value that KerasTuner drew, which may have been through float32 on its way to a worker."""
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
        20, description="How many, for bayesian_optimization and random_search; hyperband's follow from train.epochs."
    )
    factor: Annotated[int, Field(ge=2)] = Field(3, description="hyperband: one trial in `factor` goes on.")
    iterations: Annotated[int, Field(ge=1)] = Field(1, description="hyperband: how often all of it is done.")
    seed: Seed = Field(0, description="Draws the trials' values.")


DEFAULT_SPACE = {
    "train.learning_rate": Range(log=[1e-5, 1e-2]),
    "train.batch_size": Range(choice=[8, 16, 32]),
}


class TuneConfig(Config):
    """A search: the config that its trials share, and what they vary. No trial trains for more than `train.epochs`."""

    search: Search = Search()
    space: Annotated[dict[str, Range], Field(min_length=1)] = Field(
        DEFAULT_SPACE, description="Dotted keys of the config, e.g. train.learning_rate, and their values."
    )


def trial_config(config: TuneConfig, values: Mapping[str, Any], name: str | None = None) -> Config:
    """The search's config with these values in the place of the keys; `name` is its run.name.

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
    """Try every choice, both ends of every range and a value between them in the config model.

    Raises:
        HamError: names the key, and what is wrong with it.
    """
    for key, values in config.space.items():
        if any(key == barred or key.startswith(f"{barred}.") for barred in NOT_SEARCHED):
            raise HamError(f"space: {key}: cannot be searched: its trials could not be compared")
        if key == "train.epochs" and config.search.algorithm == "hyperband":
            raise HamError(f"space: {key}: hyperband sets the epochs of each trial; search with random_search")
        if any(isinstance(value, dict) for value in values.choice or ()):
            raise HamError(f"space: {key}: a choice is a whole section; search over its keys one by one")
        for value in [values.lowest, values.highest] if values.choice is None else values.choice:
            trial_config(config, {key: value})
        if values.choice is None:
            inner = min(values.lowest + 1, values.highest) if is_whole(config, key) else _between(values)
            trial_config(config, {key: inner})
    if config.search.algorithm == "hyperband":
        drawn, different = count_drawn(config), count_different(config)
        if different < 2 * drawn:
            raise HamError(
                f"space: holds {different:g} different trials, and hyperband draws {drawn}; where there are fewer than "
                f"twice as many it ends before its rounds are full: use random_search, or fewer train.epochs"
            )


def is_whole(config: TuneConfig, key: str) -> bool:
    """The key is drawn from a range between whole numbers and takes no others."""
    values = config.space[key]
    if values.choice is not None or not all(isinstance(end, int) for end in (values.lowest, values.highest)):
        return False
    try:
        trial_config(config, {key: _between(values)})
    except HamError:
        return True
    return False


def _between(values: Range) -> float:
    """A number of the range that is not whole."""
    middle = (
        math.sqrt(values.lowest) * math.sqrt(values.highest) if values.log else (values.lowest + values.highest) / 2
    )
    return middle if middle != int(middle) else middle + (values.highest - middle) / math.pi


def count_different(config: TuneConfig) -> float:
    """How many different trials the space holds; infinite where a range is continuous."""
    count = 1.0
    for key, values in config.space.items():
        if values.choice is not None:
            count *= len(values.choice)
        else:
            count *= values.highest - values.lowest + 1 if is_whole(config, key) else math.inf
    return count


def count_trials(config: TuneConfig) -> tuple[int, int]:
    """How many trials, and how many epochs of all together; fewer where the space holds fewer different values."""
    search, most = config.search, config.train.epochs
    if search.algorithm != "hyperband":
        return search.trials, search.trials * most
    rounds = [one for bracket in hyperband_brackets(most, search.factor) for one in bracket]
    trials = sum(size for size, _ in rounds)
    return trials * search.iterations, sum(size * epochs for size, epochs in rounds) * search.iterations


def count_drawn(config: TuneConfig) -> int:
    """How many trials Hyperband draws; the others continue some of them."""
    brackets = hyperband_brackets(config.train.epochs, config.search.factor)
    return sum(bracket[0][0] for bracket in brackets) * config.search.iterations


def hyperband_brackets(most: int, factor: int) -> list[list[tuple[int, int]]]:
    """The rounds of each bracket as (trials, epochs that each is trained in this round), as KerasTuner sizes them.

    Bracket b starts with ceil(e / (b + 1) * factor**b) trials of most / factor**b epochs, where e is
    ceil(1 + log(most, factor)); in each round one trial in `factor` goes on.
    """
    last_size = math.ceil(1 + math.log(most, factor))
    brackets: list[list[tuple[int, int]]] = []
    while most / factor ** len(brackets) >= 1:
        number, trained, rounds = len(brackets), 0, []
        for power in range(number, -1, -1):
            until = math.ceil(most / factor**power)
            rounds.append((math.ceil(last_size / (number + 1) * factor**power), until - trained))
            trained = until
        brackets.append(rounds)
    return brackets


def describe_search(config: TuneConfig) -> str:
    """Algorithm and size of a search, e.g. "hyperband, at most 23 trials and 75 epochs in all"."""
    trials, epochs = count_trials(config)
    return f"{config.search.algorithm}, at most {trials} trials and {epochs} epochs in all"
