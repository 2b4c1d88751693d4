"""The content of metadata.json, which describes an exported network."""

from __future__ import annotations

from typing import Any

from ham_keras.config import Config
from ham_keras.environment import describe_environment, without_paths
from ham_keras.files import load_json
from ham_keras.runs import Run
from ham_keras.settings import Outline

RGB = {"channels": "RGB", "range": [0, 255]}
PROBABILITY = {"dtype": "float32", "range": [0, 1], "meaning": "probability that a pixel is lesion"}
INTENDED_USE = "Research use; not a medical device. Not validated for any clinical decision."
LICENCE = (
    "Code: Apache-2.0. Weights trained on HAM10000 (CC BY-NC 4.0: Tschandl, Rosendahl, Kittler, Scientific Data "
    "5:180161, 2018) are for non-commercial use."
)


def describe_export(run: Run, config: Config, form: str = "saved_model") -> dict[str, Any]:
    """Return the content of metadata.json: inputs and outputs, how the network was trained, and its scores.

    Absolute paths are shortened to their last part, since exports are passed on.

    Each signature's `left_to_the_caller` lists, in order, the steps from its outputs to the masks of `predict`.
    """
    from ham_keras.preprocessing.steps import build_steps

    content = {
        "name": run.folder.resolve().name,
        "intended_use": INTENDED_USE,
        "licence": LICENCE,
        "format": form,
        "signatures": _signatures(config) if form == "saved_model" else _network_signature(config),
        "preprocessing": build_steps(config.data).describe(),
        "outline": config.outline.model_dump(),
        "threshold": config.outline.threshold,
        "precision": "float32",
        "config": config.model_dump(by_alias=True, exclude={"schema_"}),
        "trained": load_json(run.environment),
        "exported": describe_environment("CPU", "float32"),
        "scores": load_json(run.summary("test")) if run.summary("test").exists() else None,
    }
    return dict(without_paths(content))


def _signatures(config: Config) -> dict[str, Any]:
    height_px, width_px = config.data.image_size
    files = {"dtype": "string", "shape": ["N"], "holds": "JPEG or PNG files; EXIF orientation is ignored"}
    masks = {"dtype": "string", "shape": ["N"], "holds": "PNG files at each image's size: 255 lesion, 0 skin"}
    threshold = {"dtype": "float32", "shape": ["N"], "range": [0, 1], "meaning": "lesion is where probability > this"}
    small = {**PROBABILITY, "shape": ["N", height_px, width_px]}
    common = {"outputs": {"probability": small, "mask_bytes": masks}, "left_to_the_caller": []}
    steps = _postprocessing_steps(config.outline)
    return {
        "serving_default": {
            "inputs": {"images": {"dtype": "uint8", "shape": ["N", "H", "W", 3], **RGB}},
            "outputs": {"probability": {**PROBABILITY, "shape": ["N", "H", "W"]}},
            "left_to_the_caller": steps[1:],
        },
        "serve_bytes": {"inputs": {"image_bytes": files}, **common},
        "serve_bytes_threshold": {"inputs": {"image_bytes": files, "threshold": threshold}, **common},
        "serve_network": {
            "inputs": {"images": _network_input(config)},
            "outputs": {"probability": small},
            "left_to_the_caller": ["preprocessing", *steps],
        },
    }


def _network_signature(config: Config) -> dict[str, Any]:
    """The only signature of formats that contain just the network."""
    output = {**PROBABILITY, "shape": ["N", *config.data.image_size, 1], "name": "the first output"}
    mirrors = ["tta"] if config.outline.tta else []
    return {
        "network": {
            "inputs": {"images": _network_input(config)},
            "outputs": {"probability": output},
            "left_to_the_caller": ["preprocessing", *mirrors, *_postprocessing_steps(config.outline)],
        }
    }


def _network_input(config: Config) -> dict[str, Any]:
    return {"dtype": "float32", "shape": ["N", *config.data.image_size, 3], **RGB}


def _postprocessing_steps(outline: Outline) -> list[str]:
    optional = [name for name in ("fill_holes", "keep_largest") if getattr(outline, name)]
    return ["resize bilinearly to the image", "threshold", *optional]
