"""Every setting of a run: what it is called, what it may be, what it is when left out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ham_keras.models.backbones import SUPPORTED_BACKBONES
from ham_keras.models.registry import ARCHITECTURES, LOSSES, check_name

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the config: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


def _pair(size: Any) -> Any:
    return [size, size] if isinstance(size, int) and not isinstance(size, bool) else size


def _text(value: Any) -> Any:
    """Paths are taken, and names that an override reads as numbers."""
    return str(value) if isinstance(value, Path | int | float) and not isinstance(value, bool) else value


ImageSize = Annotated[
    list[Annotated[int, Field(ge=32, le=4096, multiple_of=32)]],
    Field(min_length=2, max_length=2),
    BeforeValidator(_pair),
]
Text = Annotated[str, Field(min_length=1), BeforeValidator(_text)]


def _one_of(names: Callable[[], list[str]]) -> Any:
    """JSON Schema of these names, asked for when the schema is made."""

    def add_names(schema: dict[str, Any]) -> None:
        schema["enum"] = names()

    return Field(json_schema_extra=add_names)


def _backbones() -> list[str]:
    return list(SUPPORTED_BACKBONES)


_known_backbone = partial(
    check_name, known=_backbones(), problem="is not among those that build and reload under Keras 3"
)
Backbone = Annotated[str, AfterValidator(_known_backbone), _one_of(_backbones)]
Architecture = Annotated[str, AfterValidator(ARCHITECTURES.check), _one_of(ARCHITECTURES.names)]
Loss = Annotated[str, AfterValidator(LOSSES.check), _one_of(LOSSES.names)]


def _one_name(name: str) -> str:
    if not name or "/" in name or name.startswith("."):
        raise ValueError("expected one name, without slashes and without a leading dot")
    return name


class Run(Section):
    name: Annotated[str, BeforeValidator(_text), AfterValidator(_one_name)] | None = Field(
        None, description="Folder below `dir`, one name without slashes; the config's file name when null."
    )
    dir: Text = Field("runs", description="Where run folders are kept.")


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
    image_size: ImageSize = Field(
        [128, 128], description="The network's input in pixels: one side, or [height, width]; multiples of 32."
    )
    cache: Literal["memory", "disk", "none"] = Field(
        "memory", description="Where decoded, resized uint8 images wait between epochs; none decodes every time."
    )
    cache_dir: Text = Field("data/cache", description="For `cache: disk`; runs on the same files share it.")


class Model(Section):
    architecture: Architecture = Field("unet", description="How encoder and decoder are joined.")
    backbone: Backbone = Field("resnet34", description="The encoder.")
    encoder_weights: Text | None = Field(
        "imagenet", description='"imagenet" (downloaded once), null (random), or the path of an encoder .h5 file.'
    )
    initial_weights: Text | None = Field(
        None,
        description="A run folder or a .weights.h5 file whose weights training starts from, encoder and decoder; "
        "`encoder_weights` is then not loaded. Size, data and everything in `train` may differ from that run's.",
    )
    encoder_freeze: bool = Field(
        False, description="Keep the encoder's convolutions as loaded; BatchNormalization still trains."
    )
    batchnorm_momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9,
        description="Of BatchNormalization's moving statistics. Keras' 0.99 lags for hundreds of steps, which "
        "breaks validation in short runs.",
    )
    deep_supervision: bool = Field(
        False,
        description="Also train coarser outputs of the decoder, in unet at 1/2, 1/4 and 1/8 of the size; the other "
        "architectures have none. They are dropped from the trained network.",
    )


ADAMW_WEIGHT_DECAY = 0.01


class Schedule(Section):
    name: Literal["constant", "cosine"] = Field(
        "constant", description="Of the learning rate after the warm-up; cosine falls to 0 at the last step."
    )
    warmup_epochs: Annotated[float, Field(ge=0)] = Field(0, description="Rise linearly from 0 over these epochs.")


class Train(Section):
    epochs: Annotated[int, Field(ge=1)] = Field(20, description="Times that all training images are seen.")
    batch_size: Annotated[int, Field(ge=1)] = Field(16, description="Images a step, on all devices together.")
    optimizer: Literal["adam", "adamw"] = Field(
        "adam",
        description="adam (Kingma and Ba 2015), or adamw (Loshchilov and Hutter 2019), whose weights also decay.",
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-4, description="With a schedule its highest.")
    weight_decay: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description=f"adamw takes off this fraction of a weight times the learning rate each step, of kernels only; "
        f"null is {ADAMW_WEIGHT_DECAY:g} with adamw.",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Scale the gradient down to this norm, over all weights, where it is larger; null never does."
    )
    adam_epsilon: Annotated[float, Field(gt=0)] = Field(1e-7, description="Added to the denominator of adam and adamw.")
    schedule: Schedule = Schedule()
    loss: Loss = Field(
        "dice", description="What training minimises, over a whole batch; dice_bce adds binary cross-entropy."
    )
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "auto", description="auto: mixed_float16 on GPUs with tensor cores, mixed_bfloat16 on CPUs with bf16."
    )
    monitor: Literal["jaccard", "loss"] = Field(
        "jaccard", description="What chooses the best epoch, in validation: the highest Jaccard or the lowest loss."
    )
    early_stopping_epochs: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Stop after this many epochs without a better one, as `monitor` says; null never stops."
    )
    ema_momentum: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="Validate and keep an exponential moving average of the weights, e.g. 0.999."
    )
    seed: Seed = Field(0, description="Draws initial weights, order and augmentation.")

    @model_validator(mode="before")
    @classmethod
    def _decay_of_adamw(cls, settings: Any) -> Any:
        if isinstance(settings, dict) and settings.get("optimizer") == "adamw" and settings.get("weight_decay") is None:
            return {**settings, "weight_decay": ADAMW_WEIGHT_DECAY}
        return settings

    @model_validator(mode="after")
    def _decay_is_used(self) -> Train:
        if self.optimizer == "adam" and self.weight_decay is not None:
            raise ValueError(
                f"weight_decay is {self.weight_decay:g}, which adam does not use; set it to null, or optimizer to adamw"
            )
        return self

    @model_validator(mode="after")
    def _warm_up_ends(self) -> Train:
        if self.schedule.warmup_epochs > self.epochs:
            raise ValueError(f"schedule.warmup_epochs is {self.schedule.warmup_epochs:g}, epochs only {self.epochs}")
        return self


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
