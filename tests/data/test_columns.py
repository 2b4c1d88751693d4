"""Columns are chosen by what they hold, and placeholders are no ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from ham_keras.data.columns import is_placeholder, placeholder_cells
from ham_keras.data.records import find_records
from ham_keras.errors import HamError

ISIC = [f"ISIC_{number}" for number in range(1, 7)]


def lesions(root: Path, header: str, rows: list[str], images: list[str]) -> list[str]:
    for image in images:
        for name in (f"images/{image}.jpg", f"masks/{image}.png"):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).touch()
    (root / "table.csv").write_text("\n".join([header, *rows]))
    return [record.lesion_id for record in find_records(root).records]


@pytest.mark.parametrize("offset", [1, 5])
def test_of_several_id_columns_the_one_with_the_most_images_is_used(tmp_path: Path, offset: int) -> None:
    rows = [f"{number + offset},{number}.jpg,L{number // 2}" for number in range(1, 7)]
    assert lesions(tmp_path, "image_id,photo,lesion_id", rows, list("123456")) == ["L0", "L1", "L1", "L2", "L2", "L3"]


def test_an_unusual_column_that_fits_better_is_used(tmp_path: Path) -> None:
    rows = [f"{number + 3},{number}.jpg,L{number // 2}" for number in range(1, 7)]
    assert lesions(tmp_path, "id,Bild,lesion_id", rows, list("123456")) == ["L0", "L1", "L1", "L2", "L2", "L3"]


def test_ids_of_images_with_decimals(tmp_path: Path) -> None:
    assert lesions(tmp_path, "image_id,lesion_id", ["1.0,L1", "2.0,L1"], ["1", "2"]) == ["L1", "L1"]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_images_without_a_patient_do_not_depend_on_the_order_of_rows(tmp_path: Path, order: list[int]) -> None:
    rows = ["ISIC_1,,1", "ISIC_2,p1,1", "ISIC_3,p2,1", "ISIC_4,,1"]
    found = lesions(tmp_path, "image_id,patient_id,lesion_id", [rows[row] for row in order], ISIC[:4])
    assert found == ["1", "p1_1", "p2_1", "1"]


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        (
            "lesion,lesion_no",
            ["nevus,1", "nevus,1", "nevus,2", "bcc,2", "bcc,3", "bcc,4"],
            ["1", "1", "2", "2", "3", "4"],
        ),
        ("lesion", ["yes", "yes", "yes", "no", "no", "no"], ISIC),
        ("lesion", ["1"] * 6, ISIC),
        ("lesion", ["Nevus"] * 3 + ["Melanoma"] * 3, ISIC),
        ("lesion,dx", ["rash,rash"] * 3 + ["wart,wart"] * 3, ISIC),
        ("Lesion ID,lesion_id", [",L1", ",L1", ",L2", ",L2", ",L3", ",L3"], ["L1", "L1", "L2", "L2", "L3", "L3"]),
        ("lesion_id,lesion_id", ["L1,L1"] * 2 + ["L2,L2"] * 4, ["L1"] * 2 + ["L2"] * 4),
        ("lesion_id_x,lesion_id_y", ["L1,L1"] * 2 + ["L2,L2"] * 4, ["L1"] * 2 + ["L2"] * 4),
        ("lesion,patient", ["1,a", "1,a", "1,b", "1,b", "1,c", "1,c"], ["a_1", "a_1", "b_1", "b_1", "c_1", "c_1"]),
        ("lesion_id", ["α", "α", "病变", "病变", "левая", "левая"], ["α", "α", "病变", "病变", "левая", "левая"]),
    ],
)
def test_the_lesion_column_is_the_one_that_holds_ids(
    tmp_path: Path, header: str, cells: list[str], expected: list[str]
) -> None:
    rows = [f"{image},{cell}" for image, cell in zip(ISIC, cells, strict=True)]
    assert lesions(tmp_path, f"image_id,{header}", rows, ISIC) == expected


def test_words_for_many_images_are_ids_only_in_a_column_of_that_name(tmp_path: Path) -> None:
    images = [f"{number:02}" for number in range(12)]
    rows = [f"{image},{'left' if number < 6 else 'right'}" for number, image in enumerate(images)]
    assert lesions(tmp_path, "image_id,lesion_id", rows, images) == ["left"] * 6 + ["right"] * 6
    assert lesions(tmp_path, "image_id,lesion", rows, images) == images


PLACEHOLDERS = (
    "not recorded|not specified|Not given|not_assigned|no data|none given|No lesion|nd|"
    "n.d.|n/k|N.N.|empty|blank|pending|default|false|"
    "-9|-99|-1.0|1.23457E+12|UNK001|unbekannt|k.A.|keine Angabe|inconnu|"
    "nan_1|none_0|unk-1|null0|2147483647|1900-01-01|1900-01-01 00:00:00|0000-00-00|"
    "00000000-0000-0000-0000-000000000000|"
    "\\N|#REF!|#VALUE!|#NAME?|lesion_unknown|IL_unknown|<NA>"
)


@pytest.mark.parametrize("cell", PLACEHOLDERS.split("|"))
def test_placeholders(cell: str) -> None:
    assert is_placeholder(cell)


@pytest.mark.parametrize(
    "cell", ["no 12", "No. 3", "NN", "KA", "北", "Läsion", "notch_1", "1-2", "U1", "left", "NA12", "2020-01-01", "nil5"]
)
def test_ids_that_are_no_placeholders(cell: str) -> None:
    assert not is_placeholder(cell)


def test_numbers_that_stand_out_are_placeholders_and_those_of_a_series_are_not() -> None:
    assert placeholder_cells([*map(str, range(1, 1201))]) == frozenset()
    assert placeholder_cells(["1", "2", "3", "999", "999.0", "0099"]) == {"999", "999.0"}
    assert placeholder_cells(["L1", "L2", "9999"]) == {"9999"}
    assert placeholder_cells(["0000", "2", "3"]) == {"0000"}
    assert placeholder_cells(["0000", "0001", "0002"]) == frozenset()
    assert placeholder_cells(["HAM_0000000", "HAM_0000000", "HAM_0004711"]) == {"HAM_0000000"}
    assert placeholder_cells(["HAM_9999999", "HAM_0004711"]) == {"HAM_9999999"}
    assert placeholder_cells(["L0", "L1", "L2", "L98", "L99"]) == frozenset()


@pytest.mark.parametrize(
    ("column", "lesions_expected"),
    [
        ("patient_code", 12),
        ("Pat-ID", 12),
        ("Patient No", 12),
        ("mrn", 12),
        ("person_id", 12),
        ("Case", 12),
        ("ward", 3),
    ],
)
def test_lesions_numbered_for_each_patient(tmp_path: Path, column: str, lesions_expected: int) -> None:
    images = [f"{number:02}" for number in range(24)]
    rows = [f"{image},K{number // 6},{number % 3 + 1}" for number, image in enumerate(images)]
    assert len(set(lesions(tmp_path, f"image,{column},lesion_no", rows, images))) == lesions_expected


def test_lesions_numbered_without_a_column_of_patients_are_told(tmp_path: Path) -> None:
    rows = [f"{number}.jpg,D{number % 3},{number % 2 + 1}" for number in range(1, 7)]
    assert lesions(tmp_path, "image_id,donor,lesion_id", rows, list("123456")) == ["2", "1"] * 3
    (line,) = find_records(tmp_path).warnings()
    assert line.endswith(
        "each number in its column 'lesion_id' counts as one lesion; if each patient's lesions are numbered, name the "
        "column of patients patient_id: image_id, donor"
    )
    for column in ("pid", "patient_uuid", "Person Identifier"):
        lesions(tmp_path, f"image_id,{column},mole_id", rows, list("123456"))
        assert [record.lesion_id for record in find_records(tmp_path).records] == [
            "D1_2",
            "D2_1",
            "D0_2",
            "D1_1",
            "D2_2",
            "D0_1",
        ]


def test_a_case_column_does_not_split_lesions_with_ids_of_their_own(tmp_path: Path) -> None:
    images = [f"{number:02}" for number in range(12)]
    rows = [f"{image},C{number},HAM_{number // 6 + 700}" for number, image in enumerate(images)]
    assert len(set(lesions(tmp_path, "image,case,lesion_id", rows, images))) == 2


def test_a_word_for_many_images_among_numbered_ids_is_a_placeholder() -> None:
    ids = [f"L{number}" for number in range(6)]
    assert placeholder_cells([*ids, "tba", "tba", "tba"]) == {"tba"}
    assert placeholder_cells([*ids, "left", "left"]) == frozenset()
    assert placeholder_cells([*ids[:3], "tba", "tba", "tba"]) == frozenset()


def test_a_lesion_of_a_large_share_of_a_small_folder_is_reported(tmp_path: Path) -> None:
    images = [f"{number:02}" for number in range(45)]
    rows = [f"{image},L{max(0, number - 9)}" for number, image in enumerate(images)]
    lesions(tmp_path, "image_id,lesion_id", rows, images)
    (large,) = find_records(tmp_path).problem_groups
    assert (large.kind, large.problems[0].detail) == ("large_lesion", "lesion 'L0' has 10 images")


@pytest.mark.parametrize("before", ["Clinic export 2026\n\n", "# made by x, y\n", "Clinic;;\n;;\n"])
def test_titles_and_comments_before_the_header_are_skipped(tmp_path: Path, before: str) -> None:
    assert lesions(tmp_path, f"{before}image_id,lesion_id", ["ISIC_1,L1", "ISIC_2,L1"], ISIC[:2]) == ["L1", "L1"]


def test_a_table_with_ids_and_numbered_columns_is_used(tmp_path: Path) -> None:
    header = ",".join(["image_id", "lesion_id", *(f"pc{number}" for number in range(100))])
    assert lesions(tmp_path, header, ["ISIC_1,L1", "ISIC_2,L1"], ISIC[:2]) == ["L1", "L1"]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("m.csv", "", "is empty"),
        ("m.csv", "image_id,lesion_id\n", "has no rows"),
        ("m.csv.gz", "x", "its format is not read; save it as CSV"),
        ("metadata.json", "[]", "its format is not read; save it as CSV"),
        ("m.parquet", "x", "its format is not read; save it as CSV"),
        ("m.xlsm", "x", "its format is not read; save it as CSV"),
        ("m.numbers", "x", "its format is not read; save it as CSV"),
    ],
)
def test_tables_that_are_not_used_are_named(tmp_path: Path, name: str, text: str, reason: str) -> None:
    lesions(tmp_path, "image_id,lesion_id", ["ISIC_1,L1"], ISIC[:1])
    (tmp_path / name).write_text(text)
    (tmp_path / "split.json").write_text("{}")
    expected = [f"{tmp_path / name}: not used: {reason}"]
    assert [
        group.warning for group in find_records(tmp_path).problem_groups if group.kind == "unused_table"
    ] == expected


def test_an_unclosed_quote_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HamError, match=r"table\.csv: cannot be read as a table: a quote is not closed"):
        lesions(tmp_path, "image_id,lesion_id", ['ISIC_1,"L1', "ISIC_2,L1"], ISIC[:2])


def test_names_of_columns_in_windows_1252(tmp_path: Path) -> None:
    lesions(tmp_path, "", [], ISIC[:1])
    (tmp_path / "table.csv").write_bytes("Größe;Läsion\n1;2\n".encode("cp1252"))
    (group,) = find_records(tmp_path).problem_groups
    assert group.warning.endswith("no column has the ids of the images: Größe, Läsion")
