"""Settings of the data and its augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ham_keras.settings.kinds import Fraction, ImageSize, Section, Seed, Text


class Split(Section):
    """Fractions of the images; the rest is not used."""

    train: Fraction = Field(0.95, description="For training.")
    val: Fraction = Field(0.025, description="For validation after each epoch; the best epoch's weights are kept.")
    test: Fraction = Field(0.025, description="For the final scores.")

    @model_validator(mode="after")
    def _check_fractions(self) -> Split:
        total = self.train + self.val + self.test
        if total > 1 + 1e-9:
            raise ValueError(f"train + val + test is {total:g}, expected at most 1")
        if not (self.train and self.val and self.test):
            raise ValueError("train, val and test must each be more than 0")
        return self


class Augment(Section):
    """Random augmentation of training images, different in each epoch. Geometry also applies to the mask."""

    engine: Literal["none", "native", "albumentations"] = Field(
        "none", description="none; native: TensorFlow, per batch; albumentations: per image."
    )
    flips: bool = Field(True, description="Flip left-right and top-bottom, each with probability 1/2.")
    quarter_turns: bool = Field(True, description="Rotate by 0, 90, 180 or 270 degrees. Needs a square image_size.")
    scale: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="Zoom by a factor in 1 +- scale.")
    shift: Annotated[float, Field(ge=0, lt=1)] = Field(0.05, description="Shift by +- this fraction of the side.")
    brightness: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="Add +- this fraction of 255.")
    contrast: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="Scale around the mean by 1 +- this.")
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(0.02, description="Shift the hue by +- this fraction of 360.")
    rotation: Annotated[float, Field(ge=0, le=180)] = Field(0, description="Rotate by +- this many degrees.")
    stretch: Annotated[float, Field(ge=0, lt=4)] = Field(
        0, description="Scale the width by a factor between 1 / (1 + this) and 1 + this, for other aspect ratios."
    )
    surroundings: Literal["mirror", "skin"] = Field(
        "mirror",
        description="What surrounds a shrunk, shifted or rotated image: mirror: its mirror image; skin: drawn skin of "
        "the colours at its rim, unless the lesion reaches the rim (engine native).",
    )
    gamma: Annotated[float, Field(ge=0, lt=4)] = Field(0, description="Gamma between 1 / (1 + this) and 1 + this.")
    saturation: Annotated[float, Field(ge=0, le=1)] = Field(0, description="Scale the chroma by 1 +- this.")
    colour_cast: Annotated[float, Field(ge=0, lt=1)] = Field(
        0, description="Multiply red, green and blue by 1 +- this, independently."
    )
    blur_px: Annotated[float, Field(ge=0, le=8)] = Field(
        0, description="Blur half of the images with a Gaussian of at most this many pixels at the network's size."
    )
    noise: Annotated[float, Field(ge=0, lt=1)] = Field(
        0, description="Add noise to half of the images, with a standard deviation of at most this fraction of 255."
    )
    shading: Annotated[float, Field(ge=0, lt=4)] = Field(
        0,
        description="Light the image unevenly, by smooth gains between 1 / (1 + this) and 1 + this: for photographs "
        "without a dermatoscope.",
    )
    hairs: Annotated[float, Field(ge=0, le=1)] = Field(
        0, description="Draw hairs over this fraction of the images, as over phantoms."
    )

    @model_validator(mode="after")
    def _check_engine(self) -> Augment:
        if self.engine == "none" and (self.hairs or self.shading):
            kind = "hairs are not drawn" if self.hairs else "shading is not applied"
            raise ValueError(f"{kind} with engine none; set augment.engine to native or albumentations")
        if self.surroundings == "skin" and self.engine != "native":
            raise ValueError(f"surroundings skin is not drawn with engine {self.engine}; set augment.engine to native")
        return self


class Data(Section):
    root: Text | None = Field(
        None, description="Folder of images and masks. If null, $HAM10000_ROOT, else data/ham10000."
    )
    split_file: Text | None = Field(
        None,
        description='{"train": [id, ...], "val": [...], "test": [...]}. `sample`, `split`, `group_by`, '
        "`stratify` and `seed` are then not used.",
    )
    sample: Annotated[int, Field(ge=3)] | None = Field(
        None, description="Use only this many images, drawn with `seed`; all if null or if there are fewer."
    )
    split: Split = Split()
    group_by: Literal["lesion_id"] | None = Field(
        "lesion_id", description="Keep all images of a lesion in the same part of the split; null splits by image."
    )
    stratify: bool = Field(
        False,
        description="Split each diagnosis by itself, so that each part has its share of rare ones. If false, lesions "
        "are drawn from all diagnoses together, and a small part may have none of a rare one.",
    )
    seed: Seed = Field(0, description="Seed of the sample and the split.")
    repair_masks: Literal["never", "auto", "always"] = Field(
        "auto",
        description="Repair inverted masks. auto: if HAM10000's known ones, or nearly all of a folder, are inverted; "
        "always: each mask with more lesion at its border than in its centre, correct for centred lesions only.",
    )
    lesion_values: Annotated[list[Annotated[int, Field(ge=0, le=65535)]], Field(min_length=1)] | None = Field(
        None, description="The lesion values of masks with several values, e.g. [1]; [0] for inverted masks."
    )
    soft_masks: bool = Field(
        False,
        description="Train on the lesion fraction of each pixel instead of 0 and 1; for losses that accept fractions, "
        "such as image_jaccard. Scores use 0 and 1.",
    )
    image_size: ImageSize = Field(
        [128, 128], description="The network's input size in pixels: one side, or [height, width]; multiples of 32."
    )
    hair_removal: Literal["inpaint"] | None = Field(
        None,
        description="inpaint: replace dark hairs by their surroundings, as MFSNet does, in training, prediction and "
        "exported SavedModels; null keeps them.",
    )
    cache: Literal["memory", "disk", "none"] = Field(
        "memory", description="Where decoded, resized uint8 images are cached; none decodes them in every epoch."
    )
    cache_dir: Text = Field("data/cache", description="Folder for `cache: disk`; runs on the same files share it.")
    cache_limit_gb: Annotated[float, Field(gt=0)] = Field(
        50,
        description="Before a file is added to `cache_dir`, the least recently used ones are deleted to keep to this.",
    )
