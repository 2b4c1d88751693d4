"""The config of a diagnosis run: which outline, which features, which classifier."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from ham_keras.config import parse_config_as
from ham_keras.settings import Augment, Score, Section, Seed, WorkConfig
from ham_keras.settings.kinds import Backbone, Text

OWN_ENCODER = "segmentation"


class DiagnosisData(Section):
    root: Text | None = Field(
        None, description="Folder of images, masks and diagnoses. If null, that of the segmentation run."
    )
    split_file: Text | None = Field(
        None, description='{"train": [id, ...], "val": [...], "test": [...]}. If null, the segmentation run\'s split.'
    )


class Encoder(Section):
    """An encoder whose activations are averaged over the crop at 1/8, 1/16 and 1/32 of its size."""

    weights: Text = Field(
        OWN_ENCODER,
        description='"segmentation" (those of the segmentation run), "imagenet" (downloaded once), or the path of an '
        "encoder .h5 file.",
    )
    backbone: Backbone | None = Field(None, description="The encoder; null with the segmentation run's weights.")

    @property
    def name(self) -> str:
        """What its features are called."""
        return self.backbone or self.weights

    @model_validator(mode="after")
    def _check_backbone(self) -> Encoder:
        if (self.weights == OWN_ENCODER) != (self.backbone is None):
            raise ValueError(
                f"weights is {self.weights} and backbone {self.backbone}; expected a backbone, e.g. mobilenet, with "
                f"all weights but {OWN_ENCODER}"
            )
        return self


def _encoder(value: Any) -> Any:
    return {"weights": value} if value == OWN_ENCODER else value


class Features(Section):
    """What the classifier learns from. Outline, texture and doubt are measured inside the mask."""

    masks: Literal["predicted", "out_of_fold", "annotated"] = Field(
        "predicted",
        description="Masks of training images. predicted: by the segmentation run, which knows these images; "
        "out_of_fold: by networks that do not, for images in oof/masks of `cross_validation`; annotated: those of the "
        "data folder.",
    )
    scored_masks: Literal["predicted", "annotated"] = Field(
        "predicted",
        description="Masks of validation and test images; annotated measures what errors of the outline cost.",
    )
    cross_validation: Text | None = Field(
        None, description="Folder of `crossval` with out-of-fold masks; if null, `segmentation`."
    )
    crop: Literal["lesion", "blanked", "image", "skin"] = Field(
        "lesion",
        description="What encoders see. lesion: the lesion with `margin`; blanked: the same with grey skin; image: the "
        "whole image; skin: the whole image with the lesion's box in grey, to measure what skin alone tells.",
    )
    margin: Annotated[float, Field(ge=0, le=2)] = Field(
        0.15, description="Margin on each side of the lesion's box, as a fraction of the box."
    )
    size_px: Annotated[int, Field(ge=32, le=1024, multiple_of=32)] = Field(
        160, description="Side of the square crop that encoders see."
    )
    flips: bool = Field(False, description="Average encoder features over the crop and its three mirror images.")
    encoders: list[Annotated[Encoder, BeforeValidator(_encoder)]] = Field(
        [Encoder()], description='Encoders, e.g. ["segmentation", {"backbone": "mobilenet", "weights": "imagenet"}].'
    )
    outline: bool = Field(True, description="Asymmetry, border, colours and diameter (the ABCD rule).")
    texture: bool = Field(True, description="Co-occurrence of grey levels and local binary patterns.")
    doubt: bool = Field(True, description="The segmentation network's doubt, along the border and inside.")
    trained: bool = Field(
        False,
        description="Train a network on the diagnoses of the training split, see `network`; the trees learn from its "
        "answers to images that it has not seen.",
    )
    metadata: bool = Field(
        False, description="Age, sex and localisation from the data folder's table; unknown for single photographs."
    )

    @model_validator(mode="after")
    def _check(self) -> Features:
        if not any((self.encoders, self.outline, self.texture, self.doubt, self.trained, self.metadata)):
            raise ValueError("no features; name an encoder, or set outline, texture, doubt or another to true")
        names = [encoder.name for encoder in self.encoders]
        if len(set(names)) < len(names):
            raise ValueError(f"encoders are {', '.join(names)}; expected each once")
        if self.crop == "skin" and (self.outline or self.texture or self.doubt):
            raise ValueError("crop skin hides the lesion; set outline, texture and doubt to false")
        if self.cross_validation is not None and self.masks != "out_of_fold":
            raise ValueError(f"cross_validation needs masks out_of_fold, but masks is {self.masks}")
        return self


class Classifier(Section):
    """Gradient-boosted trees (XGBoost); the mean of several seeds."""

    rounds: Annotated[int, Field(ge=1)] = Field(1000, description="Most boosting rounds; one tree per class in each.")
    early_stopping_rounds: Annotated[int, Field(ge=1)] = Field(
        50,
        description="Stop after so many rounds without a lower log loss on the validation split, with the weights of "
        "`class_weight_power`.",
    )
    learning_rate: Annotated[float, Field(gt=0, le=1)] = Field(0.05, description="Shrinkage of each tree.")
    max_depth: Annotated[int, Field(ge=1, le=16)] = Field(4, description="Depth of a tree.")
    min_child_weight: Annotated[float, Field(ge=0)] = Field(3, description="Least sum of hessians in a leaf.")
    subsample: Annotated[float, Field(gt=0, le=1)] = Field(0.7, description="Share of the images for each tree.")
    colsample: Annotated[float, Field(gt=0, le=1)] = Field(0.1, description="Share of the features for each tree.")
    l2: Annotated[float, Field(ge=0)] = Field(2, description="L2 penalty of the leaves.")
    base_margin: Literal["network"] | None = Field(
        None,
        description="What the trees start from. network: the answers of the networks of `features.trained`, which the "
        "trees then correct, scaled to the lowest log loss; null: nothing, and these answers are features.",
    )
    class_weight_power: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5,
        description="An image weighs (1 / frequency of its diagnosis) to this power: 0 favours frequent diagnoses, 1 "
        "weighs all diagnoses the same.",
    )
    decision_power: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5,
        description="The answer is the diagnosis with the highest probability / (frequency in training) to this power; "
        "0 answers the most probable one. It does not change probabilities.",
    )
    seeds: Annotated[int, Field(ge=1, le=20)] = Field(3, description="Classifiers, with seeds `seed`, `seed` + 1, ...")
    seed: Seed = Field(0, description="Seed of the first.")


class CropAugment(Augment):
    """Random augmentation of crops, different in each epoch."""

    engine: Literal["none", "native", "albumentations"] = Field(
        "native", description="none; native: TensorFlow, per batch; albumentations: per image."
    )

    @model_validator(mode="after")
    def _check_surroundings(self) -> CropAugment:
        if self.surroundings == "skin":
            raise ValueError("surroundings skin is for whole images, around a lesion that is known; use mirror")
        return self


class NetworkSettings(Section):
    """The networks of `features.trained`, on the crops that encoders see: one per fold, and with `refit` one of all."""

    encoder: Annotated[Encoder, BeforeValidator(_encoder)] = Field(
        Encoder(), description="Its encoder and the weights it starts with, as in `features.encoders`."
    )
    folds: Annotated[int, Field(ge=2, le=20)] = Field(
        3, description="Networks, each trained without one fold of lesions, which gets its answers."
    )
    refit: bool = Field(
        False,
        description="Train one more network on all training images, and let it alone answer new images. If false, "
        "they get the mean of all folds' networks, each of which takes as long.",
    )
    epochs: Annotated[int, Field(ge=1)] = Field(10, description="Passes over the crops of a network.")
    batch_size: Annotated[int, Field(ge=1)] = Field(32, description="Crops per step.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        3e-4, description="Highest learning rate of Adam; decays to 0 as a cosine."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.3, description="Dropout before the last layer.")
    class_weight_power: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="As `classifier.class_weight_power`."
    )
    augment: CropAugment = CropAugment()
    seed: Seed = Field(0, description="Seed of folds, weights and augmentation.")


class DiagnosisConfig(WorkConfig):
    """Config of a diagnosis run."""

    segmentation: Text = Field(
        ..., description="Run folder of the segmentation, or folder of `crossval`, whose first fold is then used."
    )
    data: DiagnosisData = DiagnosisData()
    features: Features = Features()
    network: NetworkSettings = NetworkSettings()
    classifier: Classifier = Classifier()
    score: Score = Score()

    @model_validator(mode="after")
    def _check_base_margin(self) -> DiagnosisConfig:
        features = self.features
        if self.classifier.base_margin == "network":
            if not features.trained:
                raise ValueError("classifier.base_margin is network, but there is none; set features.trained to true")
            if not any((features.encoders, features.outline, features.texture, features.doubt, features.metadata)):
                raise ValueError("classifier.base_margin is network, but there is nothing else for trees to learn from")
        return self


def replaced(config: DiagnosisConfig, **settings: Any) -> DiagnosisConfig:
    """The config with these top-level settings, validated again."""
    return parse_config_as(DiagnosisConfig, config.model_dump(by_alias=True) | settings, str(config.run.name))
