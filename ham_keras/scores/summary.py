"""Summarise the scores of many images: means with intervals, by diagnosis and by lesion size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ham_keras.config import Config
from ham_keras.scores.bootstrap import show_interval, spread
from ham_keras.scores.quality import format_quality
from ham_keras.scores.scores import SCORES, THRESHOLD
from ham_keras.settings import FEWEST_LESIONS, Outline

SIZE_EDGES = (0.05, 0.10, 0.20, 0.40)  # lesion fractions of the image between the size groups


def describe_scoring(
    root: Path | str, split: str | None, config: Config, masks: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What scores depend on besides the network: images and post-processing. Part of summary.json.

    `masks` are the settings for reading masks, if they override the run's.
    """
    return {"data": str(root), "split": split, **config.outline.model_dump(), "masks": masks}


def scored_outline(summary: Mapping[str, Any]) -> Outline:
    """The post-processing of a summary's masks; summaries of earlier versions only have the threshold."""
    return Outline(**{name: summary[name] for name in Outline.model_fields if name in summary})


def outline_in_words(outline: Outline) -> str:
    """Post-processing in words, e.g. "probability > 0.5, mirror images averaged, holes filled"."""
    options = {
        "mirror images averaged": outline.tta,
        "holes filled": outline.fill_holes,
        "largest part kept": outline.keep_largest,
    }
    return ", ".join([f"probability > {outline.threshold:g}", *(words for words, used in options.items() if used)])


def size_group(lesion_fraction: float) -> str:
    """The name of the size group of a lesion fraction of the image (0..1)."""
    edges = (0.0, *SIZE_EDGES, 1.0)
    place = int(np.searchsorted(SIZE_EDGES, lesion_fraction, side="right"))
    return f"{edges[place]:.0%} to {edges[place + 1]:.0%}"


def summarise(rows: Sequence[Mapping[str, Any]], *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Summarise per-image rows.

    Each row has image_id, lesion_id, diagnosis, lesion_fraction, hausdorff95_px and `<score>_native`,
    `<score>_network` for each of `SCORES`: at the mask's own size and at the network's.

    Returns:
        {"images", "lesions", "native": {score: {"mean", "median", "interval"}, ..., "below_0.65"},
        "network": {...}, "hausdorff95_px": {"mean", "median", "interval"}, "by_diagnosis": {name: {...}},
        "by_size": {name: {...}}}; groups have images, lesions and the native Jaccard. Intervals are 95 % bootstraps
        over lesions, None if there is only one lesion.
    """
    lesions = [str(row["lesion_id"]) for row in rows]
    summary: dict[str, Any] = {"images": len(rows), "lesions": len(set(lesions))}
    for size in ("native", "network"):
        part: dict[str, Any] = {}
        for name in SCORES:
            values = np.array([row[f"{name}_{size}"] for row in rows], float)
            part[name] = spread(values, lesions, resamples=resamples, seed=seed)
        jaccard = np.array([row[f"jaccard_{size}"] for row in rows], float)
        part["below_0.65"] = float(np.mean(jaccard < THRESHOLD))
        summary[size] = part
    if all("hausdorff95_px" in row for row in rows):  # not in rows of earlier versions
        distances = np.array([row["hausdorff95_px"] for row in rows], float)
        summary["hausdorff95_px"] = spread(distances, lesions, resamples=resamples, seed=seed)
    by_diagnosis = sorted(rows, key=lambda row: str(row["diagnosis"]))
    by_size = sorted(rows, key=lambda row: float(row["lesion_fraction"]))
    summary["by_diagnosis"] = _by_group(by_diagnosis, lambda row: str(row["diagnosis"]), resamples, seed)
    summary["by_size"] = _by_group(by_size, lambda row: size_group(float(row["lesion_fraction"])), resamples, seed)
    return summary


def _by_group(
    rows: Sequence[Mapping[str, Any]], name_of: Callable[[Mapping[str, Any]], str], resamples: int, seed: int
) -> dict[str, Any]:
    """Number of images and native Jaccard of each group; rows must be sorted by group."""
    groups: dict[str, Any] = {}
    for name, members in itertools.groupby(rows, name_of):
        group = list(members)
        jaccard = np.array([row["jaccard_native"] for row in group], float)
        lesions = [str(row["lesion_id"]) for row in group]
        groups[name] = {
            "images": len(group),
            "lesions": len(set(lesions)),
            "jaccard": spread(jaccard, lesions, resamples=resamples, seed=seed),
            "below_0.65": float(np.mean(jaccard < THRESHOLD)),
        }
    return groups


def format_summary(summary: Mapping[str, Any], title: str) -> str:
    """Format a summary as a plain-text table."""
    lines = [f"{title}: {summary['images']} images of {summary['lesions']} lesions"]
    if "threshold" in summary:
        lines.append(f"lesion: {outline_in_words(scored_outline(summary))}")
    lines.append(f"{'':20}{'mean':>8}{'median':>8}  {'95 % interval':18}{'network size':>12}")
    for name in SCORES:
        native, network = summary["native"][name], summary["network"][name]
        lines.append(
            f"{name:20}{native['mean']:8.4f}{native['median']:8.4f}  "
            f"{show_interval(native['interval']):18}{network['mean']:12.4f}"
        )
    if summary["lesions"] < FEWEST_LESIONS:
        lines.append(f"{'':20}intervals over {summary['lesions']} lesions: too few lesions")
    lines.append(f"{'share below 0.65':20}{summary['native']['below_0.65']:8.4f}")
    if distance := summary.get("hausdorff95_px"):
        interval = show_interval(distance["interval"], decimals=1)
        lines.append(f"{'Hausdorff 95 (px)':20}{distance['mean']:8.1f}{distance['median']:8.1f}  {interval}")
    for kind in ("by_diagnosis", "by_size"):
        lines.append(f"\nJaccard {kind.replace('_', ' ')}")
        for name, group in summary[kind].items():
            jaccard = group["jaccard"]
            interval = show_interval(jaccard["interval"], group.get("lesions"))
            lines.append(f"  {name:18}{jaccard['mean']:8.4f}  {interval:18}{group['images']:5} images")
    if "trust" in summary:
        lines.append(f"\n{format_quality(summary['trust'])}")
    return "\n".join(lines)
