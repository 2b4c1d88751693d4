"""Photographs with diagnoses, with or without masks, and what tables say about the patients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ham_keras.data.columns import IMAGE_COLUMNS, ImageKeys, id_column, usual_name
from ham_keras.data.discovery import find_contents, find_tables
from ham_keras.data.folders import image_files, key
from ham_keras.data.records import UNKNOWN, Record, merge_duplicate_lesions
from ham_keras.data.table_files import plain_name, read_table
from ham_keras.data.tables import is_text_table, read_tables
from ham_keras.errors import HamError, warn

# The same diagnosis under the names of other data sets: ISIC's, PAD-UFES-20's and words; in plain form.
SYNONYMS = {
    "melanoma": "mel", "nevus": "nv", "naevus": "nv", "nev": "nv", "melanocyticnevus": "nv", "melanocyticnevi": "nv",
    "basalcellcarcinoma": "bcc", "ak": "akiec", "ack": "akiec", "actinickeratosis": "akiec",
    "sek": "bkl", "seborrheickeratosis": "bkl", "benignkeratosis": "bkl", "pigmentedbenignkeratosis": "bkl",
    "dermatofibroma": "df", "vascularlesion": "vasc", "vascularlesions": "vasc",
}  # fmt: skip
AGE_COLUMNS, SEX_COLUMNS = ("age", "ageapprox"), ("sex", "gender")
PLACE_COLUMNS = ("localization", "localisation", "anatomsitegeneral", "region")
PLACES = (
    "abdomen", "acral", "back", "chest", "ear", "face", "foot", "genital", "hand", "lower extremity", "neck", "scalp",
    "trunk", "upper extremity",
)  # fmt: skip
PATIENT_FEATURES = ("age", "sex_female", *(f"on_{place.replace(' ', '_')}" for place in PLACES))
Patient = dict[str, float]


@dataclass(frozen=True)
class Photograph:
    """A photograph with a diagnosis, "unknown" without one; the lesion is the image itself if no table has it."""

    image_id: str
    lesion_id: str
    diagnosis: str
    image_path: Path


def common_name(diagnosis: str) -> str:
    """The name that HAM10000 uses for a diagnosis; other diagnoses are returned as they are."""
    return SYNONYMS.get(plain_name(diagnosis), diagnosis)


def find_photographs(root: Path | str) -> list[Photograph]:
    """The photographs of a data folder with their diagnoses from the tables in it; masks are not needed.

    Raises:
        HamError: no such folder, no photographs, two with the same id, or no table with their diagnoses.
    """
    root = Path(root)
    if not root.is_dir():
        raise HamError(f"{root}: no such data folder")
    try:
        paths = find_contents(root).images
    except HamError:  # there are no masks
        paths = list(image_files(root))
    images: dict[str, Path] = {}
    for path in paths:
        first = images.setdefault(key(path.stem), path)
        if first != path:
            raise HamError(f"{first} and {path} have the same id: keep one of them, or rename it")
    if not images:
        raise HamError(f"{root}: no photographs; expected a folder of images and a table of their diagnoses")
    facts = read_tables(find_tables(root), images).facts
    if not any(fact.diagnosis for fact in facts.values()):
        raise HamError(
            f"{root}: no table with a diagnosis of these {len(images)} images; expected GroundTruth.csv, one-hot, or a "
            f"table with the columns image_id and dx"
        )
    known = {image: facts[image] for image in images if image in facts}
    lesions = {image: known[image].lesion if image in known else "" for image in images}
    lesion_ids = {image: lesions[image] or images[image].stem for image in images}
    merge_duplicate_lesions(lesion_ids)
    return [
        Photograph(path.stem, lesion_ids[image], known[image].diagnosis if image in known else UNKNOWN, path)
        for image, path in sorted(images.items())
    ]


def with_known_diagnosis(
    photographs: Sequence[Photograph], classes: Sequence[str] | None, source: str
) -> list[Photograph]:
    """The photographs whose diagnosis is known and, if given, one of `classes`; warns of the others.

    Raises:
        HamError: none is left.
    """
    named = [Photograph(p.image_id, p.lesion_id, common_name(p.diagnosis), p.image_path) for p in photographs]
    kept = [
        photograph
        for photograph in named
        if photograph.diagnosis not in {"", UNKNOWN} and (classes is None or photograph.diagnosis in classes)
    ]
    left_out = sorted({photograph.diagnosis for photograph in named} - {photograph.diagnosis for photograph in kept})
    if left_out:
        expected = f", not one of {', '.join(classes)}" if classes is not None else ""
        warn(f"{source}: {len(named) - len(kept)} images have the diagnosis {', '.join(left_out)}{expected}; left out")
    if not kept:
        raise HamError(f"{source}: no image has a diagnosis" + (f" of {', '.join(classes)}" if classes else ""))
    return kept


def with_known_records(sides: Mapping[str, Sequence[Record]]) -> dict[str, list[Record]]:
    """The records of each side with a diagnosis that training images have; warns of the others.

    Raises:
        HamError: a side has none, or all training images have the same.
    """
    classes = {common_name(record.diagnosis) for record in sides["train"]} - {UNKNOWN}
    if len(classes) < 2:
        found = f"only {', '.join(classes)}" if classes else "none in any table of the data folder"
        raise HamError(f"train: expected images of at least two diagnoses, found {found}")
    kept = {side: [each for each in sides[side] if common_name(each.diagnosis) in classes] for side in sides}
    for side, records in kept.items():
        left_out = sorted({common_name(each.diagnosis) for each in sides[side]} - classes)
        if not records:
            raise HamError(f"{side}: no image has one of the training images' diagnoses, {', '.join(sorted(classes))}")
        if left_out:
            warn(
                f"{side}: {len(sides[side]) - len(records)} images have the diagnosis {', '.join(left_out)}, which no "
                f"training image has; left out"
            )
    return kept


def read_patients(root: Path | str, image_ids: Iterable[str]) -> dict[str, Patient]:
    """Age, sex and localisation of each image that a table of the data folder has, as `PATIENT_FEATURES`.

    What is unknown is missing.

    Raises:
        HamError: a table cannot be read.
    """
    known = ImageKeys.of(map(key, image_ids))
    patients: dict[str, Patient] = {}
    for path in filter(is_text_table, find_tables(Path(root))):
        table = read_table(path, lambda column: True, IMAGE_COLUMNS)
        images = id_column(table, known)
        if images is None:
            continue
        columns = {usual_name(column): column for column in table.columns}
        for row in table.rows:
            plain = {name: row[column].strip().lower() for name, column in columns.items()}
            image = known.find(row[images])
            if image is not None:
                patients.setdefault(image, {}).update(_patient(plain))
    return {image_id: patients.get(key(image_id), {}) for image_id in image_ids}


def _patient(row: Mapping[str, str]) -> Patient:
    found: Patient = {}
    for name in AGE_COLUMNS:
        with contextlib.suppress(ValueError, KeyError):
            found["age"] = float(row[name])
    sex = next((row[name] for name in SEX_COLUMNS if name in row), "")
    if sex[:1] in {"f", "m"}:
        found["sex_female"] = float(sex[0] == "f")
    place = next((row[name] for name in PLACE_COLUMNS if name in row), "")
    if place in PLACES:
        found |= {f"on_{each.replace(' ', '_')}": float(each == place) for each in PLACES}
    return found
