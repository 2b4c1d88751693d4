"""What is odd about a data folder's files, tables and lesions, each kind in one counted line with an example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ham_keras.data.discovery import Contents
from ham_keras.data.folders import describe_unread
from ham_keras.data.known_duplicates import SOURCE
from ham_keras.data.tables import Metadata
from ham_keras.errors import shown

LARGE_LESION_IMAGES = 50  # HAM10000 has 6 images of a lesion at most


class Case(NamedTuple):
    """One case of an oddity: the images, or else the file, that it concerns, a few words, and the file to look at."""

    names: tuple[str, ...]
    detail: str
    path: Path


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of oddity: a line that counts its cases and names one, and all cases."""

    kind: str
    line: str
    cases: list[Case]


def odd_files(contents: Contents, copies: Mapping[Path, Path]) -> Iterable[Finding]:
    """Files that are not read, cannot be named in a table, or lie there twice: `copies` and what they are copies of."""
    if contents.unread:
        cases = [_case_of(path, "of a kind that is not read") for path in contents.unread]
        yield Finding("unread_kind", describe_unread(contents.unread), cases)
    if contents.misnamed:
        cases = [_case_of(path, "rename it") for path in contents.misnamed]
        first = shown(contents.misnamed[0])
        line = f"{len(cases)} files are left out, as their names are not UTF-8, the first: {first}; rename them"
        yield Finding("name_not_utf8", line, cases)
    if copies:
        cases = [_case_of(path, f"equals {there}") for path, there in copies.items()]
        path, there = next(iter(copies.items()))
        line = f"{len(copies)} files are there twice, byte for byte, and count once, the first: {path} equals {there}"
        yield Finding("copy", line, cases)


def odd_tables(metadata: Metadata, images: Mapping[str, Path]) -> Iterable[Finding]:
    """Tables that are not used, and cells that say nothing or contradict others; `images` are those, by key, paired."""
    unused = [_case_of(path, reason) for path, reason in metadata.unused.items()]
    for case in unused:
        yield Finding("unused_table", f"{case.path}: not used: {case.detail}", [case])
    if not any(facts.lesion for facts in metadata.facts.values()):
        for path, columns in metadata.without_lesions.items():
            case = _case_of(path, f"no column of lesion ids among {', '.join(columns)}")
            yield Finding("no_lesion_column", f"{path}: {case.detail}", [case])
    for kind, cells, what in (
        ("placeholder_lesion_id", metadata.placeholders, "have a placeholder for a lesion_id, each counts as a lesion"),
        ("two_diagnoses", metadata.other_diagnoses, "have two diagnoses in the tables, the first counts"),
    ):
        cases = [Case((images[key].stem,), repr(cells[key]), images[key]) for key in cells if key in images]
        if cases:
            line = f"{len(cases)} images {what}, e.g. {cases[0].names[0]}: {cases[0].detail}"
            yield Finding(kind, line, cases)


def odd_lesions(
    lesion_ids: Mapping[str, str], merged: Sequence[tuple[str, str]], images: Mapping[str, Path]
) -> Iterable[Finding]:
    """Lesions of too many images, and those that were merged; lesion ids and images are by image key."""
    counts = Counter(lesion_ids.values())
    first_of = {lesion_ids[image]: images[image] for image in reversed(list(lesion_ids))}
    large = [
        Case((first_of[lesion_id].stem,), f"lesion {lesion_id!r} has {count} images", first_of[lesion_id])
        for lesion_id, count in counts.most_common()
        if count > LARGE_LESION_IMAGES
    ]
    if large:
        line = (
            f"{len(large)} lesions have more than {LARGE_LESION_IMAGES} images, e.g. {large[0].detail}; if it is no "
            f"lesion, leave its cells in the table empty"
        )
        yield Finding("large_lesion", line, large)
    known = [
        Case(pair := (images[first].stem, images[second].stem), f"{pair[0]} and {pair[1]}", images[first])
        for first, second in merged
    ]
    if known:
        line = (
            f"{len(known)} pairs of images show one lesion under two lesion_ids and count as one lesion, e.g. "
            f"{known[0].detail} ({SOURCE})"
        )
        yield Finding("known_duplicate", line, known)


def _case_of(path: Path, detail: str) -> Case:
    return Case((shown(path.name),), detail, path)
