"""What metadata.json says of an exported network."""

from __future__ import annotations

from typing import Any

from ham_keras.config import Config
from ham_keras.environment import describe_environment
from ham_keras.files import load_json
from ham_keras.runs import Run

INTENDED_USE = "Research use; not a medical device. Not validated for any clinical decision."
LICENCE = (
    "Code: Apache-2.0. Weights trained on HAM10000 (CC BY-NC 4.0: Tschandl, Rosendahl, Kittler, Scientific Data "
    "5:180161, 2018) are for non-commercial use."
)


def describe_service(run: Run, config: Config, form: str = "saved_model") -> dict[str, Any]:
    """What stands in metadata.json: every input and output, how the network came to be and what it reached."""
    height_px, width_px = config.data.image_size
    rgb = {"channels": "RGB", "range": [0, 255]}
    files = {"dtype": "string", "shape": ["N"], "holds": "JPEG or PNG files; EXIF turns are ignored"}
    photographs = {"dtype": "uint8", "shape": ["N", "H", "W", 3], **rgb}
    resized = {"dtype": "float32", "shape": ["N", height_px, width_px, 3], **rgb}
    probability = {"dtype": "float32", "range": [0, 1], "meaning": "probability that a pixel is lesion"}
    small = {**probability, "shape": ["N", height_px, width_px]}
    masks = {"dtype": "string", "shape": ["N"], "holds": "PNG files at each image's size: 255 lesion, 0 skin"}
    signatures = {
        "serving_default": {
            "inputs": {"images": photographs},
            "outputs": {"probability": {**probability, "shape": ["N", "H", "W"]}},
        },
        "serve_bytes": {
            "inputs": {"image_bytes": files},
            "outputs": {"probability": small, "mask_bytes": masks},
        },
        "serve_network": {"inputs": {"images": resized}, "outputs": {"probability": small}},
    }
    if form != "saved_model":
        only = {**probability, "shape": ["N", height_px, width_px, 1], "name": "the first output"}
        signatures = {"network": {"inputs": {"images": resized}, "outputs": {"probability": only}}}
    return {
        "name": run.folder.resolve().name,
        "intended_use": INTENDED_USE,
        "licence": LICENCE,
        "format": form,
        "signatures": signatures,
        "preprocessing": f"RGB 0..255, bilinear with antialias to {height_px}x{width_px}, rounded; nothing is divided",
        "threshold": config.outline.threshold,
        "precision": "float32",
        "config": config.model_dump(by_alias=True, exclude={"schema_"}),
        "trained": load_json(run.environment),
        "exported": describe_environment("CPU", "float32"),
        "scores": load_json(run.summary("test")) if run.summary("test").exists() else None,
    }
