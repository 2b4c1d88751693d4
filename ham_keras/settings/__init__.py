"""All settings of a run, with types, defaults and descriptions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ham_keras.settings.data import Augment, Data, Split
from ham_keras.settings.kinds import Name, Section, Seed, Text
from ham_keras.settings.training import Model, Schedule, Train

__all__ = [
    "FEWEST_LESIONS", "Augment", "Config", "Data", "Model", "Outline", "Run", "Schedule", "Score", "Section", "Seed",
    "Split", "Train", "WorkConfig",
]  # fmt: skip


class Run(Section):
    name: Name | None = Field(
        None, description="Name of the folder in `dir`, without slashes; the config's file name if null."
    )
    dir: Text = Field("runs", description="Folder that contains the run folders.")


class Outline(Section):
    """Post-processing of probabilities, the same in scores, predictions, reports, exports and the demo."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = Field(0.5, description="A probability above this is lesion.")
    tta: bool = Field(
        False, description="Average the probabilities of the image and its three mirror images, at four times the cost."
    )
    keep_largest: bool = Field(False, description="Keep only the largest connected component.")
    fill_holes: bool = Field(False, description="Fill holes in the lesion.")


FEWEST_LESIONS = 10  # an interval over fewer is marked: the percentiles of so few are too narrow


class Score(Section):
    bootstrap_resamples: Annotated[int, Field(ge=100)] = Field(
        2000, description="Bootstrap resamples of the lesions for the 95 % intervals."
    )


class WorkConfig(Section):
    """What the configs of all kinds of work have in common."""

    schema_: str | None = Field(None, alias="$schema", description="Lets editors complete and check this file.")
    description: str = Field("", description="Purpose of this config, training time and hardware, results.")
    run: Run = Run()


class Config(WorkConfig):
    """Config of a run, from data to scores."""

    data: Data = Data()
    augment: Augment = Augment()
    model: Model = Model()
    train: Train = Train()
    outline: Outline = Outline()
    score: Score = Score()

    @model_validator(mode="after")
    def _check_initial_share(self) -> Config:
        if self.train.initial_share and self.model.initial_weights is None:
            raise ValueError("train.initial_share needs model.initial_weights; set that to a run, or the share to 0")
        return self

    @model_validator(mode="after")
    def _check_quarter_turns(self) -> Config:
        if self.augment.engine != "none" and self.augment.quarter_turns and len(set(self.data.image_size)) == 2:
            raise ValueError("augment.quarter_turns needs a square data.image_size; set it to false")
        return self
