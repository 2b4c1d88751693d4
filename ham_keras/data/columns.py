"""Choose the columns of a table by their names and by what they hold, and recognise placeholders for an id."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ham_keras.data.folders import key
from ham_keras.data.layouts import SUFFIXES
from ham_keras.data.table_files import Table, plain_name

Row = Mapping[str, str]

# Names of columns, in the form that `usual_name` returns. The first is preferred where several columns fit as well.
IMAGE_COLUMNS = (
    *("imageid", "isicid", "image", "imagename", "imgid", "img", "imgname", "imagefile", "imagefilename"),
    *("filename", "file", "imagepath", "imgpath", "filepath", "path", "photo", "photoid", "photograph", "id", "name"),
)
NUMBER_ENDINGS = ("number", "no", "nr", "num", "uid", "uuid", "identifier", "ref", "code", "key")
LESION_COLUMNS = (
    *("lesionid", "lesion", "lesionname", "lesionindex", *(f"lesion{ending}" for ending in NUMBER_ENDINGS)),
    *(f"{what}id" for what in ("mole", "naevus", "nevus", "tumor", "tumour", "spot")),
)
PATIENT_COLUMNS = (
    *("patientid", "patient", "subjectid", "subject", "caseid"),
    *(f"{who}{ending}" for who in ("patient", "subject") for ending in NUMBER_ENDINGS),
    *(
        f"{who}{ending}"
        for who in ("patienten", "pat", "pt", "subj", "person", "participant", "proband", "mrn")
        for ending in ("id", *NUMBER_ENDINGS)
    ),
    *("mrn", "pid", "person", "participant", "proband"),
)
# A case may be a patient, an image or a lesion: a patient only if its lesions are numbered 1, 2, ...
CASE_COLUMNS = ("case", *(f"case{ending}" for ending in NUMBER_ENDINGS))
DIAGNOSIS_COLUMNS = ("dx", "diagnosis", "diagnostic", "diagnose", "diag")
ONE_HOT_COLUMNS = frozenset(
    {"mel", "nv", "bcc", "akiec", "ak", "ack", "bkl", "df", "vasc", "scc", "sek", "nev", "unk"}
    | {"melanoma", "nevus", "seborrheickeratosis"}
)
# Written where an id is unknown, in lower case with only letters and digits.
PLACEHOLDERS = frozenset(
    {"", "na", "nan", "none", "null", "nil", "nat", "unk", "nd", "nk", "missing", "undefined", "unspecified"}
    | {"unassigned", "notavailable", "notapplicable", "notknown", "noid", "tbd", "todo", "dne", "pending", "default"}
    | {"empty", "blank", "false"}
)
# These are placeholders with a number too, as in `nan_1`; `NA12` may be an id.
NUMBERED_PLACEHOLDERS = frozenset(
    {"nan", "none", "null", "nat", "unk", "missing", "undefined", "unspecified", "unassigned", "noid"}
)
# What databases and spreadsheets write for a missing date or number, and 1.23E+15, which stands for many long numbers.
LOST = r"\d(?:\.\d+)?e\+\d+"
MISSING_VALUES = re.compile(rf"{LOST}|(?:1900-01-01|1970-01-01|9999-12-31)(?:[ t]00:00:00.*)?|2147483647(?:\.0*)?")
ZEROS = re.compile(r"0+(?:[-/.:]0+)*-0+")  # 0000-00-00, or an empty UUID
NUMBERED = re.compile(r"(\D*?)(\d+)(?:\.0+)?")
ABBREVIATIONS = frozenset({"n.n.", "k.a.", "\\n"})  # without the signs they may be ids
UNKNOWN_WORDS = re.compile(r"unknown|unbekannt|inconnu|desconocid|sconosciut")
# "not recorded" and "keine Angabe", but not "no 12".
NEGATION = re.compile(r"(?:not?|none?|nicht|keine?|sans|sin)(?:[\W_]+[^\W\d_]+)*[\W_]+[^\W\d_]{4,}")
SPREADSHEET_ERROR = re.compile(r"#[A-Z/0]+[!?]?", re.IGNORECASE)
# A value without digits is no id where at least so many other values, all of them, have digits.
OTHER_IDS, MANY_IMAGES = 5, 3

BOOLEANS = frozenset({"yes", "no", "y", "n", "true", "false", "present", "absent"})
DIAGNOSIS_WORDS = re.compile(
    r"na?ev(?:us|i)|melanoma|carcinoma|keratos|benign|malignant|angioma|fibroma|lentigo|vascular"
)
# A word or a number that stands for at least so many images on average is a class; ids are rarer.
WORD_IMAGES, NUMBER_IMAGES = 5, 3


def usual_name(column: str) -> str:
    """The plain name of a column, without what marks it as one of several: `lesion_id_x`, `lesion_id.1`."""
    return plain_name(re.sub(r"(?:#\d+|\.\d+|_[xy])$", "", column.strip()))


def named(columns: Iterable[str], names: Sequence[str]) -> list[str]:
    """The columns with one of these names, in the order of `names`."""
    found = [column for column in columns if usual_name(column) in names]
    return sorted(found, key=lambda column: names.index(usual_name(column)))


def named_alike(columns: Iterable[str], column: str | None) -> list[str]:
    """A column and those that only differ from it by what marks one of several; the column first."""
    if column is None:
        return []
    return [column, *(each for each in columns if each != column and usual_name(each) == usual_name(column))]


def first_named(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of `named`, or None."""
    return next(iter(named(columns, names)), None)


