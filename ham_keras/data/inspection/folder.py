"""Audit a data folder: every pair, files without a partner, and duplicate images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ham_keras.data.inspection.likeness import compare_pairs
from ham_keras.data.inspection.pairs import Pair, read_pair, show_size
from ham_keras.data.problems import KINDS, Problem
from ham_keras.data.records import Pairing, find_records
from ham_keras.data.repair import Repair, decide_masks
from ham_keras.environment import cpu_threads
from ham_keras.errors import shown


@dataclass(frozen=True)
class Audit:
    """All pairs of a data folder and all problems, the most serious kind first."""

    pairing: Pairing
    pairs: list[Pair]
    problems: list[Problem]

    def facts(self) -> dict[str, Any]:
        """The content of audit.json except the problems."""
        images_per_lesion = Counter(pair.record.lesion_id for pair in self.pairs)
        return {
            "root": shown(self.pairing.root),
            "pairs": len(self.pairs),
            "palette": sum(pair.palette for pair in self.pairs),
            "repaired": sum(pair.repaired for pair in self.pairs),
            "repaired_ids": [pair.record.image_id for pair in self.pairs if pair.repaired],
            "images_without_mask": len(self.pairing.images_without_mask),
            "masks_without_image": len(self.pairing.masks_without_image),
            "images_without_metadata": self.pairing.images_without_metadata,
            "lesions": len(images_per_lesion),
            "lesions_with_several_images": sum(count > 1 for count in images_per_lesion.values()),
            "diagnoses": dict(Counter(pair.record.diagnosis for pair in self.pairs).most_common()),
            "image_sizes": dict(Counter(show_size(pair.image_size) for pair in self.pairs).most_common()),
            "counts": dict(Counter(problem.kind for problem in self.problems)),
            "versions": {name: version(name) for name in ("numpy", "Pillow", "ImageHash")},
        }


def inspect_folder(root: Path | str, repair_masks: Repair, lesion_values: Sequence[int] | None) -> Audit:
    """Read every pair below `root` and compare the images with each other.

    Raises:
        HamError: see `find_records` and `decide_masks`.
    """
    pairing = find_records(root)
    records = decide_masks(pairing.records, repair_masks, lesion_values)
    with ThreadPoolExecutor(cpu_threads()) as threads:
        pairs = list(tqdm(threads.map(read_pair, records), "reading", len(records), unit=" pairs", disable=None))
    problems = [problem for pair in pairs for problem in pair.problems]
    unpaired = [("image_without_mask", path) for path in pairing.images_without_mask]
    unpaired += [("mask_without_image", path) for path in pairing.masks_without_image]
    problems += [Problem(kind, (path.stem,), "no partner with this id", path) for kind, path in unpaired]
    problems += [problem for group in pairing.problem_groups for problem in group.problems]
    problems += compare_pairs(pairs)
    return Audit(pairing, pairs, sorted(problems, key=lambda problem: list(KINDS).index(problem.kind)))
