"""Every setting of a run: what it is called, what it may be, what it is when left out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ham_keras.settings.data import Augment, Data, Split
from ham_keras.settings.kinds import Name, Section, Seed, Text
from ham_keras.settings.training import Model, Schedule, Train

__all__ = [
    "Augment", "Config", "Data", "Model", "Outline", "Run", "Schedule", "Score", "Section", "Seed", "Split", "Train",
]  # fmt: skip


class Run(Section):
    name: Name | None = Field(
        None, description="Folder below `dir`, one name without slashes; the config's file name when null."
    )
    dir: Text = Field("runs", description="Where run folders are kept.")


class Outline(Section):
    """How probabilities become a mask, the same in scores, predictions, reports, the export and the demo page."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = Field(0.5, description="Lesion is where probability > this.")
    tta: bool = Field(
        False, description="Average the probabilities of the image and its three mirror images: four times the work."
    )
    keep_largest: bool = Field(False, description="Keep only the largest connected part of the lesion.")
    fill_holes: bool = Field(False, description="Count skin that the lesion encloses as lesion.")


class Score(Section):
    bootstrap_resamples: Annotated[int, Field(ge=100)] = Field(
        2000, description="Draws of lesions from which the 95 % intervals are read."
    )


class Config(Section):
    """One run of ham_keras, from data to scores."""

    schema_: str | None = Field(None, alias="$schema", description="Lets editors complete and check this file.")
    description: str = Field("", description="What this config is for, how long it took on what, what it reached.")
    run: Run = Run()
    data: Data = Data()
    augment: Augment = Augment()
    model: Model = Model()
    train: Train = Train()
    outline: Outline = Outline()
    score: Score = Score()

    @model_validator(mode="after")
    def _turns_fit(self) -> Config:
        if self.augment.engine != "none" and self.augment.quarter_turns and len(set(self.data.image_size)) == 2:
            raise ValueError("augment.quarter_turns needs a square data.image_size; set it to false")
        return self
