"""The kinds of problems of a data folder, and the problems themselves: what pairing warns of and the audit reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ham_keras.errors import shown

# The most serious kind first; the audit's table and contact sheet keep this order.
KINDS = {
    "unreadable_image": "unreadable images",
    "truncated_image": "truncated images",
    "unreadable_mask": "unreadable masks",
    "several_classes": "masks of several classes, not read",
    "image_without_mask": "images without a mask, skipped",
    "mask_without_image": "masks without an image, skipped",
    "plain_rows": "images that end in rows of one colour, maybe damaged",
    "unread_kind": "files of unsupported formats, skipped",
    "unread_folder": "folders with images, skipped for others beside them",
    "loose_image": "images beside the folders that are read, skipped",
    "named_like_mask": "photographs that are named like masks",
    "name_not_utf8": "files whose names are not UTF-8, skipped",
    "broken_link": "links that lead nowhere, skipped",
    "unused_table": "tables that are not used",
    "no_lesion_column": "tables without lesion ids",
    "numbered_lesions": "tables whose lesions may be numbered for each patient",
    "placeholder_lesion_id": "placeholders for a lesion id",
    "two_lesion_ids": "images with two lesion ids",
    "large_lesion": "lesions of more than 50 images, or of a large share of a small folder",
    "two_diagnoses": "images with two diagnoses",
    "identical_other_lesion": "groups of byte-identical images, different lesions",
    "near_identical_other_lesion": "groups of near-identical images, different lesions",
    "aspect_mismatch": "masks with another aspect ratio than their image",
    "size_mismatch": "masks with another size than their image",
    "unclear_turn": "images or masks rotated by EXIF, orientation of the mask unclear",
    "turned": "masks read by another EXIF orientation than their own",
    "blurred_values": "masks with soft edges or lossy compression, selected by data.lesion_values",
    "thin_level": "masks with a thin third grey level, read as a soft edge",
    "maybe_inverted": "masks that may be inverted, not repaired",
    "repaired": "inverted masks, repaired on reading",
    "maybe_framed": "masks that may have a frame, not removed",
    "framed": "masks with a frame, removed on reading",
    "outline": "masks that are outlines, not filled",
    "empty": "masks without a lesion",
    "all_lesion": "masks that are all lesion",
    "tiny": "tiny lesions",
    "not_binary": "masks of more than two grey levels, read as two",
    "known_duplicate": "pairs of one lesion under two ids, merged",
    "by_folder": "folders that are read as one data folder",
    "by_pixels": "folders that are recognised by their pixels",
    "copy": "duplicate files, read once",
    "identical": "groups of byte-identical images, one lesion",
    "near_identical": "groups of near-identical images, one lesion",
    "several_images": "lesions with several images",
}
UNREADABLE = frozenset({"unreadable_image", "truncated_image", "unreadable_mask", "several_classes"})


@dataclass(frozen=True)
class Problem:
    """One problem: its kind, a key of `KINDS`, the ids of the images or the name of the file, and the file to check."""

    kind: str
    image_ids: tuple[str, ...]
    detail: str
    path: Path

    def to_json(self) -> dict[str, object]:
        """An entry of the problems in audit.json; `image_id` is the first of `image_ids`."""
        ids = [shown(image_id) for image_id in self.image_ids]
        entry = {"image_id": ids[0], "kind": self.kind, "detail": self.detail}
        return entry | {"path": shown(self.path), "image_ids": ids}


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """Problems of one kind, and one line that counts them and gives an example."""

    warning: str
    problems: list[Problem]

    @property
    def kind(self) -> str:
        return self.problems[0].kind


def by_kind(problems: Iterable[Problem]) -> dict[str, list[Problem]]:
    """Group problems by kind, in the order of `KINDS`; kinds without problems are omitted."""
    found: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        found[problem.kind].append(problem)
    return {kind: found[kind] for kind in KINDS if kind in found}
