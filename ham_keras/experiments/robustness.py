"""Score a run on images that are changed in many ways, condition by condition."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ham_keras.data.changes.catalogue import CHANGES
from ham_keras.data.changes.condition import VERSION, Condition, list_conditions
from ham_keras.data.images import read_image
from ham_keras.data.properties import order_of, own_properties, read_properties
from ham_keras.data.records import UNKNOWN, Record
from ham_keras.data.truth import read_truth
from ham_keras.environment import describe_environment
from ham_keras.experiments.robustness_folder import RobustnessFolder, rows_path, save_rows
from ham_keras.files import locked, replacing, save_json
from ham_keras.models.devices import describe_device
from ham_keras.prediction.ensemble import Ensemble
from ham_keras.prediction.evaluation import evaluate_images
from ham_keras.prediction.predictor import load_predictor
from ham_keras.reports.changes import save_changes
from ham_keras.reports.robustness import save_expected, save_panels
from ham_keras.scores.robustness import summarise_changes, summarise_groups
from ham_keras.scores.summary import size_group
from ham_keras.trust.columns import COLUMNS
from ham_keras.trust.file import file_digest

KEPT = ("image_id", "lesion_id", "diagnosis", "lesion_fraction", "jaccard_native", *COLUMNS, "outline_distance_px")


def describe_images(records: Sequence[Record]) -> dict[str, Any]:
    """What identifies a set of images: their number and a digest of their ids."""
    ids = "\n".join(sorted(record.image_id for record in records))
    return {"images": len(records), "image_ids_sha256": hashlib.sha256(ids.encode("utf-8")).hexdigest()}


def measure_robustness(
    ensemble: Ensemble,
    folder: Path,
    records: Sequence[Record],
    changes: Iterable[str],
    made_from: Mapping[str, Any],
    tables: Sequence[Path] = (),
    *,
    overwrite: bool = False,
    visible: bool = True,
) -> dict[str, Any]:
    """Score the records unchanged and with each change at its strengths, and summarise everything that was measured.

    Conditions that are there are not measured again. Writes conditions/<change>-<strength>.csv.gz, summary.json,
    robustness.png, changes.jpg and, with a trust.json, expected.png.

    Args:
        made_from: describes images and post-processing, see `scores.summary.describe_scoring`.
        tables: further tables whose columns are properties of the images.

    Returns:
        The content of summary.json.

    Raises:
        HamError: an image or mask cannot be read, the folder has scores of something else, or a table has no property.
    """
    conditions = list_conditions(changes)
    properties = _properties(records, Path(made_from["data"]), tables)
    trust = ensemble.trust if ensemble.trust is not None and ensemble.trust.exists() else None
    settings = {
        "version": VERSION,
        "run": ensemble.name,
        "weights_sha256": ensemble.weights_digest(),
        "trust_sha256": None if trust is None else file_digest(trust),
        **made_from,
        **describe_images(records),
    }
    paths = RobustnessFolder(folder)
    with locked(folder, instead="choose --name NAME"):
        with paths.opened(settings, overwrite=overwrite) as place:
            missing = [condition for condition in conditions if not rows_path(place, condition).exists()]
            if missing:
                _measure(ensemble, place, records, missing, len(conditions), visible=visible)
        summary = {**settings, "environment": describe_environment(describe_device(), "float32")}
        summary |= _summarise(paths, properties, ensemble.config.score.bootstrap_resamples)
        with ExitStack() as stack:
            if summary["changes"]:
                save_panels([summary], folder / "robustness.png")
                save_expected(summary, folder / "expected.png")
                first = records[0]
                picture = stack.enter_context(replacing(folder / "changes.jpg"))
                pixels, mask = read_image(first.image_path), read_truth(first).lesion
                save_changes(first.image_id, pixels, mask, summary["changes"], picture)
            save_json(stack.enter_context(replacing(paths.summary)), summary)
    return summary


def _summarise(paths: RobustnessFolder, properties: Mapping[str, Mapping[str, str]], resamples: int) -> dict[str, Any]:
    """Scores of what was measured: by change and strength, and of the unchanged images by property and lesion size."""
    clean, changed = paths.load()
    summary = summarise_changes(clean, changed, resamples)
    for name, change in summary["changes"].items():
        about = CHANGES[name]
        change |= {"title": about.title, "unit": about.unit, "source": about.source}
        for part in change["strengths"]:
            part["amount"] = about.amounts[part["strength"] - 1]
    sizes = sorted((float(row["lesion_fraction"]), image_id) for image_id, row in clean.items())
    groups = {**properties, "lesion size": {image_id: size_group(fraction) for fraction, image_id in sizes}}
    return summary | {"properties": summarise_groups(clean, groups, order_of, resamples)}


def _measure(
    ensemble: Ensemble,
    place: Path,
    records: Sequence[Record],
    missing: Sequence[Condition],
    total: int,
    *,
    visible: bool,
) -> None:
    predictor = load_predictor(ensemble, ensemble.config.outline)
    known = (total - len(missing)) * len(records)
    with tqdm(total=total * len(records), initial=known, unit=" images", disable=not visible) as bar:
        for condition in missing:
            bar.set_description(condition.name)
            rows = []
            for row, record, _ in evaluate_images(predictor, records, condition=condition, visible=False):
                about = {"change": condition.change, "strength": condition.strength}
                about["direction"] = condition.direction(record.image_id)
                rows.append(about | {name: row[name] for name in KEPT if name in row})
                bar.update()
            save_rows(place, condition, rows)


def _properties(records: Sequence[Record], root: Path, tables: Sequence[Path]) -> dict[str, Mapping[str, str]]:
    """The groups of each image: diagnosis and lesion size, then the columns of tables."""
    ids = [record.image_id for record in records]
    found: dict[str, Mapping[str, str]] = {}
    if any(record.diagnosis != UNKNOWN for record in records):
        found["diagnosis"] = {record.image_id: record.diagnosis for record in records}
    return {**found, **own_properties(root, ids), **read_properties(tables, ids)}
