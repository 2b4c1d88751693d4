"""Settings of the data and of its augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ham_keras.settings.kinds import Fraction, ImageSize, Section, Seed, Text


class Split(Section):
    """Fractions of the images. What the three leave over is not used."""

    train: Fraction = Field(0.95, description="Trained on.")
    val: Fraction = Field(0.025, description="Looked at after each epoch: the best epoch's weights are kept.")
    test: Fraction = Field(0.025, description="Scored once, at the end.")

    @model_validator(mode="after")
    def _at_most_everything(self) -> Split:
        total = self.train + self.val + self.test
        if total > 1 + 1e-9:
            raise ValueError(f"train + val + test is {total:g}, expected at most 1")
        if not (self.train and self.val and self.test):
            raise ValueError("train, val and test must each be more than 0")
        return self


class Augment(Section):
    """Random changes to training images, drawn anew each epoch. Geometry moves the mask too."""

    engine: Literal["none", "native", "albumentations"] = Field(
        "none", description="none; native: TensorFlow, a whole batch at a time; albumentations: image by image."
    )
    flips: bool = Field(True, description="Mirror left-right and top-bottom, each with probability 1/2.")
    quarter_turns: bool = Field(True, description="Turn by 0, 90, 180 or 270 degrees. Needs a square image_size.")
    scale: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="Zoom by a factor in 1 +- scale.")
    shift: Annotated[float, Field(ge=0, lt=1)] = Field(0.05, description="Move by +- this fraction of the side.")
    brightness: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="Add +- this fraction of 255.")
    contrast: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="Stretch around the mean by 1 +- this.")
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(0.02, description="Turn the hue by +- this fraction of 360.")
    rotation: Annotated[float, Field(ge=0, le=180)] = Field(0, description="Rotate by +- this many degrees.")
    gamma: Annotated[float, Field(ge=0, lt=4)] = Field(0, description="Gamma between 1 / (1 + this) and 1 + this.")
    saturation: Annotated[float, Field(ge=0, le=1)] = Field(0, description="Stretch the chroma by 1 +- this.")
    colour_cast: Annotated[float, Field(ge=0, lt=1)] = Field(
        0, description="Multiply red, green and blue by 1 +- this, each for itself."
    )
    blur_px: Annotated[float, Field(ge=0, le=8)] = Field(
        0, description="Blur half of the images by a Gaussian of at most this many pixels at the network's size."
    )
    noise: Annotated[float, Field(ge=0, lt=1)] = Field(
        0, description="Add noise to half of the images, of a standard deviation of at most this fraction of 255."
    )


class Data(Section):
    root: Text | None = Field(
        None, description="Folder of images and masks. When null: $HAM10000_ROOT, else data/ham10000."
    )
    split_file: Text | None = Field(
        None,
        description='{"train": [id, ...], "val": [...], "test": [...]}. `sample`, `split`, `group_by` and '
        "`seed` are then not used.",
    )
    sample: Annotated[int, Field(ge=3)] | None = Field(
        None, description="Use only this many images, drawn by `seed`; all when null, or when there are fewer."
    )
    split: Split = Split()
    group_by: Literal["lesion_id"] | None = Field(
        "lesion_id", description="Keep all images of a lesion on one side of the split; null splits by image."
    )
    seed: Seed = Field(0, description="Draws the sample and the split.")
    repair_masks: Literal["never", "auto", "always"] = Field(
        "auto",
        description="Of inverted masks. auto: where HAM10000's known ones, or nearly all of a folder, are inverted; "
        "always: each mask whose border is more lesion than its centre, right for centred lesions alone.",
    )
    lesion_values: Annotated[list[Annotated[int, Field(ge=0, le=65535)]], Field(min_length=1)] | None = Field(
        None, description="The values that are lesion in masks of several, e.g. [1]; [0] for inverted masks."
    )
    soft_masks: bool = Field(
        False,
        description="Train on the fraction of each pixel that is lesion, in place of 0 and 1; for losses that take "
        "fractions, such as image_jaccard. Scores take 0 and 1.",
    )
    image_size: ImageSize = Field(
        [128, 128], description="The network's input in pixels: one side, or [height, width]; multiples of 32."
    )
    cache: Literal["memory", "disk", "none"] = Field(
        "memory", description="Where decoded, resized uint8 images wait between epochs; none decodes every time."
    )
    cache_dir: Text = Field("data/cache", description="For `cache: disk`; runs on the same files share it.")
