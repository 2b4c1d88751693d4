"""Read tables of metadata: the lesion, patient and diagnosis of each image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ham_keras.data.columns import (
    CASE_COLUMNS,
    DIAGNOSIS_COLUMNS,
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    ONE_HOT_COLUMNS,
    PATIENT_COLUMNS,
    ImageKeys,
    are_numbers_of_patients,
    first_named,
    id_column,
    images_in,
    is_placeholder,
    lesion_column,
    named_alike,
    placeholder_cells,
    usual_name,
    without_decimals,
)
from ham_keras.data.folders import key
from ham_keras.data.table_files import Table, plain_name, read_table
from ham_keras.errors import HamError

TABLE_SUFFIXES = frozenset({".csv", ".tab", ".tsv"})
SPREADSHEET_SUFFIXES = frozenset({".xlsx", ".xls", ".ods"})
# Tables too, but only in the data folder itself or in one of tables: among the images they may be anything.
OTHER_TABLE = re.compile(r"\.(?:xlsm|xlsb|numbers|parquet|feather|arrow|rds|sav|dta)$|\.(?:csv|tsv|tab)\.\w+$")
NAME_OF_TABLE = re.compile(r"meta_?data|ground_?truth|groupings?")
LOCK_FILE = "~$"  # of a spreadsheet that is open
TEXT_SUFFIXES = frozenset({"", ".txt"})  # Dataverse has `HAM10000_metadata`; a README is not a table

TRUE = frozenset({"true", "yes", "y", "x"})


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
    """The facts by image key, and the problems of the tables.

    `numbered_lesions`: columns of tables whose lesions are numbered as if for each patient, that of the lesions first.
    """

    facts: dict[str, Facts] = field(default_factory=dict)
    unused: dict[Path, str] = field(default_factory=dict)
    without_lesions: dict[Path, list[str]] = field(default_factory=dict)
    numbered_lesions: dict[Path, list[str]] = field(default_factory=dict)
    placeholders: dict[str, str] = field(default_factory=dict)
    one_hot_names: set[str] = field(default_factory=set)
    other_diagnoses: dict[str, str] = field(default_factory=dict)
    other_lesions: dict[str, str] = field(default_factory=dict)


def is_table(path: Path) -> bool:
    """Whether a file may be a table: by its suffix, or by its name if it is a text file or has no suffix."""
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES:
        return NAME_OF_TABLE.search(path.stem.lower()) is not None
    return suffix in TABLE_SUFFIXES | SPREADSHEET_SUFFIXES and not path.name.startswith(LOCK_FILE)


def is_text_table(path: Path) -> bool:
    """Whether a file may be a table that can be read: not a spreadsheet."""
    return is_table(path) and path.suffix.lower() not in SPREADSHEET_SUFFIXES


def may_be_table(path: Path) -> bool:
    """Whether a file that is not among the images may be a table, even of a format that is not read."""
    name = path.name.lower()
    is_json = path.suffix.lower() in {".json", ".jsonl"} and NAME_OF_TABLE.search(name) is not None
    return is_table(path) or is_json or (OTHER_TABLE.search(name) is not None and not name.startswith(LOCK_FILE))


def read_tables(paths: Iterable[Path], images: Iterable[str]) -> Metadata:
    """Join the tables on `images`, the keys of the images.

    The id column is the one that names the most of these images; the names of `IMAGE_COLUMNS` break ties. Case,
    suffixes and other folders of ids are ignored, and so are leading zeros in columns of these names. A table without
    an id column is not used. Of several columns of one name, as `lesion_id_x` and `lesion_id_y`, the first cell with an
    id counts. A lesion id that several patients have gets the patient id as a prefix.

    Raises:
        HamError: a table cannot be read, or two rows give an image different lesions.
    """
    metadata, known = Metadata(), ImageKeys.of(images)
    for path in paths:
        if path.suffix.lower() in SPREADSHEET_SUFFIXES:
            metadata.unused[path] = "a spreadsheet; save it as CSV"
            continue
        if not is_table(path):
            metadata.unused[path] = "its format is not read; save it as CSV"
            continue
        table = read_table(path, _is_usual, IMAGE_COLUMNS)
        column = id_column(table, known)
        if column is None or images_in(table, column, known) < min(len(table.rows), len(known.keys)):
            table = read_table(path, lambda column: True, IMAGE_COLUMNS)
        if table.rows:
            _join(metadata, path, table, known)
        elif not table.is_pixels and path.suffix.lower() not in TEXT_SUFFIXES:
            metadata.unused[path] = "has no rows" if table.columns else "is empty"
    for image, facts in metadata.facts.items():
        one_hot, facts.diagnosis = facts.one_hot, facts.diagnosis or facts.one_hot
        if one_hot not in {"", facts.diagnosis} and facts.diagnosis in metadata.one_hot_names:
            metadata.other_diagnoses.setdefault(image, f"{facts.diagnosis} and {one_hot}")
        if facts.lesion:
            metadata.placeholders.pop(image, None)
    _separate_patients(metadata.facts.values())
    return metadata


def _join(metadata: Metadata, path: Path, table: Table, known: ImageKeys) -> None:
    columns, rows = list(table.rows[0]), table.rows
    image_column = id_column(table, known)
    if image_column is None:
        if path.suffix.lower() not in TEXT_SUFFIXES:
            metadata.unused[path] = _why_unused(table)
        return
    rows_of = [(image, row) for row in rows if (image := known.find(row[image_column])) is not None]
    rows = [row for _, row in rows_of]
    patient_column = first_named(columns, PATIENT_COLUMNS)
    diagnosis_column = _diagnosis_column(rows)
    lesions = lesion_column(rows, patient_column, diagnosis_column)
    if lesions is None:
        metadata.without_lesions[path] = table.columns
    elif patient_column is None and are_numbers_of_patients(row[lesions] for row in rows):
        patient_column = first_named(columns, CASE_COLUMNS)
        if patient_column is None:
            metadata.numbered_lesions[path] = [lesions, *(column for column in table.columns if column != lesions)]
    lesion_columns, diagnosis_columns = named_alike(columns, lesions), named_alike(columns, diagnosis_column)
    placeholders = {column: placeholder_cells(row[column] for row in rows) for column in lesion_columns}
    one_hot = {column: plain_name(column) for column in columns if plain_name(column) in ONE_HOT_COLUMNS}
    for image, row in rows_of:
        facts = metadata.facts.setdefault(image, Facts())
        ids = [without_decimals(row[column]) for column in lesion_columns if row[column] not in placeholders[column]]
        if ids:
            _set_lesion(facts, image, ids[0], path)
            _note_others(metadata.other_lesions, image, ids)
        elif lesions is not None:
            metadata.placeholders.setdefault(image, row[lesions])
        if patient_column is not None and not is_placeholder(row[patient_column]):
            facts.patient = facts.patient or without_decimals(row[patient_column])
        diagnoses = [row[column].lower() for column in diagnosis_columns if not is_placeholder(row[column])]
        if diagnoses:
            _set_diagnosis(metadata, facts, image, diagnoses[0], path)
            _note_others(metadata.other_diagnoses, image, diagnoses)
        if len(one_hot) > 1:
            true = [name for column, name in one_hot.items() if _is_true(row[column])]
            if len(true) == 1 and not is_placeholder(true[0]):
                facts.one_hot = facts.one_hot or true[0]
                metadata.one_hot_names.update(one_hot.values())


def _note_others(noted: dict[str, str], image: str, values: Sequence[str]) -> None:
    """Note different values in the columns of one name."""
    if len({key(value) for value in values}) > 1:
        noted.setdefault(image, " and ".join(dict.fromkeys(values)))


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
        spelling = group[0].lesion  # tables may spell the same lesion id differently
        several = len({facts.patient for facts in group if facts.patient}) > 1
        for facts in group:
            facts.lesion = f"{facts.patient}_{spelling}" if several and facts.patient else spelling


def _why_unused(table: Table) -> str:
    named = first_named(table.columns, IMAGE_COLUMNS)
    if named is not None:
        first = table.rows[0][named]
        return f"the ids in its column {named!r}, such as {first!r}, match no image"
    return f"no column has the ids of the images: {', '.join(table.columns)}"


def _diagnosis_column(rows: Sequence[Mapping[str, str]]) -> str | None:
    column = first_named(list(rows[0]), DIAGNOSIS_COLUMNS)
    if column is None or all(re.fullmatch(r"[-\d.]*", row[column]) for row in rows):
        return None  # class numbers, whose meaning is unknown
    return column


def _is_true(cell: str) -> bool:
    try:
        return float(cell) == 1
    except ValueError:
        return cell.lower() in TRUE


def _is_usual(column: str) -> bool:
    names = (*IMAGE_COLUMNS, *LESION_COLUMNS, *PATIENT_COLUMNS, *CASE_COLUMNS, *DIAGNOSIS_COLUMNS, *ONE_HOT_COLUMNS)
    return usual_name(column) in names
