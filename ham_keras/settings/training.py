"""Settings of the network and its training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ham_keras.settings.kinds import Architecture, Backbone, Devices, Loss, Section, Seed, Text


class Model(Section):
    architecture: Architecture = Field(
        "unet", description="The decoder and how it is connected to the encoder; train mfsnet with deep_supervision."
    )
    backbone: Backbone = Field("resnet34", description="The encoder.")
    encoder_weights: Text | None = Field(
        "imagenet", description='"imagenet" (downloaded once), null (random), or the path of an encoder .h5 file.'
    )
    initial_weights: Text | None = Field(
        None,
        description="Run folder, .weights.h5 file or name of a model with the initial weights of encoder and decoder; "
        "`encoder_weights` is then not loaded. Size, data and everything in `train` may differ from that run's.",
    )
    encoder_freeze: bool = Field(
        False, description="Freeze the encoder's convolutions; BatchNormalization still trains."
    )
    batchnorm_momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9,
        description="Momentum of BatchNormalization's moving statistics. Keras' default of 0.99 lags for hundreds of "
        "steps, which breaks validation in short runs.",
    )
    batchnorm_synchronized: bool = Field(
        False,
        description="On several devices, BatchNormalization uses the mean and variance of the whole batch instead of "
        "those of each device's part.",
    )
    deep_supervision: bool = Field(
        False,
        description="Also train further outputs: for unet the lesion at 1/2, 1/4 and 1/8 of the size; for mfsnet its "
        "coarser maps and the edge; fpn and linknet have none. They are dropped from the trained network.",
    )
    boundary_attention: bool = Field(
        True, description="mfsnet: join the features of each stage with those of the edge; false omits this branch."
    )
    reverse_attention: bool = Field(
        True,
        description="mfsnet: weight the features of each stage by 1 - the coarser map; false leaves them as they are.",
    )

    @model_validator(mode="after")
    def _check_attention(self) -> Model:
        for key in ("boundary_attention", "reverse_attention"):
            if not getattr(self, key) and self.architecture != "mfsnet":
                raise ValueError(
                    f"{key} is false, but {self.architecture} has no attention; only mfsnet has; remove it"
                )
        return self


ADAMW_WEIGHT_DECAY = 0.01


class Schedule(Section):
    name: Literal["constant", "cosine"] = Field(
        "constant", description="Learning rate schedule after the warm-up; cosine decays to 0 at the last step."
    )
    warmup_epochs: Annotated[float, Field(ge=0)] = Field(0, description="Increase linearly from 0 over these epochs.")


class Train(Section):
    epochs: Annotated[int, Field(ge=1)] = Field(20, description="Number of passes over the training images.")
    batch_size: Annotated[int, Field(ge=1)] = Field(16, description="Images per step, over all devices.")
    optimizer: Literal["adam", "adamw"] = Field(
        "adam",
        description="adam (Kingma and Ba 2015), or adamw (Loshchilov and Hutter 2019), which adds weight decay.",
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-4, description="Maximum, if there is a schedule.")
    weight_decay: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description=f"adamw subtracts this fraction of a weight times the learning rate at each step, for kernels "
        f"only; null means {ADAMW_WEIGHT_DECAY:g} with adamw.",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Clip the gradient to this global norm, over all weights; null does not clip."
    )
    adam_epsilon: Annotated[float, Field(gt=0)] = Field(1e-7, description="Added to the denominator of adam and adamw.")
    schedule: Schedule = Schedule()
    loss: Loss = Field(
        "dice",
        description="Training loss. dice and jaccard are computed over the whole batch; dice_bce adds binary "
        "cross-entropy to dice.",
    )
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "auto", description="auto: mixed_float16 on GPUs with tensor cores, mixed_bfloat16 on CPUs with bf16."
    )
    devices: Devices | None = Field(
        None,
        description='Devices that share each batch, e.g. ["GPU:0"] or ["CPU:0"]; null means all GPUs, or the CPU '
        "without one. A run can continue on others.",
    )
    jit_compile: bool = Field(
        False,
        description="Compile the steps of training and validation with XLA, on one device; a run can continue without.",
    )
    monitor: Literal["jaccard", "loss"] = Field(
        "jaccard", description="Validation metric that selects the best epoch: the highest Jaccard or the lowest loss."
    )
    early_stopping_epochs: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Stop after this many epochs without improvement of `monitor`; null never stops early."
    )
    ema_momentum: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="Momentum of the moving average of the weights that is validated and saved, e.g. 0.999."
    )
    initial_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0,
        description="Share of the initial weights, `model.initial_weights`, in the weights that are validated and "
        "saved; the rest is that of the trained ones. 0.5 keeps most of what a network knew when it learns of other "
        "images.",
    )
    seed: Seed = Field(0, description="Seed of initial weights, order and augmentation.")

    @model_validator(mode="before")
    @classmethod
    def _set_weight_decay(cls, settings: Any) -> Any:
        if isinstance(settings, dict) and settings.get("optimizer") == "adamw" and settings.get("weight_decay") is None:
            return {**settings, "weight_decay": ADAMW_WEIGHT_DECAY}
        return settings

    @model_validator(mode="after")
    def _check_weight_decay(self) -> Train:
        if self.optimizer == "adam" and self.weight_decay is not None:
            raise ValueError(
                f"weight_decay is {self.weight_decay:g}, which adam does not use; set it to null, or optimizer to adamw"
            )
        return self

    @model_validator(mode="after")
    def _check_warmup(self) -> Train:
        if self.schedule.warmup_epochs > self.epochs:
            raise ValueError(f"schedule.warmup_epochs is {self.schedule.warmup_epochs:g}, but epochs is {self.epochs}")
        return self
