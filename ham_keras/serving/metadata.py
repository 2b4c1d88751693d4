"""The content of metadata.json, which describes an exported network."""

from __future__ import annotations

from typing import Any

from ham_keras.environment import describe_environment, without_paths
from ham_keras.files import load_json
from ham_keras.prediction.ensemble import Ensemble, Member
from ham_keras.runs import Run
from ham_keras.runs.named import is_named, load_named
from ham_keras.settings import Outline
from ham_keras.trust.file import Trust

RGB = {"channels": "RGB", "range": [0, 255]}
PROBABILITY = {"dtype": "float32", "range": [0, 1], "meaning": "probability that a pixel is lesion"}
TRUST_OUTPUTS: dict[str, dict[str, Any]] = {
    "expected_jaccard": {"dtype": "float32", "range": [0, 1], "meaning": "expected Jaccard index of the mask"},
    "jaccard_at_least": {
        "dtype": "float32", "range": [0, 1], "meaning": "lower bound of the Jaccard index; holds for 9 of 10 images",
    },
    "margin_px": {
        "dtype": "float32", "meaning": "the true outline is within this many pixels of ours; holds for 9 of 10 images",
    },
    "input_distance": {"dtype": "float32", "meaning": "above 1: not like the images the network was trained on"},
    "review": {"dtype": "bool", "meaning": "whether a person should look at the mask"},
}  # fmt: skip
INTENDED_USE = "Research use; not a medical device. Not validated for any clinical decision."
LICENCE = (
    "Code: Apache-2.0. Weights trained on HAM10000 (CC BY-NC 4.0: Tschandl, Rosendahl, Kittler, Scientific Data "
    "5:180161, 2018) are for non-commercial use."
)


def describe_export(
    ensemble: Ensemble, form: str = "saved_model", precision: str = "float32", calibration: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the content of metadata.json: inputs and outputs, how the networks were trained, and their scores.

    `scores` are those of the run in float32. `calibration` says what an int8 network was calibrated on.

    Absolute paths are shortened to their last part, since exports are passed on.

    Each signature's `left_to_the_caller` lists, in order, the steps from its outputs to the masks of `predict`. For
    several runs, `members` has each one's name, preprocessing, config, training environment and scores.
    """
    members = [_describe_member(member) for member in ensemble.members]
    outline = ensemble.config.outline
    sizes = [member.config.data.image_size for member in ensemble.members]
    size = [max(side) for side in zip(*sizes, strict=True)]
    alike = all(member["preprocessing"] == members[0]["preprocessing"] for member in members)
    trust = ensemble.load_trust()
    described = {
        "name": ensemble.name,
        "intended_use": INTENDED_USE,
        "licence": _licence(ensemble),
        "format": form,
        "signatures": _signatures(outline, size, alike, trust is not None)
        if form == "saved_model"
        else _network_signature(outline, size, form, precision),
        "trust": _describe_trust(trust, form),
        "preprocessing": members[0]["preprocessing"] if alike else None,
        "outline": outline.model_dump(),
        "threshold": outline.threshold,
        "precision": precision,
        "calibration": calibration,
        "exported": describe_environment("CPU", precision),
        "scores": _test_scores(ensemble.home),
    }
    content = {**members[0], **described} if len(members) == 1 else {**described, "members": members}
    return dict(without_paths(content))


def _describe_member(member: Member) -> dict[str, Any]:
    from ham_keras.preprocessing.steps import build_steps

    return {
        "name": member.name,
        "preprocessing": build_steps(member.config.data).describe(),
        "config": member.config.model_dump(by_alias=True, exclude={"schema_"}),
        "trained": load_json(member.run.environment),
        "scores": _test_scores(member.run),
    }


def _licence(ensemble: Ensemble) -> str:
    """That of the weights: what named models say, else that of HAM10000's."""
    folders = [member.run.folder for member in ensemble.members]
    stated = [f"{folder.name}: {load_named(folder).about.licence}" for folder in folders if is_named(folder)]
    return "; ".join([*([LICENCE] if len(stated) < len(folders) else []), *stated])


def _test_scores(run: Run | None) -> dict[str, Any] | None:
    return load_json(run.summary("test")) if run is not None and run.summary("test").exists() else None


def _describe_trust(trust: Trust | None, form: str) -> dict[str, Any] | None:
    """What the outputs about trust were calibrated on; None without them."""
    if trust is None:
        return None
    return {"exported": form == "saved_model", "calibrated_on": trust.made_from, "threshold": trust.threshold}


def _signatures(outline: Outline, size: list[int], alike: bool, trusted: bool) -> dict[str, Any]:
    """`alike`: all networks have the same preprocessing; `trusted`: there are outputs of `TRUST_OUTPUTS`."""
    files = {"dtype": "string", "shape": ["N"], "holds": "JPEG or PNG files; EXIF orientation is ignored"}
    masks = {"dtype": "string", "shape": ["N"], "holds": "PNG files at each image's size: 255 lesion, 0 skin"}
    threshold = {"dtype": "float32", "shape": ["N"], "range": [0, 1], "meaning": "lesion is where probability > this"}
    small = {**PROBABILITY, "shape": ["N", *size]}
    trust = {name: {"shape": ["N"], **output} for name, output in TRUST_OUTPUTS.items()} if trusted else {}
    common = {"outputs": {"probability": small, "mask_bytes": masks, **trust}, "left_to_the_caller": []}
    steps = _postprocessing_steps(outline)
    signatures = {
        "serving_default": {
            "inputs": {"images": {"dtype": "uint8", "shape": ["N", "H", "W", 3], **RGB}},
            "outputs": {"probability": {**PROBABILITY, "shape": ["N", "H", "W"]}},
            "left_to_the_caller": steps[1:],
        },
        "serve_bytes": {"inputs": {"image_bytes": files}, **common},
        "serve_bytes_threshold": {"inputs": {"image_bytes": files, "threshold": threshold}, **common},
    }
    if alike:
        signatures["serve_network"] = {
            "inputs": {"images": _network_input(size)},
            "outputs": {"probability": small},
            "left_to_the_caller": ["preprocessing", *steps],
        }
    return signatures


def _network_signature(outline: Outline, size: list[int], form: str, precision: str) -> dict[str, Any]:
    """The only signature of formats that contain just the network."""
    count = 1 if form == "litert" or precision == "int8" else "N"
    output = {**PROBABILITY, "shape": [count, *size, 1]}
    name, inputs = "network", {"images": {**_network_input(size), "shape": [count, *size, 3]}}
    if form == "litert":
        name, inputs = "serving_default", {"image": {**inputs["images"], "dtype": "uint8"}}
    else:
        output["name"] = "the first output"
    mirrors = ["tta"] if outline.tta else []
    left = ["preprocessing", *mirrors, *_postprocessing_steps(outline)]
    return {name: {"inputs": inputs, "outputs": {"probability": output}, "left_to_the_caller": left}}


def _network_input(size: list[int]) -> dict[str, Any]:
    return {"dtype": "float32", "shape": ["N", *size, 3], **RGB}


def _postprocessing_steps(outline: Outline) -> list[str]:
    optional = [name for name in ("fill_holes", "keep_largest") if getattr(outline, name)]
    return ["resize bilinearly to the image", "threshold", *optional]
