"""Read tables of metadata: the lesion, patient and diagnosis of each image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ham_keras.data.folders import key
from ham_keras.data.layouts import SUFFIXES
from ham_keras.data.table_files import Table, plain_name, read_table
from ham_keras.errors import HamError

TABLE_SUFFIXES = frozenset({".csv", ".tab", ".tsv"})
SPREADSHEET_SUFFIXES = frozenset({".xlsx", ".xls", ".ods"})
TEXT_SUFFIXES = frozenset({"", ".txt"})  # Dataverse has `HAM10000_metadata`; a README is not a table

# Names of columns, in lower case with only letters and digits. The first that a table has is used.
IMAGE_COLUMNS = (
    *("imageid", "isicid", "image", "imagename", "imgid", "img", "imgname", "imagefile", "imagefilename"),
    *("filename", "file", "imagepath", "imgpath", "filepath", "path", "photo", "photoid", "photograph", "id", "name"),
)
LESION_COLUMNS = ("lesionid", "lesion", "lesionname", "lesionnumber", "lesionno", "lesionnr", "lesionuid")
PATIENT_COLUMNS = ("patientid", "patient", "subjectid", "subject", "caseid")
DIAGNOSIS_COLUMNS = ("dx", "diagnosis", "diagnostic", "diagnose", "diag")
ONE_HOT_COLUMNS = frozenset(
    {"mel", "nv", "bcc", "akiec", "ak", "ack", "bkl", "df", "vasc", "scc", "sek", "nev", "unk"}
    | {"melanoma", "nevus", "seborrheickeratosis"}
)
TRUE = frozenset({"true", "yes", "y", "x"})
# Written where an id is unknown, in lower case with only letters and digits.
PLACEHOLDERS = frozenset(
    {"", "na", "nan", "none", "null", "nil", "nat", "unk", "missing", "undefined", "unspecified", "unassigned"}
    | {"notavailable", "notapplicable", "notknown", "noid", "tbd", "todo"}
)


@dataclass
class Facts:
    """The metadata of one image; "" if unknown. `table` is the first table with its lesion."""

    lesion: str = ""
    patient: str = ""
    diagnosis: str = ""
    one_hot: str = ""
    table: Path | None = None
    diagnosis_table: Path | None = None


@dataclass
class Metadata:
    """The facts by image key, and the problems of the tables."""

    facts: dict[str, Facts] = field(default_factory=dict)
    unused: dict[Path, str] = field(default_factory=dict)
    without_lesions: dict[Path, list[str]] = field(default_factory=dict)
    placeholders: dict[str, str] = field(default_factory=dict)
    one_hot_names: set[str] = field(default_factory=set)
    other_diagnoses: dict[str, str] = field(default_factory=dict)


def is_table(path: Path) -> bool:
    """Whether a file may be a table: by its suffix, or by its name if it is a text file or has no suffix."""
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES:
        return re.search(r"meta_?data|ground_?truth|groupings?", path.stem.lower()) is not None
    return suffix in TABLE_SUFFIXES | SPREADSHEET_SUFFIXES


def read_tables(paths: Iterable[Path], images: Iterable[str]) -> Metadata:
    """Join the tables on `images`, the keys of the images.

    The id column is the first one of `IMAGE_COLUMNS` that contains ids of these images, or else any column in which
    half of the cells are such ids. Case, folders and suffixes of ids are ignored. A table without an id column is not
    used. A lesion id that several patients have gets the patient id as a prefix.

    Raises:
        HamError: a table cannot be read, or two rows give an image different lesions.
    """
    metadata, known = Metadata(), frozenset(images)
    for path in paths:
        if path.suffix.lower() in SPREADSHEET_SUFFIXES:
            metadata.unused[path] = "a spreadsheet; save it as CSV"
            continue
        table = read_table(path, _is_usual, IMAGE_COLUMNS)
        if id_column(table, known) is None:
            table = read_table(path, lambda column: True, IMAGE_COLUMNS)
        if table.rows:
            _join(metadata, path, table, known)
    for image, facts in metadata.facts.items():
        one_hot, facts.diagnosis = facts.one_hot, facts.diagnosis or facts.one_hot
        if one_hot not in {"", facts.diagnosis} and facts.diagnosis in metadata.one_hot_names:
            metadata.other_diagnoses.setdefault(image, f"{facts.diagnosis} and {one_hot}")
        if facts.lesion:
            metadata.placeholders.pop(image, None)
    _separate_patients(metadata.facts.values())
    return metadata


def _join(metadata: Metadata, path: Path, table: Table, known: frozenset[str]) -> None:
    columns, rows = list(table.rows[0]), table.rows
    image_column = id_column(table, known)
    if image_column is None:
        if path.suffix.lower() not in TEXT_SUFFIXES:
            metadata.unused[path] = _why_unused(table)
        return
    lesion_column = _first(columns, LESION_COLUMNS)
    if lesion_column is None:
        metadata.without_lesions[path] = table.columns
    patient_column = _first(columns, PATIENT_COLUMNS)
    diagnosis_column = _diagnosis_column(rows)
    one_hot = {column: plain_name(column) for column in columns if plain_name(column) in ONE_HOT_COLUMNS}
    zero_is_an_id = lesion_column is not None and any(row[lesion_column] in {"1", "1.0"} for row in rows)
    for row in rows:
        image = image_key(row[image_column])
        if image not in known:
            continue
        facts = metadata.facts.setdefault(image, Facts())
        if lesion_column is not None:
            lesion = _without_decimals(row[lesion_column])
            if is_placeholder(lesion) or (lesion == "0" and not zero_is_an_id):
                metadata.placeholders.setdefault(image, row[lesion_column])
            else:
                _set_lesion(facts, image, lesion, path)
        if patient_column is not None and not is_placeholder(row[patient_column]):
            facts.patient = facts.patient or _without_decimals(row[patient_column])
        if diagnosis_column is not None and not is_placeholder(row[diagnosis_column]):
            _set_diagnosis(metadata, facts, image, row[diagnosis_column].lower(), path)
        if len(one_hot) > 1:
            true = [name for column, name in one_hot.items() if _is_true(row[column])]
            if len(true) == 1 and not is_placeholder(true[0]):
                facts.one_hot = facts.one_hot or true[0]
                metadata.one_hot_names.update(one_hot.values())


def _set_lesion(facts: Facts, image: str, lesion: str, path: Path) -> None:
    if not facts.lesion:
        facts.lesion, facts.table = lesion, path
    elif key(facts.lesion) != key(lesion):
        where = "in another row" if facts.table == path else f"in {facts.table}"
        raise HamError(f"{path}: {image} has lesion {lesion} here and {facts.lesion} {where}; keep one of them")


def _set_diagnosis(metadata: Metadata, facts: Facts, image: str, diagnosis: str, path: Path) -> None:
    if not facts.diagnosis:
        facts.diagnosis, facts.diagnosis_table = diagnosis, path
    elif facts.diagnosis != diagnosis:
        if facts.diagnosis_table == path:
            raise HamError(
                f"{path}: {image} has the diagnosis {diagnosis} in one row and {facts.diagnosis} in another; keep one "
                f"of them"
            )
        metadata.other_diagnoses.setdefault(image, f"{facts.diagnosis} and {diagnosis}")


def _separate_patients(all_facts: Iterable[Facts]) -> None:
    facts_by_lesion: dict[str, list[Facts]] = {}
    for facts in all_facts:
        if facts.lesion:
            facts_by_lesion.setdefault(key(facts.lesion), []).append(facts)
    for group in facts_by_lesion.values():
        several = len({facts.patient for facts in group if facts.patient}) > 1
        for facts in group:
            # Tables may spell the same lesion id differently.
            facts.lesion = f"{facts.patient}_{facts.lesion}" if several and facts.patient else group[0].lesion


def image_key(cell: str) -> str:
    """The key of the image in a cell of a table, which may contain a folder and a suffix."""
    name = re.split(r"[\\/]", cell.strip())[-1]
    stem, dot, ending = name.rpartition(".")
    return key(stem if f".{ending.lower()}" in SUFFIXES and dot else name)


def is_placeholder(cell: str) -> bool:
    """Whether a cell means unknown, such as `nan`, `N/A`, `-` or `unknown`."""
    plain = plain_name(cell)
    return plain in PLACEHOLDERS or plain.startswith("unknown") or cell.strip() == "-1"


def id_column(table: Table, known: frozenset[str]) -> str | None:
    """The column with the ids of the images; None if there is none. `known` are the keys of the images."""
    if not table.rows:
        return None

    def hits(column: str) -> int:
        return sum(image_key(row[column]) in known for row in table.rows)

    columns = list(table.rows[0])
    for name in IMAGE_COLUMNS:
        for column in columns:
            if plain_name(column) == name and hits(column):
                return column
    best = max(columns, key=hits)
    return best if 2 * hits(best) >= len(table.rows) else None


def _why_unused(table: Table) -> str:
    named = _first(table.columns, IMAGE_COLUMNS)
    if named is not None:
        first = table.rows[0][named]
        return f"the ids in its column {named!r}, such as {first!r}, match no image"
    return f"no column has the ids of the images: {', '.join(table.columns)}"


def _diagnosis_column(rows: Sequence[Mapping[str, str]]) -> str | None:
    column = _first(list(rows[0]), DIAGNOSIS_COLUMNS)
    if column is None or all(re.fullmatch(r"[-\d.]*", row[column]) for row in rows):
        return None  # class numbers, whose meaning is unknown
    return column


def _first(columns: Sequence[str], names: Sequence[str]) -> str | None:
    return next((column for name in names for column in columns if plain_name(column) == name), None)


def _without_decimals(cell: str) -> str:
    return re.sub(r"^(\d+)\.0+$", r"\1", cell)  # pandas and spreadsheets write 12 as 12.0 in columns with empty cells


def _is_true(cell: str) -> bool:
    try:
        return float(cell) == 1
    except ValueError:
        return cell.lower() in TRUE


def _is_usual(column: str) -> bool:
    names = (*IMAGE_COLUMNS, *LESION_COLUMNS, *PATIENT_COLUMNS, *DIAGNOSIS_COLUMNS, *ONE_HOT_COLUMNS)
    return plain_name(column) in names
