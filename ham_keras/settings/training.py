"""Settings of the network and of its training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ham_keras.settings.kinds import Architecture, Backbone, Loss, Section, Seed, Text


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
