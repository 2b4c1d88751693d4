"""Problems found while pairing a data folder: in its files, its tables and its lesions. Each group has one warning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ham_keras.data.columns import LESION_COLUMNS, first_named
from ham_keras.data.contents import Contents
from ham_keras.data.folders import describe_broken_links, describe_unread
from ham_keras.data.known_duplicates import SOURCE
from ham_keras.data.problems import Problem, ProblemGroup
from ham_keras.data.tables import Metadata
from ham_keras.errors import counted, shown

LARGE_LESION_IMAGES = 50  # a lesion of HAM10000 has at most 6 images
# In folders of fewer images, a lesion is large with more than this fraction of them, but not with fewer than the limit.
SMALL_FOLDER_IMAGES, SMALL_FOLDER_LIMIT, SMALL_FOLDER_FRACTION = 100, 9, 0.2
MIDDLE_FOLDER_LIMIT, MIDDLE_FOLDER_FRACTION = 20, 0.05


def file_problems(contents: Contents, copies: Mapping[Path, Path]) -> Iterable[ProblemGroup]:
    """Files of unsupported formats, files whose names are not UTF-8, and duplicates; `copies` maps each to its twin."""
    if contents.unread:
        problems = [_of_file("unread_kind", path, "unsupported format") for path in contents.unread]
        yield ProblemGroup(describe_unread(contents.unread), problems)
    if contents.misnamed:
        problems = [_of_file("name_not_utf8", path, "rename it") for path in contents.misnamed]
        first = shown(contents.misnamed[0])
        what = counted(
            len(problems), "file is skipped because its name is", "files are skipped because their names are"
        )
        warning = f"{what} not UTF-8, the first: {first}; rename them"
        yield ProblemGroup(warning, problems)
    if contents.broken_links:
        problems = [_of_file("broken_link", path, "leads nowhere") for path in contents.broken_links]
        yield ProblemGroup(describe_broken_links(contents.broken_links), problems)
    if contents.unread_folders:
        problems = [
            _of_file("unread_folder", path, counted(n, "image", "images"))
            for path, n in contents.unread_folders.items()
        ]
        listed = ", ".join(f"{shown(problem.path)} ({problem.detail})" for problem in problems)
        what = counted(len(problems), "folder is", "folders are")
        yield ProblemGroup(f"{what} skipped, because others beside them are read: {listed}", problems)
    if contents.loose:
        problems = [_of_file("loose_image", path, "beside the folders that are read") for path in contents.loose]
        yield ProblemGroup(
            f"{counted(len(problems), 'image is', 'images are')} skipped beside the folders that are read, the first: "
            f"{shown(contents.loose[0])}",
            problems,
        )
    if contents.by_folder:
        problems = [_of_file("by_folder", path, "read with the others") for path in contents.by_folder]
        listed = f"{shown(contents.by_folder[0])} to {shown(contents.by_folder[-1].name)}"
        yield ProblemGroup(
            f"{len(problems)} folders of images and masks are read as one data folder: {listed}; to read only one of "
            f"them, name it",
            problems,
        )
    if contents.by_pixels:
        problems = [_of_file("by_pixels", path, "recognised by its pixels") for path in contents.by_pixels]
        images, masks, *others = contents.by_pixels
        more = f"; so are {len(others)} further folders" if others else ""
        yield ProblemGroup(
            f"{shown(images)} is read as the folder of images and {shown(masks)} as that of masks, by their pixels"
            f"{more}",
            problems,
        )
    if contents.named_like_masks:
        problems = [_of_file("named_like_mask", path, "a photograph") for path in contents.named_like_masks]
        one, many = "file is named like a mask but is a photograph", "files are named like masks but are photographs"
        warning = f"{counted(len(problems), one, many)}, the first: {shown(problems[0].path)}"
        yield ProblemGroup(warning, problems)
    if copies:
        problems = [_of_file("copy", path, f"identical to {twin}") for path, twin in copies.items()]
        path, twin = next(iter(copies.items()))
        what = counted(len(copies), "file is a duplicate and read once", "files are duplicates and read once")
        warning = f"{what}, the first: {path} is identical to {twin}"
        yield ProblemGroup(warning, problems)


def table_problems(metadata: Metadata, ids: Mapping[str, str], images: Mapping[str, Path]) -> Iterable[ProblemGroup]:
    """Unused tables, and cells that are placeholders or contradict others; `ids` are those of paired images, by key."""
    for path, reason in metadata.unused.items():
        yield ProblemGroup(f"{path}: not used: {reason}", [_of_file("unused_table", path, reason)])
    if not any(facts.lesion for facts in metadata.facts.values()):
        for path, columns in metadata.without_lesions.items():
            named = first_named(columns, LESION_COLUMNS)
            missing = f"no column of lesion ids among {', '.join(columns)}"
            detail = f"its column {named!r} holds no ids, but placeholders or classes" if named else missing
            problem = _of_file("no_lesion_column", path, detail)
            yield ProblemGroup(f"{path}: {problem.detail}", [problem])
    for path, (lesions, *others) in metadata.numbered_lesions.items():
        detail = f"each number in its column {lesions!r} counts as one lesion"
        advice = f"if each patient's lesions are numbered, name the column of patients patient_id: {', '.join(others)}"
        yield ProblemGroup(f"{path}: {detail}; {advice}", [_of_file("numbered_lesions", path, detail)])
    for kind, cells, one, many in (
        (
            "placeholder_lesion_id",
            metadata.placeholders,
            "image has a placeholder for a lesion_id and counts as one lesion",
            "images have a placeholder for a lesion_id and count as one lesion each",
        ),
        (
            "two_lesion_ids",
            metadata.other_lesions,
            "image has two lesion_ids in columns of one table, the first is used",
            "images have two lesion_ids in columns of one table, the first is used",
        ),
        (
            "two_diagnoses",
            metadata.other_diagnoses,
            "image has two diagnoses in the tables, the first is used",
            "images have two diagnoses in the tables, the first is used",
        ),
    ):
        problems = [Problem(kind, (ids[key],), repr(cells[key]), images[key]) for key in cells if key in ids]
        if problems:
            first = problems[0]
            warning = f"{counted(len(problems), one, many)}, e.g. {first.image_ids[0]}: {first.detail}"
            yield ProblemGroup(warning, problems)


def lesion_problems(
    lesion_ids: Mapping[str, str], merged: Sequence[tuple[str, str]], ids: Mapping[str, str], images: Mapping[str, Path]
) -> Iterable[ProblemGroup]:
    """Lesions with too many images, and merged lesions; `lesion_ids`, `ids` and `images` are by image key."""
    counts, limit = Counter(lesion_ids.values()), large_lesion_limit(len(lesion_ids))
    first_of = {lesion_ids[image]: image for image in reversed(list(lesion_ids))}
    large = [
        Problem("large_lesion", (ids[image],), f"lesion {lesion!r} has {count} images", images[image])
        for lesion, count in counts.most_common()
        if count > limit
        for image in (first_of[lesion],)
    ]
    if large:
        warning = (
            f"{counted(len(large), 'lesion has', 'lesions have')} more than {limit} images, e.g. {large[0].detail}; "
            f"if the id is a placeholder, leave these cells of the table empty; if each patient's lesions are "
            f"numbered, name a column patient_id"
        )
        yield ProblemGroup(warning, large)
    duplicates = [
        Problem(
            "known_duplicate",
            (pair := (ids[first], ids[second])),
            f"{pair[0]} and {pair[1]}",
            images[first],
        )
        for first, second in merged
    ]
    if duplicates:
        what = counted(len(duplicates), "pair of images shows", "pairs of images show")
        warning = (
            f"{what} one lesion under two lesion_ids and count as one lesion, e.g. {duplicates[0].detail} ({SOURCE})"
        )
        yield ProblemGroup(warning, duplicates)


def large_lesion_limit(images: int) -> int:
    """The most images of one lesion that are not reported, in a folder of so many images."""
    if images <= SMALL_FOLDER_IMAGES:
        return max(SMALL_FOLDER_LIMIT, int(SMALL_FOLDER_FRACTION * images))
    return min(LARGE_LESION_IMAGES, max(MIDDLE_FOLDER_LIMIT, int(MIDDLE_FOLDER_FRACTION * images)))


def _of_file(kind: str, path: Path, detail: str) -> Problem:
    return Problem(kind, (shown(path.name),), detail, path)
