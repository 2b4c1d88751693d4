"""Pack a trained run as a model that is used by its name: a run folder without images, ids and absolute paths."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ham_keras.environment import without_paths
from ham_keras.files import creating_folder, load_json, remove_parts, save_bytes, save_json, save_text
from ham_keras.prediction.ensemble import Member
from ham_keras.runs import Run
from ham_keras.runs.named import DESCRIPTION, About, NamedModel, describe_scores, load_named
from ham_keras.serving.metadata import INTENDED_USE
from ham_keras.trust.file import Trust, file_digest, save_trust

CARD = "README.md"
LARGEST = float(np.finfo(np.float16).max)


def pack_run(member: Member, trust: Trust | None, about: About, folder: Path) -> NamedModel:
    """Write the new folder `folder`: config, weights in half precision, trust.json, scores, model.json and a card.

    The scores and trust.json are those of the run, measured before its weights were rounded. Absolute paths are
    shortened to their last part; image ids are left out.

    Raises:
        OSError: the folder exists and is not empty, or cannot be written.
    """
    run = member.run
    remove_parts(folder.parent)
    with creating_folder(folder) as part:
        packed = Run(part)
        halve_weights(run.weights, packed.weights)
        save_json(packed.config, _config(member))
        save_json(packed.environment, without_paths(load_json(run.environment)))
        if trust is not None:
            given = {"weights_sha256": file_digest(packed.weights), "made_from": without_paths(trust.made_from)}
            save_trust(packed.trust, trust.model_copy(update=given))
        for summary in sorted(run.folder.glob("scores/*/summary.json")):
            save_json(packed.summary(summary.parent.name), without_paths(load_json(summary)))
        save_json(part / DESCRIPTION, about.model_dump())
        save_text(part / CARD, model_card(folder.name, load_named(part), member, trust))
    return load_named(folder)


def halve_weights(source: Path, target: Path) -> None:
    """Copy a .weights.h5 file with kernels rounded to float16, which Keras loads into a float32 network.

    Biases and the numbers of BatchNormalization are few and stay float32, as do kernels beyond float16's range.
    """
    memory = io.BytesIO()  # a full disk would end HDF5 itself
    with h5py.File(source) as old, h5py.File(memory, "w") as new:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group):
                made = new.require_group(name)
            else:
                values = item[()]
                small = values.ndim >= 2 and values.dtype == np.float32 and np.abs(values).max(initial=0) <= LARGEST
                made = new.create_dataset(name, data=values.astype(np.float16) if small else values)
            made.attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)
    save_bytes(target, memory.getbuffer())


def _config(member: Member) -> Any:
    """The run's config without its folders, which are of no use to others."""
    config = member.config
    data = config.data.model_copy(update={"root": None, "split_file": None})
    excluded: Any = {"schema_": True, "run": True, "data": {"cache_dir"}}
    return without_paths(config.model_copy(update={"data": data}).model_dump(by_alias=True, exclude=excluded))


def model_card(name: str, model: NamedModel, member: Member, trust: Trust | None) -> str:
    """The card of a packed model, in Markdown."""
    about, settings = model.about, member.config.model
    size = "x".join(map(str, member.config.data.image_size))
    network = f"{settings.architecture} with {settings.backbone}, input {size}"
    lines = [f"# {name}", "", about.description, "", f"**{INTENDED_USE}**", "", "| | |", "|---|---|"]
    lines += [f"| network | {network}, {model.size_mb:.1f} MB |", f"| trained on | {about.trained_on} |"]
    lines += [f"| licence | {about.licence} |", "", "Not for:", "", *(f"- {each}" for each in about.not_for)]
    if model.scores:
        lines += ["", "## Scores", "", "At the masks' own size, with 95 % intervals over lesions.", ""]
        lines += [f"- {describe_scores(each, summary)}" for each, summary in model.scores.items()]
    if trust is not None:
        lines += ["", "## Trust", "", "The bounds in trust.json hold for images like those that it was made from."]
        covered = {each: summary["trust"] for each, summary in model.scores.items() if "trust" in summary}
        lines += [""] * bool(covered)
        lines += [
            f"- {each}: the Jaccard index is above its lower bound for {100 * quality['at_least_coverage']:.0f} %, the "
            f"outline within the margin for {100 * quality['margin_coverage']:.0f} % of {quality['images']} images"
            for each, quality in covered.items()
        ]
    return "\n".join(lines) + "\n"