@dataclass(frozen=True)
class ImageKeys:
    """The keys of the images of a data folder, and how tables write them.

    `unpadded` maps keys without the leading zeros of their numbers, which spreadsheets drop, to keys; only unique ones.
    """

    keys: frozenset[str]
    unpadded: Mapping[str, str]

    @classmethod
    def of(cls, keys: Iterable[str]) -> ImageKeys:
        """The keys, with what `unpadded` holds for them."""
        found = frozenset(keys)
        short: dict[str, list[str]] = {}
        for image in found:
            short.setdefault(_without_padding(image), []).append(image)
        return cls(found, {name: images[0] for name, images in short.items() if len(images) == 1})

    def find(self, cell: str, *, exact: bool = False) -> str | None:
        """The key of the image in a cell, or None.

        A cell may contain a suffix and folders, those of the key or others. If only that is known, 1.0 is image 1 and,
        unless `exact`, isic_1 is isic_0001.
        """
        parts = re.split(r"[\\/]+", cell.strip())
        stem, dot, ending = parts[-1].rpartition(".")
        name = key(stem if f".{ending.lower()}" in SUFFIXES and dot else parts[-1])
        names = [
            "/".join([*map(key, parts[start:-1]), same])
            for same in dict.fromkeys((name, without_decimals(name)))
            for start in range(len(parts))
        ]
        found = next((each for each in names if each in self.keys), None)
        if found is None and not exact:
            unpadded = map(_without_padding, names)
            found = next((self.unpadded[each] for each in unpadded if each in self.unpadded), None)
        return found


def without_decimals(cell: str) -> str:
    """A whole number without `.0`, which pandas and spreadsheets write in columns with empty cells."""
    return re.sub(r"^(\d+)\.0+$", r"\1", cell)


