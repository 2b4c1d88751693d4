"""What an audit finds: the kinds of problems there are, and the problems themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ham_keras.errors import shown

# Every kind of finding, the gravest first: this is the order of the table and of the contact sheet.
KINDS = {
    "unreadable_image": "images that cannot be read",
    "truncated_image": "images cut short",
    "unreadable_mask": "masks that cannot be read",
    "several_classes": "masks of several classes, not read",
    "image_without_mask": "images without a mask, left out",
    "mask_without_image": "masks without an image, left out",
    "unread_kind": "files of kinds that are not read, left out",
    "name_not_utf8": "names that are not UTF-8, left out",
    "unused_table": "tables that are not used",
    "no_lesion_column": "tables without lesion ids",
    "placeholder_lesion_id": "placeholders for a lesion id",
    "large_lesion": "lesions of more than 50 images",
    "two_diagnoses": "images with two diagnoses",
    "identical_other_lesion": "groups of byte-identical images, different lesions",
    "near_identical_other_lesion": "groups of near-identical images, different lesions",
    "aspect_mismatch": "masks of another shape than their image",
    "size_mismatch": "masks of another size than their image",
    "unclear_turn": "images turned by EXIF, their masks perhaps not",
    "turned": "masks turned with their image, as EXIF says",
    "maybe_inverted": "masks that may be inverted, not repaired",
    "repaired": "inverted masks, repaired while reading",
    "framed": "masks with a frame, left out while reading",
    "empty": "masks without a lesion",
    "all_lesion": "masks that are all lesion",
    "tiny": "tiny lesions",
    "not_binary": "masks of more than two grey levels, read as two",
    "known_duplicate": "pairs of one lesion under two ids, merged",
    "copy": "files that are there twice, read once",
    "identical": "groups of byte-identical images, one lesion",
    "near_identical": "groups of near-identical images, one lesion",
    "several_images": "lesions with several images",
}
UNREADABLE = frozenset({"unreadable_image", "truncated_image", "unreadable_mask", "several_classes"})


@dataclass(frozen=True)
class Problem:
    """One finding: its kind, a key of `KINDS`, the images it concerns, and the file to look at."""

    kind: str
    image_ids: tuple[str, ...]
    detail: str
    path: Path

    def to_json(self) -> dict[str, object]:
        """An entry of the problems in audit.json; `image_id` is the first of `image_ids`."""
        ids = [shown(image_id) for image_id in self.image_ids]
        entry = {"image_id": ids[0], "kind": self.kind, "detail": self.detail}
        return entry | {"path": shown(self.path), "image_ids": ids}


def by_kind(problems: Iterable[Problem]) -> dict[str, list[Problem]]:
    """The problems of each kind that occurs, in the order of `KINDS`."""
    found: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        found[problem.kind].append(problem)
    return {kind: found[kind] for kind in KINDS if kind in found}