def _without_padding(name: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", name)


def images_in(table: Table, column: str, known: ImageKeys, *, exact: bool = False) -> int:
    """The number of images, of those in `known`, that a column names."""
    return len({known.find(row[column], exact=exact) for row in table.rows} - {None})


def id_column(table: Table, known: ImageKeys) -> str | None:
    """The column that names the most images of `known`; exact ids count more, and the usual names break ties.

    None if there is none: one without a usual name needs exact ids in half of its cells.
    """
    if not table.rows:
        return None

    def is_half_ids(column: str) -> bool:
        return 2 * sum(known.find(row[column], exact=True) is not None for row in table.rows) >= len(table.rows)

    usual = named(table.rows[0], IMAGE_COLUMNS)
    columns = usual + [column for column in table.rows[0] if column not in usual and is_half_ids(column)]
    for exact in (True, False):
        best = max(columns, key=lambda column: images_in(table, column, known, exact=exact), default=None)
        if best is not None and images_in(table, best, known, exact=exact):
            return best
    return None


def lesion_column(rows: Sequence[Row], patient_column: str | None, diagnosis_column: str | None) -> str | None:
    """The column of lesion ids among `rows`, those of known images; None if there is none.

    It has a usual name, and its values are not diagnoses, booleans or classes of many images. Of several, the first
    name is used, unless another column has twice as many ids.
    """
    filled: dict[str, int] = {}
    for column in named(rows[0] if rows else (), LESION_COLUMNS):
        placeholders = placeholder_cells(row[column] for row in rows)
        with_id = [row for row in rows if row[column] not in placeholders]
        if with_id and not _holds_classes(column, with_id, patient_column, diagnosis_column):
            filled[column] = len(with_id)
    return next((column for column in filled if 2 * filled[column] > max(filled.values())), None)


def _holds_classes(column: str, rows: Sequence[Row], patient_column: str | None, diagnosis_column: str | None) -> bool:
    values = {row[column].lower() for row in rows}
    is_certain = usual_name(column) == "lesionid"  # splitting a lesion does more harm than merging some
    if values <= BOOLEANS:
        return True
    if diagnosis_column is not None and all(row[column].lower() == row[diagnosis_column].lower() for row in rows):
        return True
    if not any(character.isdigit() for value in values for character in value):
        diagnoses = [value for value in values if value in ONE_HOT_COLUMNS or DIAGNOSIS_WORDS.search(value)]
        are_classes = not is_certain and len(rows) >= max(2 * WORD_IMAGES, WORD_IMAGES * len(values))
        return are_classes or 2 * len(diagnoses) >= len(values)
    if is_certain or not {without_decimals(value) for value in values} <= {"0", "1"}:
        return False
    lesions = {(row[patient_column] if patient_column else "", row[column]) for row in rows}
    return len(rows) >= NUMBER_IMAGES * len(lesions)


def are_numbers_of_patients(cells: Iterable[str]) -> bool:
    """Whether lesion ids are small numbers that repeat, as if each patient's lesions were numbered."""
    counts = Counter(cell for cell in cells if not is_placeholder(cell))
    numbers = [match for match in map(NUMBERED.fullmatch, counts) if match is not None and int(match[2]) < 100]
    return len(numbers) == len(counts) and sum(counts.values()) >= NUMBER_IMAGES * len(counts)


def is_placeholder(cell: str) -> bool:
    """Whether a cell by itself means unknown, such as `nan_1`, `N/A`, `-`, `-99`, `not recorded` or `IL_unknown`."""
    text = " ".join(cell.casefold().split())
    plain = re.sub(r"[\W_]", "", text)
    return (
        plain in PLACEHOLDERS
        or plain.rstrip("0123456789") in NUMBERED_PLACEHOLDERS
        or MISSING_VALUES.fullmatch(text) is not None
        or ZEROS.fullmatch(text) is not None
        or text.replace(" ", "") in ABBREVIATIONS
        or re.fullmatch(r"unk\d+|-\d+(?:\.0*)?", text) is not None
        or UNKNOWN_WORDS.search(text) is not None
        or NEGATION.fullmatch(text) is not None
        or SPREADSHEET_ERROR.fullmatch(text) is not None
    )


def placeholder_cells(cells: Iterable[str]) -> frozenset[str]:
    """The cells of a column of ids, one per image, that mean unknown.

    In addition to those of `is_placeholder`: 0 if nothing is numbered 1; 99, 999, ... if no other number is half as
    large, both with or without a prefix as in `HAM_0000000`; and a word for many images among ids that all have digits.
    """
    counts = Counter(cells)
    found = {cell for cell in counts if is_placeholder(cell)}
    ids = counts.keys() - found
    numbers: dict[str, dict[str, int]] = {}  # of the cells, by their prefix
    for cell in ids:
        if match := NUMBERED.fullmatch(cell):
            numbers.setdefault(match[1].casefold(), {})[cell] = int(match[2])
    for same in numbers.values():
        known = set(same.values())
        for cell, number in same.items():
            is_nines = number > 9 and set(str(number)) == {"9"}
            if (number == 0 and 1 not in known) or (is_nines and 2 * max(known - {number}, default=0) < number):
                found.add(cell)
    words = {cell for cell in ids if not any(character.isdigit() for character in cell)}
    if len(words) == 1 and len(ids) > OTHER_IDS:
        found |= {cell for cell in words if counts[cell] >= MANY_IMAGES}
    return frozenset(found)
